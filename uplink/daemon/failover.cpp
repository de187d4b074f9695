// A group carries on another adapter: the switches are told where its guests are.
#include "uplink/daemon/failover.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "netmodel/core/names.hpp"

namespace edge::uplink {

namespace {

FailoverCause cause_of(const Port* from) {
  if (from == nullptr) { return FailoverCause::first; }
  if (!from->present) { return FailoverCause::adapter_gone; }
  if (from->locally_disabled()) { return FailoverCause::set_down; }
  return from->card_carrier ? FailoverCause::planned : FailoverCause::carrier_lost;
}

}  // namespace

void Failover::moved(const Port& port, const Port* from, const std::string& from_name,
                     const std::string& to, const netmodel::Model& model) {
  const std::string cause(to_string(cause_of(from)));
  if (to.empty()) {
    events_.add("bond.down", {{"port", port.name}, {"group", port.group}, {"from", from_name}});
    return;
  }
  const bool in_bridge = port.wire == netmodel::bond_name(port.base_mac);
  events_.add("bond.failover", {{"port", port.name},
                                {"group", port.group},
                                {"from", from_name},
                                {"to", to},
                                {"cause", cause},
                                {"announced", in_bridge ? announce_all(port, model) : 0}});
}

void Failover::rewired(const Port& port, const netmodel::Model& model) {
  // Behind a bridge that was just made are no guests but the model's.
  if (!port.bridge_ready && guests_of(model, port.base_mac).size() < 2) { return; }
  spdlog::info("port.wire port={} link={} announced={}", port.name, port.wire,
               announce_all(port, model));
}

void Failover::seated(const Ports& ports, const netmodel::Model& model) {
  std::map<MacAddress, Seat> seats = seats_of(model);
  std::map<MacAddress, std::vector<GuestMac>> moved;  // By the leader of their port now.
  for (const auto& [guest, seat] : seats) {
    const auto before = seats_.find(guest);
    const bool elsewhere = before != seats_.end() && before->second.leader != seat.leader;
    if (elsewhere) { moved[seat.leader].push_back({guest, seat.vlan}); }
  }
  // What would still be announced elsewhere would send their traffic there.
  for (const auto& series : running_) {
    std::erase_if(series->list, [&](const netmodel::Announcement& one) {
      const auto before = seats_.find(one.mac);
      const auto now = seats.find(one.mac);
      return before != seats_.end() && (now == seats.end() || now->second != before->second);
    });
  }
  seats_ = std::move(seats);
  for (const auto& [leader, guests] : moved) {
    const Port* port = ports.find(to_hex(leader));
    if (port == nullptr || port->wire.empty()) { continue; }
    spdlog::info("port.seats port={} link={} announced={}", port->name, port->wire, guests.size());
    forget(port->wire, guests);
    announce(port->key, port->wire, guests);
  }
}

/// Two ports on one switch: the bridge has heard the guest from outside while it was behind the
/// other port, and would drop what comes from there for it.
void Failover::forget(const std::string& wire, std::vector<GuestMac> guests) {
  kernel_.run(
      [wire, guests = std::move(guests)](KernelBox& box) -> Result<void> {
        for (const GuestMac& guest : guests) {
          if (box.rtnetlink != nullptr) { EDGE_TRY(box.rtnetlink->forget_mac(wire, guest.mac)); }
        }
        return {};
      },
      [wire](const Result<void>& done) {
        if (!done) { spdlog::warn("port.forget link={} reason={}", wire, done.error().what); }
      });
}

/// Returns how many guests the model knows.
std::size_t Failover::announce_all(const Port& port, const netmodel::Model& model) {
  // What would still be announced elsewhere would send the guests' traffic there.
  std::erase_if(running_, [&](const auto& series) {
    if (series->port != port.key || series->link == port.wire) { return false; }
    series->timer.cancel();
    return true;
  });
  links_[port.key] = port.wire;
  const std::vector<GuestMac> known = guests_of(model, port.base_mac);
  announce(port.key, port.wire, known);
  kernel_.run(
      [bridge = port.bridge](KernelBox& box) -> Result<std::vector<netmodel::LearnedMac>> {
        if (box.rtnetlink == nullptr) { return std::vector<netmodel::LearnedMac>{}; }
        return box.rtnetlink->learned_macs(bridge);
      },
      [this, key = port.key, link = port.wire,
       known](const Result<std::vector<netmodel::LearnedMac>>& entries) {
        if (links_[key] != link) { return; }
        if (!entries) {
          spdlog::warn("port.learned link={} reason={}", link, entries.error().what);
          return;
        }
        std::vector<GuestMac> learned;
        for (const auto& entry : *entries) {
          if (entry.port != link) { learned.push_back({entry.mac, entry.vlan.value_or(0)}); }
        }
        std::vector<GuestMac> more = with_learned(known, learned);
        std::erase_if(more, [&](const GuestMac& guest) {
          return std::ranges::find(known, guest) != known.end();
        });
        announce(key, link, more);
      });
  return known.size();
}

void Failover::announce(const std::string& port, const std::string& link,
                        const std::vector<GuestMac>& guests) {
  if (guests.empty()) { return; }
  if (!announcer_) {
    auto opened = netmodel::Announcer::open();
    if (!opened) {
      spdlog::warn("port.announce link={} reason={}", link, opened.error().what);
      return;
    }
    announcer_.emplace(std::move(*opened));
  }
  if (running_.size() >= running_max) {
    running_.front()->timer.cancel();
    running_.erase(running_.begin());
  }
  auto series = std::make_shared<Series>(io_);
  series->port = port;
  series->link = link;
  series->list.reserve(guests.size());
  for (const GuestMac& guest : guests) {
    netmodel::Announcement one{.mac = guest.mac};
    if (guest.vlan != 0) { one.vlan = guest.vlan; }
    series->list.push_back(one);
  }
  running_.push_back(series);
  go_on(series);
}

void Failover::go_on(const std::shared_ptr<Series>& series) {
  const auto sent = announcer_->announce(series->link, series->list);
  if (!sent) { spdlog::warn("port.announce link={} reason={}", series->link, sent.error().what); }
  if (++series->rounds == moments.size()) {
    std::erase(running_, series);
    return;
  }
  series->timer.expires_at(series->began + moments.at(series->rounds));
  series->timer.async_wait([this, weak = std::weak_ptr(series)](boost::system::error_code ec) {
    const auto still = weak.lock();
    if (!ec && still) { go_on(still); }
  });
}

void Failover::stop() {
  for (const auto& series : running_) { series->timer.cancel(); }
  running_.clear();
}

}  // namespace edge::uplink
