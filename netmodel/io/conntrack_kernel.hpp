// The real conntrack table through ctnetlink; the kernel filters, so a busy host reads only its
// matches.
#pragma once

#include <memory>

#include "netmodel/io/conntrack_port.hpp"

namespace edge::netmodel {

/// Owns one netlink socket in the network namespace in which create() was called.
/// Time: none. Threads: none. Source: net/netfilter/nf_conntrack_netlink.c, CTA_FILTER (since 5.8).
class ConntrackKernel final : public ConntrackPort {
 public:
  /// Errors: denied without CAP_NET_ADMIN, unsupported without ctnetlink.
  static Result<std::unique_ptr<ConntrackKernel>> create();

  Result<unsigned> remove_for_address(const IpAddress& address) override;
  Result<unsigned> remove_for_publications(std::span<const Publication> publications,
                                           const UplinkPort& uplink) override;

  ~ConntrackKernel() override;

 private:
  struct Impl;
  explicit ConntrackKernel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edge::netmodel
