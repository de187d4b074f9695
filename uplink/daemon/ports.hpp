// The host's physical ports: found, named for good, given DHCP, and turned into facts.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "netmodel/core/render.hpp"
#include "netmodel/io/carrier_poller.hpp"
#include "netmodel/io/link_monitor.hpp"
#include "netmodel/io/physical.hpp"
#include "store/io/store_worker.hpp"
#include "uplink/core/config.hpp"
#include "uplink/core/path_engine.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/port.hpp"

namespace edge::uplink {

/// Role: owns the ports and their DHCP clients; tells the daemon what changed.
/// Time: steady timers. Threads: the io_context's.
class Ports {
 public:
  struct Hooks {
    std::function<void(const std::string& why)> dirty;  ///< The kernel must be looked at again.
    std::function<void(const Port&)> changed;           ///< Facts of a path changed.
    std::function<void(const Port&)> gone;
    /// The carrier of a port, of every member of it, was lost: before everything else.
    std::function<void(const Port&)> carrier_lost;
    /// The bond of a port carries on another member (names; empty: none).
    std::function<void(const Port&, const std::string& from, const std::string& to)> bond_moved;
    /// Another link leads out of the port's bridge (Port::wire): a bond was made, or dissolved.
    std::function<void(const Port&)> wire_changed;
    /// An address is no longer usable: its conntrack entries must go.
    std::function<void(const Port&, const IpAddress&)> address_lost;
  };

  Ports(boost::asio::io_context& io, const Config& config, store::StoreWorker& store,
        EventLog& events, Hooks hooks);
  ~Ports();

  /// Adapters and leases of earlier runs. Call before the first dump.
  /// `own_mtus`: what keep_mtus wrote, empty: nothing.
  void remember(const std::vector<store::AdapterRecord>& adapters,
                const std::vector<store::LeaseRecord>& leases, const std::string& own_mtus);
  static constexpr const char* own_mtus_setting = "own_mtus";
  /// What a former life left standing is believed for so long without a word from server or
  /// gateway: each is asked several times in it (dhcp/README.md).
  static constexpr std::chrono::seconds standing_max{5};
  static constexpr std::chrono::seconds again_after{5};

  /// Those of the dump that we were given.
  std::vector<const netmodel::ObservedLink*> adapters(
      const netmodel::ObservedState& observed) const {
    return netmodel::adapters(observed, globs_);
  }

  /// The truth: adapters that came, went, were renamed; bridges that stand; IPv6 that the kernel
  /// made.
  void on_dump(const netmodel::ObservedState& observed, const netmodel::Model& model);
  /// Which adapter leads and which belongs, before the kernel is changed: a path over a port that
  /// is about to go is left in good time.
  void take_places(const netmodel::Model& model);
  /// Faster than a dump, for carrier and admin state of known ports.
  void on_link(const netmodel::LinkEvent& event);
  /// What the poller has read.
  void on_carrier(const netmodel::CarrierChange& change);
  void on_neighbour(const netmodel::NeighbourEvent& event);
  /// Which port the tunnel's active path runs over: its carrier is read more often.
  void set_active(const std::string& key);

  /// Of the port that the adapter belongs to; 0 s: ends it.
  void drain(const MacAddress& base_mac, std::chrono::seconds duration);
  /// nullopt: it is not drained, or not known.
  std::optional<MonoTime> drained_until(const MacAddress& base_mac) const;
  void revalidate(const std::string& key, std::string_view reason);
  /// Asks the port's gateway by ARP; the answer, or its absence, becomes a path fact.
  void probe_gateway(const std::string& key);

  const std::map<std::string, Port>& all() const { return ports_; }
  const Port* find(const std::string& key) const;
  const Port* find_by_name(std::string_view name_or_mac) const;

  /// The port that an adapter belongs to; itself when it leads.
  const Port& leader_of(const Port& adapter) const;
  /// The adapters of a port that are known, the leader first.
  std::vector<const Port*> members_of(const Port& leader) const;

