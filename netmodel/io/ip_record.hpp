// A link's addresses and routes as the kernel's own messages, to be put back in every attribute.
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"

namespace edge::netmodel {

/// Each entry is a message without its header, in hex: struct ifaddrmsg or rtmsg and attributes.
/// Only of the boot and the interface index in which it was made.
struct IpRecord {
  std::vector<std::string> addresses{};  ///< In the kernel's order.
  std::vector<std::string> routes{};     ///< On-link ones first.
  bool operator==(const IpRecord&) const = default;
};

/// What somebody has set on `link`; what the kernel makes by itself (routes of its addresses,
/// link-local and RA addresses, table local) is left out. Opens a socket of its own.
/// Errors: not_found, or the errno.
Result<IpRecord> record_ip(const std::string& link);

/// Makes `link` show the record again; where an attribute differs, its addresses are set anew,
/// which no connection notices. Pre: the link is up. Errors: the first that the kernel refused; the
/// rest is done.
Result<void> put_back_ip(const std::string& link, const IpRecord& record);

}  // namespace edge::netmodel
