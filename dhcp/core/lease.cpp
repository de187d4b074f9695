// DHCP leases as values: what they mean, and which are refused.
#include "dhcp/core/lease.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace edge::dhcp {

std::optional<WallTime> Lease::expires() const {
  if (lease_time == forever) { return std::nullopt; }
  return acquired + lease_time;
}

std::optional<IpAddress> Lease::default_gateway() const {
  if (!classless_routes_present) {
    return routers.empty() ? std::nullopt : std::optional(routers.front());
  }
  for (const StaticRoute& route : routes) {
    if (route.destination.length == 0) { return route.gateway; }
  }
  return std::nullopt;
}

std::vector<StaticRoute> Lease::effective_routes() const {
  if (classless_routes_present) { return routes; }
  if (routers.empty()) { return {}; }
  return {{.destination = {.address = IpAddress::v4(0, 0, 0, 0), .length = 0},
           .gateway = routers.front()}};
}

bool Lease::same_effect(const Lease& other) const {
  return address == other.address && effective_routes() == other.effective_routes() &&
         dns == other.dns && domain == other.domain && search == other.search && mtu == other.mtu &&
         ntp == other.ntp;
}

namespace {

/// A lease from the future says that the clock is wrong now, or was.
constexpr std::chrono::minutes clock_tolerance{1};

}  // namespace

std::optional<std::chrono::milliseconds> remaining(const Lease& lease, WallTime wall) {
  if (lease.acquired > wall + clock_tolerance) { return std::nullopt; }
  const auto expires = lease.expires();
  if (!expires) { return std::chrono::milliseconds::max(); }
  if (*expires <= wall) { return std::nullopt; }
  return *expires - wall;
}

Result<void> validate(const Lease& lease) {
  const IpPrefix& own = lease.address;
  const auto refuse = [&own](std::string_view what) {
    return fail(Errc::invalid_input, fmt::format("lease address {}: {}", to_string(own), what));
  };
  if (own.address.family != Family::v4) { return refuse("must be IPv4"); }
  if (own.length < 1 || own.length > 32) { return refuse("prefix length must be 1..32"); }
  const auto first = own.address.bytes[0];
  if (first == 0 || first == 127 || first >= 224) {
    return refuse("must be a unicast address in 1.0.0.0..223.255.255.255 outside 127.0.0.0/8");
  }
  if (own.length <= 30 &&
      (own.address == own.network().address || own.address == own.broadcast())) {
    return refuse("is the network's own or its broadcast address");
  }
  const auto seconds_in_range = [](std::chrono::seconds value) {
    return value > std::chrono::seconds(0) && value <= Lease::forever;
  };
  if (!seconds_in_range(lease.lease_time)) {
    return fail(Errc::invalid_input, fmt::format("lease time {} s is out of range 1..4294967295",
                                                 lease.lease_time.count()));
  }
  if (!seconds_in_range(lease.renewal_time) || lease.renewal_time > lease.rebinding_time ||
      lease.rebinding_time > lease.lease_time) {
    return fail(Errc::invalid_input,
                fmt::format("lease times T1 {} s, T2 {} s, end {} s: must be 1 <= T1 <= T2 <= end",
                            lease.renewal_time.count(), lease.rebinding_time.count(),
                            lease.lease_time.count()));
  }
  if (lease.mtu && (*lease.mtu < 576 || *lease.mtu > 65535)) {
    return fail(Errc::invalid_input,
                fmt::format("lease MTU {} is out of range 576..65535", *lease.mtu));
  }
  return {};
}

std::optional<std::chrono::seconds> Lease6::first_end() const {
  std::optional<std::chrono::seconds> out;
  for (const Lease6Address& address : addresses) {
    if (address.valid < Lease::forever) {
      out = std::min(out.value_or(address.valid), address.valid);
    }
  }
  return out;
}

Lease6 Lease6::after(std::chrono::milliseconds elapsed) const {
  Lease6 out = *this;
  std::erase_if(out.addresses, [elapsed](const Lease6Address& address) {
    return address.valid < Lease::forever && address.valid <= elapsed;
  });
  return out;
}

std::optional<std::chrono::milliseconds> age(const Lease6& lease, WallTime wall) {
  if (lease.acquired > wall + clock_tolerance) { return std::nullopt; }
  return std::max(wall - lease.acquired, std::chrono::milliseconds(0));
}

}  // namespace edge::dhcp
