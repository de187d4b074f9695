// The id of a host: what its certificate and its configuration call it.
#pragma once

#include <string_view>

namespace edge {

inline constexpr std::string_view host_id_form = "[a-z0-9][a-z0-9-]{0,31}";

/// True: `id` is of that form. It is a part of a URI SAN, of a URL's path and of names of files.
constexpr bool is_host_id(std::string_view id) {
  if (id.empty() || id.size() > 32 || id.front() == '-') { return false; }
  for (const char c : id) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) { return false; }
  }
  return true;
}

}  // namespace edge
