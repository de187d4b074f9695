// A bond carries on another member: the switches are told where its guests are.
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
  const std::string bond = netmodel::bond_name(port.base_mac);
  const std::vector<GuestMac> known = guests_of(model, port.base_mac);
  announce(bond, known);
  events_.add("bond.failover", {{"port", port.name},
                                {"group", port.group},
                                {"from", from_name},
                                {"to", to},
                                {"cause", cause},
                                {"announced", known.size()}});
  kernel_.run(
      [bridge = port.bridge](KernelBox& box) -> Result<std::vector<netmodel::LearnedMac>> {
        if (box.rtnetlink == nullptr) { return std::vector<netmodel::LearnedMac>{}; }
        return box.rtnetlink->learned_macs(bridge);
      },
      [this, bond, known](const Result<std::vector<netmodel::LearnedMac>>& entries) {
        if (!entries) {
          spdlog::warn("bond.learned bond={} reason={}", bond, entries.error().what);
          return;
        }
        std::vector<GuestMac> learned;
        for (const auto& entry : *entries) {
          if (entry.port != bond) { learned.push_back({entry.mac, entry.vlan.value_or(0)}); }
        }
        std::vector<GuestMac> more = with_learned(known, learned);
        std::erase_if(more, [&](const GuestMac& guest) {
          return std::ranges::find(known, guest) != known.end();
        });
        announce(bond, more);
      });
}

void Failover::announce(const std::string& bond, const std::vector<GuestMac>& guests) {
  if (guests.empty()) { return; }
  if (!announcer_) {
    auto opened = netmodel::Announcer::open();
    if (!opened) {
      spdlog::warn("bond.announce bond={} reason={}", bond, opened.error().what);
      return;
    }
    announcer_.emplace(std::move(*opened));
  }
  if (running_.size() >= running_max) {
    running_.front()->timer.cancel();
    running_.erase(running_.begin());
  }
  auto series = std::make_shared<Series>(io_);
  series->bond = bond;
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
  const auto sent = announcer_->announce(series->bond, series->list);
  if (!sent) { spdlog::warn("bond.announce bond={} reason={}", series->bond, sent.error().what); }
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
