// Keeps <runtime>/resolv.conf as the leases and the active path say.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "netmodel/core/render.hpp"
#include "uplink/daemon/events.hpp"

namespace edge::uplink {

/// Threads: the io_context's.
class HostResolvers {
 public:
  static constexpr const char* file_name = "/resolv.conf";

  HostResolvers(const std::string& runtime, EventLog& events)
      : path_(runtime + file_name), events_(events) {}

  /// Of all ports, best first.
  void apply(std::vector<netmodel::DnsUpstream> resolvers);
  /// The layer-3 link of the active path; empty: there is none, and the order stays.
  void follow(std::string_view link);

 private:
  void write();

  const std::string path_;
  EventLog& events_;
  std::vector<netmodel::DnsUpstream> resolvers_;
  std::string link_;
  std::string written_;
  std::string trouble_;  ///< Told already.
};

}  // namespace edge::uplink
