// The DHCP clients of the ports, and what their leases, IPv6 and gateways are known to be.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/ports.hpp"

namespace edge::uplink {

using netmodel::ObservedState;

void Ports::start_dhcp(Port& port) {
  const std::string key = port.key;
  dhcp::DhcpClientOptions options;
  options.interface = port.l3;
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
    return look_again();
  }
  port.trouble.clear();
  port.dhcp = std::move(*client);
  port.dhcp->start_with(std::exchange(port.stored, std::nullopt), port.carrier);
  recall_lease6(port);
}

/// A server and a gateway that are both silent prove nothing, and say nothing either.
void Ports::end_standing_later() {
  standing_timer_.expires_after(standing_max);
  standing_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    bool ended = false;
    for (auto& [key, port] : ports_) {
      if (std::exchange(port.standing, false) && port.lease && !port.lease_usable()) {
        ended = true;
      }
    }
    if (ended) { hooks_.dirty("not proven"); }
  });
}

/// What the store or the disk refused is tried again with the next look.
void Ports::look_again() {
  again_timer_.expires_after(again_after);
  again_timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec && !stopping_) { hooks_.dirty("tried again"); }
  });
}

/// A static address is a lease that never ends and that nobody stores: the model is its record.
void Ports::hold_static(Port& port, const netmodel::LeaseFacts& facts) {
  dhcp::Lease lease{.address = facts.address};
  lease.routers = facts.routers;
  lease.dns = facts.dns;
  lease.lease_time = dhcp::Lease::forever;
  lease.renewal_time = dhcp::Lease::forever;
  lease.rebinding_time = dhcp::Lease::forever;
  lease.acquired = wall_now();
  if (port.is_static && port.lease && port.lease->same_effect(lease)) { return; }
  port.is_static = true;
  port.dhcp.reset();
  port.stored.reset();
  on_lease(port.key, dhcp::LeaseUpdate{.phase = dhcp::LeasePhase::bound,
                                       .cause = dhcp::LeaseCause::configured,
                                       .lease = std::move(lease),
                                       .effect_changed = true});
}

void Ports::on_lease(const std::string& key, const dhcp::LeaseUpdate& update) {
  Port& port = ports_.at(key);
  port.standing = port.standing && update.cause == dhcp::LeaseCause::started;
  const std::optional<dhcp::Lease> before = std::exchange(port.lease, update.lease);
  const dhcp::LeasePhase phase_before = std::exchange(port.phase, update.phase);
  if (update.lease && update.cause != dhcp::LeaseCause::configured) {
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
  port.stored6.reset();
  if (update.lease) {
    store_.run(
        [record = store::LeaseRecord{port.base_mac, Family::v6, dhcp::to_json(*update.lease),
                                     wall_now()}](store::Store& s) { return s.put_lease(record); },
        [](const Result<void>& stored) {
          if (!stored) { spdlog::error("lease6.not_stored reason={}", stored.error().what); }
        });
  } else {
    store_.run([mac = port.base_mac](store::Store& s) { return s.remove_lease(mac, Family::v6); },
               [](const Result<void>&) {});  // A stale row is harmless: its own end decides.
  }
  hold_lease6(port, update.lease);
}

/// The kernel keeps what we put there until we take it away: lifetimes end here.
void Ports::hold_lease6(Port& port, std::optional<dhcp::Lease6> lease) {
  const auto elapsed = lease ? dhcp::age(*lease, wall_now()) : std::nullopt;
  const auto ends = elapsed ? lease->first_end() : std::nullopt;
  const std::set<IpAddress> addresses_before = port.addresses();
  port.lease6 = std::move(lease);
  port.lease6_ends.reset();
  if (ends) { port.lease6_ends = mono_now() + (*ends - *elapsed); }
  port.v6.owned.clear();
  port.v6.dns.clear();
  if (port.lease6) {
    for (const auto& address : port.lease6->addresses) {
      port.v6.owned.push_back({address.address, 128});
    }
    port.v6.dns = port.lease6->dns;
  }
  arm_lease6_timer();
  tell_lost(port, addresses_before);
  hooks_.dirty("lease6");
  hooks_.changed(port);
}

/// Of an earlier life: what has not ended goes on, until the wire says something else or it ends.
void Ports::recall_lease6(Port& port) {
  const std::optional<dhcp::Lease6> stored = std::exchange(port.stored6, std::nullopt);
  const auto elapsed = stored ? dhcp::age(*stored, wall_now()) : std::nullopt;
  if (!elapsed) { return; }
  dhcp::Lease6 lease = stored->after(*elapsed);
  if (!lease.addresses.empty()) { hold_lease6(port, std::move(lease)); }
}

void Ports::arm_lease6_timer() {
  std::optional<MonoTime> next;
  for (const auto& [key, port] : ports_) {
    if (port.lease6_ends) { next = std::min(next.value_or(*port.lease6_ends), *port.lease6_ends); }
  }
  lease6_timer_.cancel();
  if (!next || stopping_) { return; }
  lease6_timer_.expires_at(to_steady(*next));
  lease6_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    for (auto& [key, port] : ports_) {
      if (!port.lease6_ends || *port.lease6_ends > mono_now()) { continue; }
      // By the clock that made the deadline: the wall clock may have been set since.
      dhcp::Lease6 rest = port.lease6->after(*port.lease6->first_end());
      events_.add("lease6.expired", {{"port", port.name}});
      on_lease6(key, {.lease = rest.addresses.empty() ? std::nullopt : std::optional(rest)});
    }
    arm_lease6_timer();
  });
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
  question.interface = port.l3;
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

}  // namespace edge::uplink
