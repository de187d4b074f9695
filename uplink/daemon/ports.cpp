#include "uplink/daemon/ports.hpp"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "netmodel/core/foreign_ports.hpp"
#include "netmodel/core/names.hpp"
#include "netmodel/core/render_host.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

using netmodel::ObservedLink;
using netmodel::ObservedState;

Ports::Ports(boost::asio::io_context& io, const Config& config, store::StoreWorker& store,
             EventLog& events, Hooks hooks)
    : io_(io),
      config_(config),
      store_(store),
      events_(events),
      hooks_(std::move(hooks)),
      poller_(io.get_executor(),
              [this](const netmodel::CarrierChange& change) { on_carrier(change); }),
      drain_timer_(io),
      lease6_timer_(io),
      standing_timer_(io),
      again_timer_(io) {
  if (!config.adapters.match.empty()) { globs_.match = config.adapters.match; }
  globs_.ignore = config.adapters.ignore;
}

Ports::~Ports() = default;

void Ports::remember(const std::vector<store::AdapterRecord>& adapters,
                     const std::vector<store::LeaseRecord>& leases, const std::string& own_mtus) {
  for (const auto& record : adapters) {
    Port& port = ports_[to_hex(record.base_mac)];
    port.key = to_hex(record.base_mac);
    port.base_mac = record.base_mac;
    port.name = record.last_name;
    port.bridge = netmodel::port_bridge_name(record.base_mac);
    port.table = netmodel::table_first + record.number;
  }
  for (const auto& record : leases) {
    const auto found = ports_.find(to_hex(record.adapter));
    if (found == ports_.end()) { continue; }
    if (record.family == Family::v6) {
      auto lease6 = dhcp::lease6_from_json(record.json);
      if (!lease6) {
        spdlog::warn("lease6.ignored port={} reason={}", found->second.name, lease6.error().what);
        continue;
      }
      found->second.stored6 = std::move(*lease6);
      continue;
    }
    auto lease = dhcp::lease_from_json(record.json);
    if (!lease) {
      spdlog::warn("lease.ignored port={} reason={}", found->second.name, lease.error().what);
      continue;
    }
    found->second.stored = *lease;
  }
  boost::system::error_code ec;
  const boost::json::value mtus = boost::json::parse(own_mtus, ec);
  if (ec || !mtus.is_object()) { return; }
  for (const auto& [key, mtu] : mtus.get_object()) {
    const auto found = ports_.find(std::string(key));
    if (found != ports_.end() && mtu.is_int64()) {
      found->second.own_mtu = static_cast<std::uint32_t>(mtu.get_int64());
    }
  }
}

const Port* Ports::find(const std::string& key) const {
  const auto found = ports_.find(key);
  return found == ports_.end() ? nullptr : &found->second;
}

Port* Ports::by_name(std::string_view name) {
  for (auto& [key, port] : ports_) {
    if (port.present && port.name == name) { return &port; }
  }
  return nullptr;
}

/// A card that was replaced had the same name as the one that is here.
const Port* Ports::find_by_name(std::string_view name_or_mac) const {
  const Port* away = nullptr;
  for (const auto& [key, port] : ports_) {
    const bool of_port = port.leads() && (port.bridge == name_or_mac ||
                                          (!port.group.empty() && port.group == name_or_mac));
    if (port.name == name_or_mac || key == name_or_mac || to_string(port.base_mac) == name_or_mac ||
        of_port) {
      if (port.present || port.live) { return &port; }
      away = away == nullptr ? &port : away;
    }
  }
  return away;
}

void Ports::on_dump(const ObservedState& observed, const netmodel::Model& model) {
  take_places(model);
  std::vector<std::uint32_t> seen;
  for (const ObservedLink* link : netmodel::adapters(observed, globs_)) {
    adopt(*link, observed, model);
    seen.push_back(link->index.value);
  }
  for (auto& [key, port] : ports_) {
    if (port.present && std::ranges::find(seen, port.index.value) == seen.end()) { lose(port); }
  }
  for (auto& [key, port] : ports_) {
    if (port.live && port.leads()) { look_at(port, observed, model); }
  }
  std::erase_if(base_by_index_, [&](const auto& item) {
    return std::ranges::find(seen, item.first) == seen.end();
  });
  std::set<std::string> names;
  for (const auto& [key, port] : ports_) {
    if (port.present) { names.insert(port.name); }
  }
  foreign_ports_ = netmodel::foreign_ports(observed, names);
  keep_bridges(observed);
  foreign_.clear();
  for (const auto& address : observed.addresses) {
    const ObservedLink* link = observed.find_link(address.link);
    const bool skip = address.ours || link == nullptr || link->ours() ||
                      address.prefix.address.is_loopback() ||
                      address.prefix.address.is_link_local();
    if (!skip) { foreign_.push_back({address.prefix, "an address of \"" + address.link + "\""}); }
  }
}

/// Also of cards that are here: one that goes may do so between two dumps.
void Ports::keep_bridges(const ObservedState& observed) {
  std::set<std::string> kept;
  for (const auto& [key, port] : ports_) {
    if (foreign_ports_.contains(port.bridge)) { kept.insert(port.bridge); }
  }
  // A card that is here and no port any more is given back, and its bridge with it.
  for (const ObservedLink& link : observed.links) {
    const auto base = link.ours() ? std::nullopt : netmodel::base_mac(link);
    const auto port = base ? ports_.find(to_hex(*base)) : ports_.end();
    if (port != ports_.end() && !port->second.present) { kept.erase(port->second.bridge); }
  }
  const auto without_card = [this](const std::set<std::string>& bridges) {
    std::set<std::string> out;
    for (const auto& [key, port] : ports_) {
      if (!port.present && bridges.contains(port.bridge)) { out.insert(port.bridge); }
    }
    return out;
  };
  const std::set<std::string> before = without_card(std::exchange(kept_bridges_, std::move(kept)));
  if (before != without_card(kept_bridges_)) {
    hooks_.dirty("somebody else's ports");  // The turn that saw them was planned without them.
  }
}

