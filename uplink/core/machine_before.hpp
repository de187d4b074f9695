// The adapters of the machine as they were before we first took them, for purge.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace edge::uplink {

/// An adapter before its first change. Addresses and routes are opaque to this room.
struct LinkBefore {
  std::uint32_t index = 0;  ///< A link that came anew under the name is another one.
  std::uint32_t mtu = 0;
  bool up = false;
  std::vector<std::string> addresses;
  std::vector<std::string> routes;
  bool operator==(const LinkBefore&) const = default;
};

/// Role: a value, kept as a JSON file in the state folder. Only of one boot: the next one starts
/// from the machine's own configuration again. Time: none. Threads: none.
struct MachineBefore {
  std::string boot_id;
  std::map<std::string, LinkBefore> links;  ///< By name.
  /// Per-link sysctls that the kernel changes when a machine-wide one is written: path to value.
  std::map<std::string, std::string> sysctls;

  bool empty() const { return links.empty() && sysctls.empty(); }
  std::string to_json() const;
  /// What to_json wrote. A text of another boot, or one that cannot be read, is as none at all.
  static MachineBefore from_json(std::string_view text, std::string boot_id);
};

}  // namespace edge::uplink
