// "http://USER:PASSWORD@HOST:PORT/PATH" of the configuration, as a value; and the same fit to be
// shown.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/net.hpp"

namespace edge::uplink {

struct HttpUrl {
  std::string user;      ///< Decoded; empty: none.
  std::string password;  ///< Decoded. Never shown, never logged.
  HostPort at;           ///< port 0: the URL names none.
  std::string path = "/";
};

/// Errors: invalid_input with the masked URL, what is wrong with it and what is allowed.
/// Source: RFC 3986 (percent-encoding in user and password), RFC 7617 section 2 (no ':' in a user
/// name, no control characters).
Result<HttpUrl> parse_http_url(std::string_view text);

/// The URL with what is or may be a secret as "***", printable, at most 120 characters.
std::string masked_url(std::string_view text);

}  // namespace edge::uplink
