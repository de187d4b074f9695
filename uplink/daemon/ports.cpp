#include "uplink/daemon/ports.hpp"

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "netmodel/core/names.hpp"
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
                     const std::vector<store::LeaseRecord>& leases) {
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
    if (port.name == name_or_mac || key == name_or_mac || to_string(port.base_mac) == name_or_mac ||
        port.bridge == name_or_mac) {
      return &port;
    }
  }
  return nullptr;
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
  std::vector<std::uint32_t> seen;
  for (const ObservedLink* link : netmodel::adapters(observed, globs_)) {
    adopt(*link, observed);
    seen.push_back(link->index.value);
  }
  for (auto& [key, port] : ports_) {
    const bool here = port.present && std::ranges::find(seen, port.index.value) != seen.end();
    if (port.present && !here) { lose(port); }
    if (!here) { continue; }
    const ObservedLink* bridge = observed.find_link(port.bridge);
    port.bridge_ready = bridge != nullptr && bridge->ours() && bridge->link.admin_up;
    const bool ready =
        port.lease && std::ranges::any_of(observed.addresses, [&](const auto& address) {
          return address.link == port.bridge && address.prefix == port.lease->address;
        });
    const bool readiness_changed = std::exchange(port.address_ready, ready) != ready;
    read_v6(port, observed);
    if (readiness_changed) { hooks_.changed(port); }
    const auto settings = model.adapters.find(port.base_mac);
    const bool enabled = settings == model.adapters.end() || settings->second.enabled;
    if (port.bridge_ready && enabled && !port.dhcp && !stopping_) { start_dhcp(port); }
    if (!enabled && port.dhcp) {
      port.dhcp.reset();
      on_lease(key, dhcp::LeaseUpdate{.phase = dhcp::LeasePhase::none,
                                      .cause = dhcp::LeaseCause::carrier_lost,
                                      .lease = std::nullopt,
                                      .effect_changed = true});
    }
    if (port.dhcp && bridge != nullptr) {
      port.dhcp->renew_v6(bridge->ra_managed, bridge->ra_other);
    }
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

void Ports::adopt(const ObservedLink& link, const ObservedState& observed) {
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
  port.bridge = netmodel::port_bridge_name(base);
  port.name = link.link.name;
  port.present = true;
  port.index = link.index;
  port.mtu = link.link.mtu.value_or(1500);
  port.mtu_min = link.mtu_min;
  port.mtu_max = link.mtu_max;
  if (arrived) {
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
  if (arrived || renamed) { hooks_.changed(port); }
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
  const auto interval = port.key == active_ ? netmodel::CarrierPoller::active_interval
                                            : netmodel::CarrierPoller::standby_interval;
  if (const auto reading = poller_.watch(port.name, port.index, interval); !reading) {
    spdlog::warn("carrier.watch port={} reason={}", port.name, reading.error().what);
  }
}

void Ports::set_active(const std::string& key) {
  if (active_ == key) { return; }
  const std::string before = std::exchange(active_, key);
  for (const auto& name : {before, key}) {
    const auto found = ports_.find(name);
    if (found != ports_.end() && found->second.present) { watch(found->second); }
  }
}

void Ports::on_link(const netmodel::LinkEvent& event) {
  poller_.on_link_event(event);  // Calls back at once where the carrier differs from what is known.
  Port* port = by_name(event.name);
  const bool admin_changed = port != nullptr && port->index == event.index && !event.gone &&
                             port->admin_up != event.admin_up;
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

void Ports::set_carrier(Port& port, bool admin_up, bool carrier, bool short_pull) {
  const bool admin_changed = port.admin_up != admin_up;
  const bool carrier_changed = port.carrier != carrier;
  port.admin_up = admin_up;
  port.carrier = carrier;
  port.was_up = port.was_up || admin_up;
  if (short_pull && !carrier_changed && port.dhcp) { port.dhcp->short_pull(); }
  if (!admin_changed && !carrier_changed) { return; }
  if (carrier_changed) {
    if (!carrier) { hooks_.carrier_lost(port); }
    port.gateway_reachable.reset();
    if (port.dhcp) { port.dhcp->carrier_changed(carrier); }
    events_.add(carrier ? "port.carrier_up" : "port.carrier_down",
                {{"port", port.name}, {"mac", to_string(port.base_mac)}, {"admin_up", admin_up}});
  }
  hooks_.changed(port);
  hooks_.dirty(carrier ? "carrier up" : "carrier down");
}

void Ports::lose(Port& port) {
  poller_.forget(port.name);
  port.present = false;
  port.carrier = false;
  port.admin_up = false;
  port.bridge_ready = false;
  port.address_ready = false;
  port.dhcp.reset();
  port.gateway_probe.reset();
  if (port.lease) { port.stored = port.lease; }
  port.lease.reset();
  port.lease6.reset();
  port.v6 = {};
  port.phase = dhcp::LeasePhase::none;
  base_by_index_.erase(port.index.value);
  events_.add("port.removed", {{"port", port.name}, {"mac", to_string(port.base_mac)}});
  hooks_.carrier_lost(port);
  hooks_.gone(port);
  hooks_.dirty("port gone");
}

void Ports::start_dhcp(Port& port) {
  const std::string key = port.key;
  dhcp::DhcpClientOptions options;
  options.interface = port.bridge;
  options.key = key;
  options.runtime_dir = config_.paths.runtime;
  options.state_dir = config_.paths.state;
  auto client = dhcp::DhcpClient::create(
      io_, options,
      {.on_lease = [this, key](const dhcp::LeaseUpdate& update) { on_lease(key, update); },
       .on_lease6 = [this, key](const dhcp::Lease6Update& update) { on_lease6(key, update); },
       .on_trouble =
           [this, key](const std::string& text) {
             Port& p = ports_.at(key);
             p.trouble = text;
             if (!text.empty()) { events_.add("dhcp.trouble", {{"port", p.name}, {"what", text}}); }
           }});
  if (!client) {
    if (port.trouble != client.error().what) {
      port.trouble = client.error().what;
      events_.add("dhcp.trouble", {{"port", port.name}, {"what", port.trouble}});
    }
    return;
  }
  port.dhcp = std::move(*client);
  port.dhcp->start_with(std::exchange(port.stored, std::nullopt), port.carrier);
}

void Ports::on_lease(const std::string& key, const dhcp::LeaseUpdate& update) {
  Port& port = ports_.at(key);
  const std::optional<dhcp::Lease> before = std::exchange(port.lease, update.lease);
  const dhcp::LeasePhase phase_before = std::exchange(port.phase, update.phase);
  if (update.lease) {
    store_.run(
        [record = store::LeaseRecord{port.base_mac, Family::v4, dhcp::to_json(*update.lease),
                                     wall_now()}](store::Store& s) { return s.put_lease(record); },
        [](const Result<void>& stored) {
          if (!stored) { spdlog::error("lease.not_stored reason={}", stored.error().what); }
        });
  } else if (update.cause == dhcp::LeaseCause::expired ||
             update.cause == dhcp::LeaseCause::refused ||
             update.cause == dhcp::LeaseCause::conflict) {
    store_.run([mac = port.base_mac](store::Store& s) { return s.remove_lease(mac, Family::v4); },
               [](const Result<void>&) {});  // A stale row is harmless: its own expiry decides.
  }
  const bool address_gone = before && (!update.lease || update.lease->address != before->address);
  if (address_gone) { hooks_.address_lost(port, before->address.address); }
  if (!update.effect_changed && phase_before == update.phase) { return; }
  boost::json::object data{{"port", port.name},
                           {"phase", std::string(to_string(update.phase))},
                           {"cause", std::string(to_string(update.cause))}};
  if (update.lease) { data["address"] = to_string(update.lease->address); }
  if (!update.detail.empty()) { data["detail"] = update.detail; }
  events_.add(update.lease ? "lease.changed" : "lease.lost", std::move(data));
  port.address_ready =
      port.address_ready && before && update.lease && before->address == update.lease->address;
  hooks_.dirty("lease");
  hooks_.changed(port);
}

void Ports::on_lease6(const std::string& key, const dhcp::Lease6Update& update) {
  Port& port = ports_.at(key);
  port.lease6 = update.lease;
  port.v6.owned.clear();
  port.v6.dns.clear();
  if (update.lease) {
    for (const auto& address : update.lease->addresses) {
      port.v6.owned.push_back({address.address, 128});
    }
    port.v6.dns = update.lease->dns;
  }
  hooks_.dirty("lease6");
  hooks_.changed(port);
}

void Ports::read_v6(Port& port, const ObservedState& observed) {
  std::vector<IpPrefix> seen;
  for (const auto& address : observed.addresses) {
    const IpAddress& ip = address.prefix.address;
    if (address.link == port.bridge && ip.family == Family::v6 && !address.ours &&
        !ip.is_link_local()) {
      seen.push_back(address.prefix);
    }
  }
  std::optional<IpAddress> gateway;
  for (const auto& route : observed.routes) {
    const bool from_ra = route.link == port.bridge &&
                         route.destination.address.family == Family::v6 &&
                         route.destination.length == 0 && route.protocol != netmodel::our_protocol;
    if (from_ra && route.gateway) { gateway = route.gateway; }
  }
  if (seen == port.v6.seen && gateway == port.v6.default_gateway) { return; }
  port.v6.seen = std::move(seen);
  port.v6.default_gateway = gateway;
  hooks_.dirty("ipv6");
  hooks_.changed(port);
}

void Ports::on_neighbour(const netmodel::NeighbourEvent& event) {
  const netmodel::Neighbour& neighbour = event.neighbour;
  for (auto& [key, port] : ports_) {
    const bool is_gateway = port.bridge == neighbour.link && port.lease &&
                            port.lease->default_gateway() == neighbour.address;
    if (!is_gateway) { continue; }
    std::optional<bool> reachable = port.gateway_reachable;
    if (neighbour.failed) { reachable = false; }
    if (neighbour.confirmed) { reachable = true; }
    const bool other_mac = neighbour.confirmed && neighbour.mac && port.lease->gateway_mac &&
                           *neighbour.mac != *port.lease->gateway_mac;
    if (other_mac && port.dhcp) { port.dhcp->revalidate("the gateway's MAC changed"); }
    if (reachable == port.gateway_reachable) { continue; }
    port.gateway_reachable = reachable;
    hooks_.changed(port);
  }
}

void Ports::revalidate(const std::string& key, std::string_view reason) {
  const auto found = ports_.find(key);
  if (found != ports_.end() && found->second.dhcp) { found->second.dhcp->revalidate(reason); }
}

void Ports::probe_gateway(const std::string& key) {
  const auto found = ports_.find(key);
  if (found == ports_.end()) { return; }
  Port& port = found->second;
  const auto gateway = port.lease ? port.lease->default_gateway() : std::nullopt;
  if (!gateway || !port.carrier || !port.lease_usable() || port.gateway_probe) { return; }
  port.gateway_probe = std::make_unique<dhcp::ArpProbe>(io_);
  dhcp::ArpQuestion question;
  question.interface = port.bridge;
  question.target = *gateway;
  question.source = port.lease->address.address;
  question.timeout = std::chrono::milliseconds(1500);
  question.ignore = port.base_mac;
  port.gateway_probe->ask(std::move(question), [this, key](const Result<dhcp::ArpAnswer>& answer) {
    const auto asked = ports_.find(key);
    if (asked == ports_.end()) { return; }
    // The probe is the one that calls us: it goes when the loop has left it.
    boost::asio::post(
        io_, [probe = std::shared_ptr<dhcp::ArpProbe>(std::move(asked->second.gateway_probe))] {});
    if (!answer && answer.error().os_errno != ETIMEDOUT) { return; }  // We could not even ask.
    if (asked->second.gateway_reachable == answer.has_value()) { return; }
    asked->second.gateway_reachable = answer.has_value();
    hooks_.changed(asked->second);
  });
}

void Ports::drain(const MacAddress& base_mac, std::chrono::seconds duration) {
  const auto found = ports_.find(to_hex(base_mac));
  if (found == ports_.end()) { return; }
  Port& port = found->second;
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

std::vector<netmodel::AdapterFacts> Ports::adapter_facts() const {
  std::vector<netmodel::AdapterFacts> out;
  for (const auto& [key, port] : ports_) {
    if (!port.present || port.table == 0) { continue; }
    netmodel::AdapterFacts facts;
    facts.name = port.name;
    facts.base_mac = port.base_mac;
    facts.table = port.table;
    facts.mtu = port.mtu;
    facts.mtu_min = port.mtu_min;
    facts.mtu_max = port.mtu_max;
    // A lease that is not proven on the wire as it is plugged now keeps its address, not its
    // routes.
    facts.carrier = port.carrier && (!port.lease || port.lease_usable());
    facts.locally_disabled = port.locally_disabled();
    facts.drained = port.drained_until.has_value();
    facts.v6 = port.v6;
    if (port.lease) {
      netmodel::LeaseFacts lease;
      lease.address = port.lease->address;
      lease.routers = port.lease->routers;
      for (const auto& route : port.lease->routes) {
        lease.classless_routes.push_back({route.destination, route.gateway});
      }
      lease.dns = port.lease->dns;
      lease.mtu = port.lease->mtu;
      facts.lease = std::move(lease);
    }
    out.push_back(std::move(facts));
  }
  return out;
}

std::vector<netmodel::KnownAdapter> Ports::known_adapters() const {
  std::vector<netmodel::KnownAdapter> out;
  for (const auto& [key, port] : ports_) {
    if (port.present) { out.push_back({port.base_mac, port.name, port.mtu_min, port.mtu_max}); }
  }
  return out;
}

std::vector<netmodel::TakenPrefix> Ports::taken() const {
  std::vector<netmodel::TakenPrefix> out = foreign_;
  for (const auto& [key, port] : ports_) {
    if (port.lease) {
      out.push_back({port.lease->address.network(), "the lease of port \"" + port.name + "\""});
    }
  }
  return out;
}

PortFacts Ports::path_facts(const Port& port, unsigned rank) const {
  PortFacts facts;
  facts.port = port.key;
  facts.name = port.name;
  facts.enabled = !port.drained_until;
  facts.admin_up = port.admin_up || !port.was_up;
  facts.carrier = port.carrier;
  if (port.lease_usable() && port.address_ready) {
    facts.addresses.push_back(port.lease->address.address);
  }
  if (port.carrier) {
    for (const auto& prefix : port.v6.seen) { facts.addresses.push_back(prefix.address); }
    for (const auto& prefix : port.v6.owned) { facts.addresses.push_back(prefix.address); }
  }
  facts.gateway_reachable = port.gateway_reachable;
  facts.rank = rank;
  return facts;
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