  std::vector<netmodel::AdapterFacts> adapter_facts() const;
  std::vector<netmodel::KnownAdapter> known_adapters() const;
  /// Foreign addresses of the machine.
  const std::vector<netmodel::TakenPrefix>& foreign() const { return foreign_; }
  /// Somebody else's ports of our bridges, by bridge.
  const std::map<std::string, std::vector<std::string>>& foreign_ports() const {
    return foreign_ports_;
  }
  /// foreign() and the leases.
  std::vector<netmodel::TakenPrefix> taken() const;
  PortFacts path_facts(const Port& port, unsigned rank) const;

  /// Ends all DHCP children, then calls `done`. The dataplane stays as it is.
  void stop(std::function<void()> done);

 private:
  void look_at(Port& port, const netmodel::ObservedState& observed, const netmodel::Model& model);
  static bool stands(const Port& port, const dhcp::Lease& lease,
                     const netmodel::ObservedState& observed);
  void keep_bridges(const netmodel::ObservedState& observed);
  static std::string wire_of(const Port& port, const netmodel::ObservedState& observed);
  void arm_drain_timer();
  Port* by_name(std::string_view name);

  // ports_cards.cpp
  bool has_room_for(const netmodel::ObservedLink& link);
  void adopt(const netmodel::ObservedLink& link, const netmodel::ObservedState& observed,
             const netmodel::Model& model);
  MacAddress base_mac_of(const netmodel::ObservedLink& link,
                         const netmodel::ObservedState& observed);
  void number(Port& port);
  void learn_mtu(Port& port, const netmodel::ObservedLink& link,
                 const netmodel::ObservedState& observed);
  void keep_mtus();
  void watch(Port& port);
  void set_carrier(Port& card, bool admin_up, bool carrier, bool short_pull);
  void lose(Port& card);

  // ports_places.cpp
  void take_place(Port& port, const netmodel::Model& model);
  Port& leader(const Port& adapter);
  void settle(Port& port);
  void retire(Port& port);
  void tell(const Port& adapter);
  void on_bond(const netmodel::LinkEvent& event);
  void set_bond_active(Port& port, const std::string& member);
  void on_master(const netmodel::LinkEvent& event);
  void set_wire(Port& port, const std::string& link);

  // ports_dhcp.cpp
  void start_dhcp(Port& port);
  void hold_static(Port& port, const netmodel::LeaseFacts& facts);
  void on_lease(const std::string& key, const dhcp::LeaseUpdate& update);
  void on_lease6(const std::string& key, const dhcp::Lease6Update& update);
  void hold_lease6(Port& port, std::optional<dhcp::Lease6> lease);
  void recall_lease6(Port& port);
  void arm_lease6_timer();
  void end_standing_later();
  void look_again();

  // ports_ipv6.cpp
  void read_v6(Port& port, const netmodel::ObservedState& observed);
  static void read_addresses6(Port& port, const netmodel::ObservedState& observed);
  void tell_lost(const Port& port, const std::set<IpAddress>& before);
  void on_gateway(Port& port, const netmodel::Neighbour& neighbour);
  void on_router6(Port& port, const netmodel::Neighbour& neighbour);

  boost::asio::io_context& io_;
  const Config& config_;
  store::StoreWorker& store_;
  EventLog& events_;
  Hooks hooks_;
  netmodel::AdapterGlobs globs_;
  netmodel::CarrierPoller poller_;
  boost::asio::steady_timer drain_timer_;
  boost::asio::steady_timer lease6_timer_;
  boost::asio::steady_timer standing_timer_;
  boost::asio::steady_timer again_timer_;
  std::map<std::string, Port> ports_;
  std::map<std::uint32_t, MacAddress> base_by_index_;  ///< First sight wins while the link lives.
  std::set<std::string> left_out_;                     ///< Names told of: too many ports.
  std::vector<netmodel::TakenPrefix> foreign_;
  std::map<std::string, std::vector<std::string>> foreign_ports_;
  std::set<std::string> kept_bridges_;  ///< For somebody else's ports, when their card goes.
  std::string active_;
  bool stopping_ = false;
};

}  // namespace edge::uplink
