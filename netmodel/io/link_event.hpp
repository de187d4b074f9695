// What the kernel says about a change, decoded from bytes. Pure: any bytes are safe to pass in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "netmodel/core/state.hpp"
#include "netmodel/io/link_names.hpp"
#include "netmodel/io/neighbour.hpp"

namespace edge::netmodel {

/// One link as it is now. Every RTM_NEWLINK says all of it, so handlers compare, not accumulate.
struct LinkEvent {
  std::string name;
  IfIndex index{0};
  LinkKind kind = LinkKind::other;
  bool appeared = false;     ///< First seen by this monitor: at its start, or just made.
  bool gone = false;         ///< Deleted or moved to another namespace; the rest is the last known.
  std::string renamed_from;  ///< Empty: name unchanged.
  bool admin_up = false;     ///< IFF_UP.
  bool carrier = false;      ///< IFF_LOWER_UP.
  std::uint32_t carrier_up_count = 0;
  std::uint32_t carrier_down_count = 0;
  std::optional<MacAddress> mac;
  std::optional<MacAddress> permanent_mac;
  std::uint32_t mtu = 0;
  std::string master;  ///< Name, if the monitor knows it; "#<index>" if not; empty: none.
  std::string alias;
  /// Of an active-backup bond: the member that carries its traffic; empty: none, or no such bond.
  /// The kernel tells of every switch (IFLA_EVENT_BONDING_FAILOVER), pulled or planned.
  std::string bond_active;
  bool has_device = false;
  bool by_us = false;  ///< Caused by a request of the port given as `own_port`.
  bool operator==(const LinkEvent&) const = default;
  bool ours() const { return alias.starts_with(our_alias); }
};

enum class ChangeKind : std::uint8_t { address, route, rule, bridge_port, unknown };

/// Something else changed; `text` says what, in `ip monitor` words, at most text_bytes_max bytes.
struct KernelChange {
  static constexpr std::size_t text_bytes_max = 160;

  ChangeKind kind = ChangeKind::unknown;
  bool removed = false;
  bool ours = false;   ///< Carries our protocol mark.
  bool by_us = false;  ///< As in LinkEvent.
  std::string link;    ///< Empty: none (rules, blackhole routes).
  std::string text;
  bool operator==(const KernelChange&) const = default;
};

/// An ARP or NDP entry changed: tells who the gateway is (a moved cable has another MAC behind the
/// same address).
struct NeighbourEvent {
  Neighbour neighbour;
  bool gone = false;
  bool operator==(const NeighbourEvent&) const = default;
};

/// A dump's end or an error that arrived between notifications.
struct MonitorControl {
  enum class What : std::uint8_t { dump_done, dump_interrupted, error, overrun };
  What what = What::error;
  int os_errno = 0;
  bool operator==(const MonitorControl&) const = default;
};

using MonitorEvent = std::variant<LinkEvent, KernelChange, NeighbourEvent, MonitorControl>;

/// Decodes one datagram from a NETLINK_ROUTE socket and calls `sink` per message, in order. `names`
/// is read only. Truncated or nonsensical messages become a KernelChange of kind unknown with the
/// type and size in its text; never an assertion, never an endless loop.
/// LinkEvent::appeared and renamed_from are left to LinkTable, which knows the past.
void decode_events(std::span<const std::byte> datagram, const LinkNames& names,
                   std::uint32_t own_port, const std::function<void(MonitorEvent)>& sink);

/// The links that were seen so far: turns raw link events into appeared, renamed and gone.
/// Time: none. Threads: none.
class LinkTable {
 public:
  const LinkNames& names() const { return names_; }
  /// Fills appeared and renamed_from, remembers. nullopt: the end of a link never heard of.
  std::optional<LinkEvent> on_link(LinkEvent event);
  /// A full dump begins: on_dump_end() returns as gone whatever neither it nor an event showed
  /// since.
  void on_dump_begin();
  std::vector<LinkEvent> on_dump_end();

 private:
  struct Known {
    LinkEvent last;
    bool seen = false;
  };
  std::map<std::uint32_t, Known> links_;
  LinkNames names_;
};

}  // namespace edge::netmodel
