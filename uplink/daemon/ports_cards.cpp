// The cards under the ports: taken from a dump, numbered by the store, watched for carrier, lost.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "netmodel/core/names.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

using netmodel::ObservedLink;
using netmodel::ObservedState;

MacAddress Ports::base_mac_of(const ObservedLink& link, const ObservedState& observed) {
  const auto seen = base_by_index_.find(link.index.value);
  if (seen != base_by_index_.end()) { return seen->second; }
  // A bridge of ours above it remembers the base MAC over our own restart.
  if (const ObservedLink* master = observed.find_link(link.link.master); master != nullptr) {
    for (const auto& [key, port] : ports_) {
      if (master->link.alias == netmodel::port_alias(port.base_mac)) { return port.base_mac; }
    }
  }
  const MacAddress shown = netmodel::base_mac(link).value_or(MacAddress{});
  if (link.permanent_mac || ports_.contains(to_hex(shown))) { return shown; }
  // Nothing on the card says who it is: it is the one that had this name when it was first seen.
  const auto known = std::ranges::find_if(ports_, [&link](const auto& item) {
    return !item.second.present && item.second.table != 0 && item.second.name == link.link.name;
  });
  return known == ports_.end() ? shown : known->second.base_mac;
}

/// A card with hundreds of virtual functions gives as many adapters: those beyond what the path
/// engine and the Console take are named, and left to the machine.
bool Ports::has_room_for(const ObservedLink& link) {
  const auto here =
      std::ranges::count_if(ports_, [](const auto& item) { return item.second.present; });
  if (std::cmp_less(here, PathEngine::ports_max)) { return true; }
  if (left_out_.insert(link.link.name).second) {
    spdlog::error("port.too_many port={} at_most={}", link.link.name, PathEngine::ports_max);
    events_.add("port.too_many",
                {{"port", link.link.name},
                 {"what", fmt::format("not used: {} ports are in use, no more are allowed; name "
                                      "the wanted ones in [adapters] match, or others in ignore",
                                      here)}});
  }
  return false;
}

void Ports::adopt(const ObservedLink& link, const ObservedState& observed,
                  const netmodel::Model& model) {
  const MacAddress base = base_mac_of(link, observed);
  if (base.is_zero()) { return; }
  base_by_index_[link.index.value] = base;
  const std::string key = to_hex(base);
  const bool fresh = !ports_.contains(key);
  if ((fresh || !ports_.at(key).present) && !has_room_for(link)) { return; }
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
  if (arrived || renamed || port.table == 0) { number(port); }
  if (arrived || renamed) { watch(port); }
  // The dump may be older than a pull that was seen meanwhile; the poller knows the present.
  const auto present = poller_.read(port.name);
  set_carrier(port, present ? present->admin_up : link.link.admin_up,
              present ? present->carrier : link.carrier, false);
  if (port.card_carrier && port.speed_mbps == 0) {
    port.speed_mbps = netmodel::read_speed_mbps(port.name).value_or(0);
    // The turn that saw the link was planned without it, and a group may need to be fast.
    if (port.speed_mbps != 0 && !port.group.empty()) { hooks_.dirty("link speed"); }
  }
  if (arrived || renamed) {
    settle(leader(port));
    tell(port);
    hooks_.dirty("port arrived");  // The turn that saw it was planned without it.
  }
}

/// Without its number, of which its table is made, a card cannot be used.
void Ports::number(Port& port) {
  if (std::exchange(port.numbering, true)) { return; }
  store_.run([mac = port.base_mac, name = port.name,
              now = wall_now()](store::Store& s) { return s.remember_adapter(mac, name, now); },
             [this, key = port.key](const Result<store::AdapterRecord>& record) {
               Port& numbered = ports_.at(key);
               numbered.numbering = false;
               if (!record) {
                 const std::string what = "not used: the store refused it: " + record.error().what;
                 if (numbered.table != 0) { return; }  // It has one from before.
                 if (std::exchange(numbered.number_trouble, what) != what) {
                   events_.add("port.trouble", {{"port", numbered.name}, {"what", what}});
                 }
                 return look_again();
               }
               const std::uint32_t table = netmodel::table_first + record->number;
               numbered.number_trouble.clear();
               if (numbered.table == table) { return; }
               numbered.table = table;
               hooks_.dirty("adapter numbered");
             });
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
  on_master(event);
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

}  // namespace edge::uplink
