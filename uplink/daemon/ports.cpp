#include "uplink/daemon/ports.hpp"

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include "netmodel/core/groups.hpp"
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
      drain_timer_(io) {
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
    if (found == ports_.end() || record.family != Family::v4) { continue; }
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

/// Without a bridge of ours the link is as the machine has it; with one, what it shows may be a
/// wish of ours that is no more.
void Ports::learn_mtu(Port& port, const ObservedLink& link, const ObservedState& observed) {
  const std::uint32_t shown = link.link.mtu.value_or(1500);
  const bool untouched = observed.find_link(netmodel::port_bridge_name(port.base_mac)) == nullptr &&
                         link.link.master.empty();
  if (port.own_mtu == shown || (port.own_mtu != 0 && !untouched)) { return; }
  port.own_mtu = shown;
  keep_mtus();
}

void Ports::keep_mtus() {
  boost::json::object mtus;
  for (const auto& [key, port] : ports_) {
    if (port.own_mtu != 0) { mtus[key] = port.own_mtu; }
  }
  store_.run([text = boost::json::serialize(mtus)](
                 store::Store& s) { return s.put_setting(own_mtus_setting, text); },
             [](const Result<void>& stored) {
               if (!stored) { spdlog::warn("mtus.not_stored reason={}", stored.error().what); }
             });
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

const Port* Ports::find_by_name(std::string_view name_or_mac) const {
  for (const auto& [key, port] : ports_) {
    const bool of_port = port.leads() && (port.bridge == name_or_mac ||
                                          (!port.group.empty() && port.group == name_or_mac));
    if (port.name == name_or_mac || key == name_or_mac || to_string(port.base_mac) == name_or_mac ||
        of_port) {
      return &port;
    }
  }
  return nullptr;
}

const Port& Ports::leader_of(const Port& adapter) const {
  if (adapter.leads()) { return adapter; }
  const auto found = ports_.find(to_hex(adapter.members.front()));
  return found == ports_.end() ? adapter : found->second;
}

Port& Ports::leader(const Port& adapter) { return ports_.at(leader_of(adapter).key); }

std::vector<const Port*> Ports::members_of(const Port& leader) const {
  if (leader.members.empty()) { return {&leader}; }
  std::vector<const Port*> out;
  for (const MacAddress& mac : leader.members) {
    if (const Port* member = find(to_hex(mac))) { out.push_back(member); }
  }
  return out;
}

MacAddress Ports::base_mac_of(const ObservedLink& link, const ObservedState& observed) {
  const auto seen = base_by_index_.find(link.index.value);
  if (seen != base_by_index_.end()) { return seen->second; }
  // A bridge of ours above it remembers the base MAC over our own restart.
  if (const ObservedLink* master = observed.find_link(link.link.master); master != nullptr) {
    for (const auto& [key, port] : ports_) {
      if (master->link.alias == netmodel::port_alias(port.base_mac)) { return port.base_mac; }
    }
  }
  return netmodel::base_mac(link).value_or(MacAddress{});
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
  foreign_.clear();
  for (const auto& address : observed.addresses) {
    const ObservedLink* link = observed.find_link(address.link);
    const bool skip = address.ours || link == nullptr || link->ours() ||
                      address.prefix.address.is_loopback() ||
                      address.prefix.address.is_link_local();
    if (!skip) { foreign_.push_back({address.prefix, "an address of \"" + address.link + "\""}); }
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

/// What the dump says about a port that is here: its link, its address, its client.
void Ports::look_at(Port& port, const ObservedState& observed, const netmodel::Model& model) {
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
    start_dhcp(port);
  }
  if (port.dhcp && link != nullptr) { port.dhcp->renew_v6(link->ra_managed, link->ra_other); }
}

void Ports::adopt(const ObservedLink& link, const ObservedState& observed,
                  const netmodel::Model& model) {
  const MacAddress base = base_mac_of(link, observed);
  if (base.is_zero()) { return; }
  base_by_index_[link.index.value] = base;
  const std::string key = to_hex(base);
  const bool fresh = !ports_.contains(key);
  Port& port = ports_[key];
  if (!fresh && port.present && port.index != link.index) {
    const ObservedLink* other = nullptr;
    for (const auto& candidate : observed.links) {
      if (candidate.index == port.index) { other = &candidate; }
    }
    if (other != nullptr && base_by_index_.contains(port.index.value)) {
      if (port.trouble.empty()) {
        port.trouble = "\"" + link.link.name + "\" has the same MAC address; only \"" + port.name +
                       "\" is used";
        events_.add("port.duplicate_mac",
                    {{"port", port.name}, {"other", link.link.name}, {"mac", to_string(base)}});
      }
      return;
    }
    lose(port);  // The card came back under a new index before we saw it go.
  }
  const bool arrived = !port.present;
  const bool renamed = !arrived && port.name != link.link.name;
  const std::string old_name = port.name;
  port.key = key;
  port.base_mac = base;
  port.name = link.link.name;
  port.present = true;
  port.index = link.index;
  port.mtu = link.link.mtu.value_or(1500);
  port.mtu_min = link.mtu_min;
  port.mtu_max = link.mtu_max;
  take_place(port, model);
  if (arrived) {
    learn_mtu(port, link, observed);
    port.was_up = false;
    events_.add("port.added", {{"port", port.name}, {"mac", to_string(base)}});
  }
  if (renamed) {
    poller_.forget(old_name);
    events_.add("port.renamed",
                {{"port", port.name}, {"from", old_name}, {"mac", to_string(base)}});
  }
  if (arrived || renamed) {
    number(port);
    watch(port);
  }
  // The dump may be older than a pull that was seen meanwhile; the poller knows the present.
  const auto present = poller_.read(port.name);
  set_carrier(port, present ? present->admin_up : link.link.admin_up,
              present ? present->carrier : link.carrier, false);
  if (port.card_carrier && port.speed_mbps == 0) {
    port.speed_mbps = netmodel::read_speed_mbps(port.name).value_or(0);
  }
  if (arrived || renamed) {
    settle(leader(port));
    tell(port);
    hooks_.dirty("port arrived");  // The turn that saw it was planned without it.
  }
}

void Ports::number(Port& port) {
  store_.run([mac = port.base_mac, name = port.name,
              now = wall_now()](store::Store& s) { return s.remember_adapter(mac, name, now); },
             [this, key = port.key](const Result<store::AdapterRecord>& record) {
               if (!record) {
                 spdlog::error("adapter.number port={} reason={}", key, record.error().what);
                 return;
               }
               const std::uint32_t table = netmodel::table_first + record->number;
               if (ports_.at(key).table == table) { return; }
               ports_.at(key).table = table;
               hooks_.dirty("adapter numbered");
             });
}

void Ports::watch(Port& port) {
  const auto interval = leader_of(port).key == active_ ? netmodel::CarrierPoller::active_interval
                                                       : netmodel::CarrierPoller::standby_interval;
  if (const auto reading = poller_.watch(port.name, port.index, interval); !reading) {
    spdlog::warn("carrier.watch port={} reason={}", port.name, reading.error().what);
  }
}

void Ports::set_active(const std::string& key) {
  if (active_ == key) { return; }
  const std::string before = std::exchange(active_, key);
  for (auto& [name, port] : ports_) {
    const std::string& its = leader_of(port).key;
    if (port.present && (its == before || its == key)) { watch(port); }
  }
}

void Ports::on_link(const netmodel::LinkEvent& event) {
  poller_.on_link_event(event);  // Calls back at once where the carrier differs from what is known.
  if (event.kind == netmodel::LinkKind::bond && event.ours()) { on_bond(event); }
  Port* port = by_name(event.name);
  const bool admin_changed = port != nullptr && port->index == event.index && !event.gone &&
                             port->card_up != event.admin_up;
  if (admin_changed) {
    const auto present = poller_.read(port->name);
    set_carrier(*port, present ? present->admin_up : event.admin_up,
                present ? present->carrier : event.carrier, false);
  }
  const bool expected =
      event.by_us && !event.gone && !event.appeared;  // The turn that did it looks anyway.
  if (!expected) {
    hooks_.dirty(event.gone ? "link gone" : event.appeared ? "link appeared" : "link changed");
  }
}

void Ports::on_bond(const netmodel::LinkEvent& event) {
  for (auto& [key, port] : ports_) {
    if (!port.leads() || event.name != netmodel::bond_name(port.base_mac)) { continue; }
    set_bond_active(port, event.gone ? std::string() : event.bond_active);
  }
}

void Ports::set_bond_active(Port& port, const std::string& member) {
  const std::string from = std::exchange(port.bond_active, member);
  if (from == member) { return; }
  if (port.live) { hooks_.bond_moved(port, from, member); }
}

void Ports::on_carrier(const netmodel::CarrierChange& change) {
  Port* port = by_name(change.link);
  if (port == nullptr || port->index != change.index) { return; }
  if (change.gone) {
    lose(*port);
    return;
  }
  set_carrier(*port, change.admin_up, change.carrier, change.short_pull);
}

void Ports::set_carrier(Port& card, bool admin_up, bool carrier, bool short_pull) {
  const bool admin_changed = std::exchange(card.card_up, admin_up) != admin_up;
  const bool carrier_changed = std::exchange(card.card_carrier, carrier) != carrier;
  const bool up_by_now = !card.switched_off && (card.was_up || admin_up);
  const bool was_known = std::exchange(card.was_up, up_by_now);
  if (!carrier) { card.speed_mbps = 0; }
  card.carrier_changes += carrier_changed ? 1 : 0;
  Port& port = leader(card);
  if (short_pull && !carrier_changed && port.members.size() == 1 && port.dhcp) {
    port.dhcp->short_pull();
  }
  if (!admin_changed && !carrier_changed && was_known == card.was_up) { return; }
  settle(port);
  if (carrier_changed) {
    boost::json::object data{
        {"port", card.name}, {"mac", to_string(card.base_mac)}, {"admin_up", admin_up}};
    if (!card.group.empty()) { data["group"] = card.group; }
    events_.add(carrier ? "port.carrier_up" : "port.carrier_down", std::move(data));
  }
  hooks_.dirty(carrier ? "carrier up" : "carrier down");
}

/// What the members' cards say together becomes the port's; whoever uses it hears of a change.
void Ports::settle(Port& port) {
  bool live = false;
  bool up = false;
  bool carrier = false;
  bool enabled = false;
  for (const Port* member : members_of(port)) {
    if (!member->present) { continue; }
    live = true;
    up = up || member->card_up;
    carrier = carrier || member->card_carrier;
    enabled = enabled || !member->locally_disabled();
  }
  const bool was_live = std::exchange(port.live, live);
  const bool up_changed = std::exchange(port.admin_up, up) != up;
  const bool disabled_changed =
      std::exchange(port.disabled, live && !enabled) != (live && !enabled);
  const bool carrier_changed = std::exchange(port.carrier, carrier) != carrier;
  if (was_live && !live) {
    retire(port);
    return;
  }
  if (carrier_changed) {
    if (!carrier) { hooks_.carrier_lost(port); }
    port.gateway_reachable.reset();
    if (port.dhcp) { port.dhcp->carrier_changed(carrier); }
  }
  if (carrier_changed || up_changed || disabled_changed || live != was_live) {
    hooks_.changed(port);
  }
}

/// The port is not one any more: its cards are away, or another adapter leads it now. Its lease is
/// kept for the day it comes back.
void Ports::retire(Port& port) {
  hooks_.carrier_lost(port);
  port.bridge_ready = false;
  port.address_ready = false;
  port.dhcp.reset();
  port.gateway_probe.reset();
  port.gateway_reachable.reset();
  if (port.lease) { port.stored = port.lease; }
  port.lease.reset();
  port.lease6.reset();
  port.v6 = {};
  port.phase = dhcp::LeasePhase::none;
  hooks_.gone(port);
}

void Ports::lose(Port& card) {
  poller_.forget(card.name);
  card.present = false;
  card.card_carrier = false;
  card.card_up = false;
  card.speed_mbps = 0;
  base_by_index_.erase(card.index.value);
  events_.add("port.removed", {{"port", card.name}, {"mac", to_string(card.base_mac)}});
  settle(leader(card));
  hooks_.dirty("port gone");
}

/// Where every adapter belongs by the model: who leads, on which link the port's addresses are.
void Ports::take_places(const netmodel::Model& model) {
  for (const auto& [id, group] : model.groups) {
    const MacAddress& first = group.adapters.front();
    Port& port = ports_[to_hex(first)];
    if (!port.key.empty()) { continue; }
    port.key = to_hex(first);  // Never seen: the port lives under its name all the same.
    port.base_mac = first;
    port.name = to_string(first);
    number(port);
  }
  for (auto& [key, port] : ports_) { take_place(port, model); }
  for (auto& [key, port] : ports_) {
    if (port.leads()) { settle(port); }
  }
}

void Ports::take_place(Port& port, const netmodel::Model& model) {
  const auto settings = model.adapters.find(port.base_mac);
  const bool off = settings != model.adapters.end() && !settings->second.enabled;
  if (std::exchange(port.switched_off, off) || off) { port.was_up = false; }
  const MacAddress first = netmodel::leader_of(model, port.base_mac);
  std::string group = netmodel::group_of(model, port.base_mac);
  std::string l3 = netmodel::port_l3_name(model, port.base_mac);
  std::vector<MacAddress> members =
      group.empty() ? std::vector{port.base_mac} : model.groups.at(group).adapters;
  if (port.group == group && port.l3 == l3 && port.members == members) { return; }
  const bool moves = first != port.base_mac || l3 != port.l3;
  if (moves && port.live) {
    retire(port);
    port.live = false;
    port.carrier = false;
    port.admin_up = false;
    if (first == port.base_mac) { port.stored.reset(); }  // Another VLAN, another network.
  }
  port.group = std::move(group);
  port.members = std::move(members);
  port.l3 = std::move(l3);
  port.bridge = netmodel::port_bridge_name(first);
  if (!port.leads()) { port.bond_active.clear(); }
}

/// Something of an adapter changed that the path of its port shows.
void Ports::tell(const Port& adapter) { hooks_.changed(leader_of(adapter)); }

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
