// Recabling, guided: what was behind each port, what is now, and what of it is wrong. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edge::uplink {

/// What a port showed at one moment. Texts may be empty: not known.
struct PortSight {
  std::string key{};   ///< Base MAC in hex.
  std::string name{};  ///< For people.
  bool carrier = false;
  bool leased = false;
  bool path_up = false;
  std::string subnet{};
  std::string gateway{};
  std::string gateway_mac{};
  std::string server{};     ///< Of DHCP.
  std::string neighbour{};  ///< Switch and its port, where it told.

  /// Two ports with the same one are on the same network. The gateway's MAC tells twins apart that
  /// hand out the same subnet. Empty: not known.
  std::string network() const;
  bool operator==(const PortSight&) const = default;
};

/// The moment of `recable begin`, kept in the store.
struct RecableSnapshot {
  std::string began{};  ///< ISO 8601.
  std::vector<PortSight> ports{};
  bool operator==(const RecableSnapshot&) const = default;
};
std::string to_json_text(const RecableSnapshot& snapshot);
/// nullopt: not what to_json_text wrote.
std::optional<RecableSnapshot> recable_from_json(std::string_view text);

enum class RecableChange : std::uint8_t {
  same,
  swapped,    ///< Two ports have exchanged their networks.
  moved,      ///< It has the network that another port had.
  other,      ///< A network that no port had.
  unplugged,  ///< It had carrier.
  plugged,    ///< It had none, and has now.
  waiting,    ///< Carrier, but no lease yet: what is behind is not known.
  missing,    ///< The adapter is gone.
  none,       ///< No cable before and after.
};
std::string_view to_string(RecableChange change);

struct RecableRow {
  std::string port{};
  RecableChange change = RecableChange::same;
  std::string was{};     ///< "192.168.1.0/24 by 192.168.1.1", "no cable"
  std::string is{};      ///< The same for now.
  std::string with{};    ///< The other port of swapped and moved.
  std::string wrong{};   ///< Empty: nothing.
  std::string advice{};  ///< What to do about it.
};

struct RecableReport {
  std::vector<RecableRow> rows{};  ///< In the order of the ports.
  bool degraded() const;           ///< Something is wrong.
};

/// Compares. A change alone is not wrong: somebody is recabling. Wrong is what the host had and has
/// no more (carrier, lease, path), and one network behind two ports that were on different ones.
RecableReport compare(const RecableSnapshot& before, const std::vector<PortSight>& now);

}  // namespace edge::uplink
