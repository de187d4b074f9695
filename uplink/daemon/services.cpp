#include "uplink/daemon/services.hpp"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

namespace edge::uplink {

namespace {

dhcp::DnsmasqSettings settings_of(const netmodel::NetworkService& service) {
  dhcp::DnsmasqSettings out;
  out.network = service.network;
  out.bridge = service.bridge;
  out.gateway = {service.gateway, service.subnet.length};
  if (service.subnet6) { out.gateway6 = {netmodel::gateway6_of(*service.subnet6), 64}; }
  out.router = service.router;
  out.dhcp = service.range.has_value();
  if (service.range) {
    out.range_from = service.range->from;
    out.range_to = service.range->to;
  }
  if (service.mtu != 1500) { out.mtu = service.mtu; }
  for (const auto& r : service.reservations) {
    out.reservations.push_back({r.mac, r.address, r.name});
  }
  for (const auto& u : netmodel::in_turn(service.upstreams)) {
    if (out.upstreams.size() == dhcp::upstreams_max) { break; }
    out.upstreams.push_back({u.address, u.link});
  }
  return out;
}

}  // namespace

void Services::end_leftovers(const std::vector<netmodel::NetworkService>& wanted) {
  std::vector<std::string> keep;
  keep.reserve(wanted.size());
  for (const auto& service : wanted) { keep.push_back(service.network); }
  if (const auto ended = dhcp::end_leftovers(config_.paths.runtime, keep); !ended) {
    events_.add("network.trouble", {{"what", ended.error().what}});
  }
}

void Services::apply(const std::vector<netmodel::NetworkService>& wanted) {
  if (!std::exchange(looked_back_, true)) { end_leftovers(wanted); }
  for (auto it = services_.begin(); it != services_.end();) {
    const bool keep =
        std::ranges::any_of(wanted, [&](const auto& w) { return w.network == it->first; });
    if (keep) {
      ++it;
      continue;
    }
    auto child = std::shared_ptr<dhcp::Dnsmasq>(std::move(it->second.child));
    child->stop(true, [child] {});  // Lives until it has ended.
    it = services_.erase(it);
  }
  for (const auto& service : wanted) {
    Service& entry = services_[service.network];
    if (entry.child && entry.wanted == service && entry.trouble.empty()) { continue; }
    if (!entry.child) {
      dhcp::DnsmasqOptions options;
      options.runtime_dir = config_.paths.runtime;
      options.state_dir = config_.paths.state;
      entry.child = std::make_unique<dhcp::Dnsmasq>(
          io_, options, [this, name = service.network](const std::string& text) {
            const auto told = services_.find(name);
            if (told == services_.end()) { return; }  // Its last word; the network is gone.
            told->second.trouble = text;
            if (!text.empty()) {
              events_.add("network.trouble", {{"network", name}, {"what", text}});
            }
          });
    }
    entry.wanted = service;
    if (const auto applied = entry.child->apply(settings_of(service)); !applied) {
      entry.refused = true;
      if (entry.trouble != applied.error().what) {
        entry.trouble = applied.error().what;
        events_.add("network.trouble", {{"network", service.network}, {"what", entry.trouble}});
      }
    } else if (std::exchange(entry.refused, false)) {
      entry.trouble.clear();  // Else it is the child's, and it is for the child to say.
    }
  }
}

std::map<std::pair<std::string, MacAddress>, dhcp::GuestLease> Services::guests() const {
  std::map<std::pair<std::string, MacAddress>, dhcp::GuestLease> out;
  for (const auto& [name, service] : services_) {
    const auto leases = service.child->leases();
    if (!leases) { continue; }  // Shown as "no address"; the trouble line says why.
    for (const auto& lease : *leases) { out[{name, lease.mac}] = lease; }
  }
  return out;
}

std::vector<std::string> Services::problems() const {
  std::vector<std::string> out;
  for (const auto& [name, service] : services_) {
    if (!service.trouble.empty()) { out.push_back("network \"" + name + "\": " + service.trouble); }
  }
  return out;
}

bool Services::running(const std::string& network) const {
  const auto found = services_.find(network);
  return found != services_.end() && found->second.child->running();
}

void Services::leave() {
  for (auto& [name, service] : services_) { service.child->leave(); }
}

}  // namespace edge::uplink