/// Its address, and the way out in its own table. Without the routes a socket that is bound to the
/// device looks for the Console on the link itself, and waits for an ARP answer that never comes:
/// 1 s of DNS, 3 s of TCP (seen at 3 of 10 restarts with a stored lease).
bool Ports::stands(const Port& port, const dhcp::Lease& lease, const ObservedState& observed) {
  const bool addressed = std::ranges::any_of(observed.addresses, [&](const auto& address) {
    return address.link == port.l3 && address.prefix == lease.address;
  });
  const auto gateway = lease.default_gateway();
  return addressed && std::ranges::any_of(observed.routes, [&](const auto& route) {
           const bool here = route.table == port.table && route.link == port.l3;
           return here && (!gateway || route.gateway == gateway);
         });
}

/// The link that leads out of the port's bridge; empty: none does.
std::string Ports::wire_of(const Port& port, const ObservedState& observed) {
  for (const std::string& name : {port.name, netmodel::bond_name(port.base_mac)}) {
    const ObservedLink* link = observed.find_link(name);
    if (link != nullptr && link->link.master == port.bridge) { return name; }
  }
  return {};
}

/// What the dump says about a port that is here: its link, its address, its client.
void Ports::look_at(Port& port, const ObservedState& observed, const netmodel::Model& model) {
  if (port.wire.empty()) { set_wire(port, wire_of(port, observed)); }
  const ObservedLink* link = observed.find_link(port.l3);
  port.bridge_ready = link != nullptr && link->ours() && link->link.admin_up;
  const bool ready = port.lease && stands(port, *port.lease, observed);
  const bool readiness_changed = std::exchange(port.address_ready, ready) != ready;
  const ObservedLink* bond = observed.find_link(netmodel::bond_name(port.base_mac));
  if (bond == nullptr || port.bond_active.empty()) {  // Else its own events are newer than a dump.
    set_bond_active(port, bond != nullptr && bond->ours() ? bond->bond_active : "");
  }
  read_v6(port, observed);
  if (readiness_changed) { hooks_.changed(port); }
  const bool enabled = std::ranges::any_of(members_of(port), [&](const Port* member) {
    const auto settings = model.adapters.find(member->base_mac);
    return member->present && (settings == model.adapters.end() || settings->second.enabled);
  });
  const auto configured = netmodel::static_lease(model, port.base_mac);
  if (configured && enabled) { hold_static(port, *configured); }
  const bool was_static = port.is_static && !configured;
  if ((!enabled && (port.dhcp || port.is_static)) || was_static) {
    port.dhcp.reset();
    port.is_static = false;
    on_lease(port.key, dhcp::LeaseUpdate{.phase = dhcp::LeasePhase::none,
                                         .cause = was_static ? dhcp::LeaseCause::configured
                                                             : dhcp::LeaseCause::carrier_lost,
                                         .lease = std::nullopt,
                                         .effect_changed = true});
  }
  const bool wants_dhcp = port.bridge_ready && enabled && !configured;
  if (wants_dhcp && !port.dhcp && !stopping_) {
    port.standing = port.stored && stands(port, *port.stored, observed);
    if (port.standing) { end_standing_later(); }
    start_dhcp(port);
  }
  if (link !=
      nullptr) {  // The kernel keeps the flags of the last RA alone: two routers may differ.
    port.managed6 = port.managed6 || link->ra_managed;
    port.other6 = port.other6 || link->ra_other;
  }
  if (port.dhcp) { port.dhcp->renew_v6(port.managed6, port.other6); }
}

void Ports::drain(const MacAddress& base_mac, std::chrono::seconds duration) {
  const auto found = ports_.find(to_hex(base_mac));
  if (found == ports_.end()) { return; }
  Port& port = leader(found->second);
  port.drained_until.reset();
  if (duration.count() > 0) { port.drained_until = mono_now() + duration; }
  events_.add(duration.count() > 0 ? "port.drained" : "port.drain_ended",
              {{"port", port.name}, {"seconds", duration.count()}});
  hooks_.changed(port);
  hooks_.dirty("drain");
  arm_drain_timer();
}

std::optional<MonoTime> Ports::drained_until(const MacAddress& base_mac) const {
  const Port* card = find(to_hex(base_mac));
  return card == nullptr ? std::nullopt : leader_of(*card).drained_until;
}

void Ports::arm_drain_timer() {
  std::optional<MonoTime> next;
  for (const auto& [key, port] : ports_) {
    if (port.drained_until && (!next || *port.drained_until < *next)) { next = port.drained_until; }
  }
  drain_timer_.cancel();
  if (!next) { return; }
  drain_timer_.expires_at(to_steady(*next));
  drain_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    for (auto& [key, port] : ports_) {
      if (port.drained_until && *port.drained_until <= mono_now()) {
        drain(port.base_mac, std::chrono::seconds(0));
      }
    }
    arm_drain_timer();
  });
}

void Ports::stop(std::function<void()> done) {
  stopping_ = true;
  lease6_timer_.cancel();
  standing_timer_.cancel();
  again_timer_.cancel();
  drain_timer_.cancel();
  auto pending = std::make_shared<std::size_t>(1);
  const auto finished = [pending, done = std::move(done)] {
    if (--*pending == 0) { done(); }
  };
  for (auto& [key, port] : ports_) {
    poller_.forget(port.name);
    if (!port.dhcp) { continue; }
    ++*pending;
    port.dhcp->stop(finished);
  }
  finished();
}

}  // namespace edge::uplink
