// Over which paths a change leaves the Console reachable, and which of them is the active one then.
// Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "base/net.hpp"

namespace edge::uplink {

/// A path that is up, before the change.
struct Way {
  std::string port_key{};  ///< As in PathKey.
  std::string port{};      ///< As people call it.
  std::string endpoint{};  ///< "HOST:PORT", as the list of endpoints has it.
  IpAddress address{};     ///< Of the Console, at the other end.
  /// "eth0/console.example.net:8443", the name of the path everywhere else.
  std::string name() const { return port + "/" + endpoint; }
  bool operator==(const Way&) const = default;
};

struct WayChange {
  std::set<std::string> leaving{};   ///< Keys of ports that end: their paths with them.
  std::set<std::string> affected{};  ///< Keys of ports whose paths are dialled anew.
  std::set<IpAddress> covered{};     ///< Addresses that become the host's own.
  /// Where the Console is reached from then on; nullopt: as before.
  std::optional<std::vector<std::string>> endpoints{};
};

enum class Dialled : std::uint8_t {
  stays,  ///< Not at all: its connection goes on.
  anew,   ///< Its connection ends and is made again, as a proof.
  first,  ///< To an address of the Console that is new.
};
std::string_view to_string(Dialled dialled);

struct WayAfter {
  Way way{};
  Dialled dialled = Dialled::stays;
  bool operator==(const WayAfter&) const = default;
};

struct WaysAfter {
  std::optional<std::string> was_active{};  ///< Name of the path.
  std::vector<WayAfter> left{};             ///< The first is the active one once all are dialled.
  std::vector<Way> ended{};
  /// A connection goes on, so that the host is never away. (While others are to be dialled the
  /// trial of the change finds out whether it comes back.)
  bool reachable() const { return !left.empty() && left.front().dialled != Dialled::first; }
};

/// `up`: paths that are up, the active one first, then in the order in which they would follow it.
WaysAfter ways_after(const std::vector<Way>& up, const WayChange& change);

/// "the Console stays reachable over eth1/c:8443 (becomes active), eth2/c:8443"; empty where no
/// path is up.
std::string to_line(const WaysAfter& ways);

/// `{"reachable", "was_active", "active", "paths": [{"path", "port", "endpoint", "role": "active"
/// or "standby", "dialled": "stays", "anew" or "first"}], "ended": [{"path", "port", "endpoint"}]}`
boost::json::object to_json(const WaysAfter& ways);

}  // namespace edge::uplink
