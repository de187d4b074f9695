// The host's end of the tunnel: dials what the path engine orders, carries the session over it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>

#include "store/io/store_worker.hpp"
#include "tunnel/core/session.hpp"
#include "tunnel/core/snapshot_parts.hpp"
#include "tunnel/io/dialer.hpp"
#include "uplink/core/config.hpp"
#include "uplink/core/path_engine.hpp"
#include "uplink/core/trial.hpp"
#include "uplink/core/ways.hpp"
#include "uplink/daemon/clock_keeper.hpp"
#include "uplink/daemon/core/tunnel_paths.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/identities.hpp"
#include "uplink/daemon/identity_keeper.hpp"
#include "uplink/daemon/path_memory.hpp"
#include "uplink/daemon/ports.hpp"
#include "uplink/daemon/streams.hpp"

namespace edge::uplink {

/// Who this host is to the Console.
struct TunnelIdentity {
  std::string host_id;
  std::string install_id;
  std::string boot_id;
  std::string software;
};

/// What the paths over one port come to.
struct PortPaths {
  std::string_view state = "none";  ///< Of the best one, for `ports`.
  std::optional<PathStatus> worst;  ///< Broken on the lowest step.
};

/// Role: gives TunnelPaths its connections: one path per port and endpoint, one session above all.
/// Time: one steady timer for both engines. Threads: the io_context's.
class TunnelClient {
 public:
  struct Hooks {
    std::function<void(tunnel::Channel, std::string_view)> on_message;
    std::function<void()> on_session_started;  ///< Everything unconfirmed must be sent again.
    std::function<void()> on_change;           ///< Something worth showing changed.
  };
  TunnelClient(boost::asio::io_context& io, const Config& config, TunnelIdentity identity,
               Identities& identities, Ports& ports, store::StoreWorker& store, EventLog& events,
               ClockKeeper& clock, Hooks hooks, std::uint64_t seed);
  ~TunnelClient();

  void on_port(const Port& port, unsigned rank);
  void on_port_gone(const Port& port);
  void on_carrier_lost(const Port& port);

  /// Telemetry: the newest is sent when the one before is through, in parts.
  /// Errors: transient (no session), no_space (wait for acks), invalid_input (too large).
  Result<void> send(tunnel::Channel channel, std::string_view text,
                    tunnel::SendRoom room = tunnel::SendRoom::shared);
  bool online() const { return session().established() && session().active().has_value(); }
  std::size_t queued_bytes(tunnel::Channel channel) const {
    return session().queued_bytes(channel);
  }

  /// Where the Console is reached from now on; empty: where uplink.toml says.
  /// Paths to addresses that are not in the list any more stay up until retire_endpoints().
  void use_endpoints(const std::vector<HostPort>& list);
  /// True: the list in force is another one than when it was asked last.
  bool retire_endpoints();
  /// `{"endpoints", "endpoints_from": "command" or "uplink.toml"}`
  boost::json::object endpoints_json() const;

  /// All paths as a trial judges them.
  std::vector<PathSight> sights() const;
  std::optional<PathKey> active_path() const { return paths_.active_path(); }
  /// Paths that are up and lead to where the Console is, the active one first, then in the order
  /// in which they would follow it.
  std::vector<Way> ways() const;
  /// What `list` would put in force, as `Way::endpoint` has it; of an empty one: uplink.toml's.
  std::vector<std::string> endpoint_names(const std::vector<HostPort>& list) const;
  /// Until the next call HELLOs over these ports prove their MTU.
  void prove(std::set<std::string> ports) { proving_ = std::move(ports); }
  /// Ends a path that is up and dials it anew.
  void redial(const PathKey& key);
  /// Connects once more over a path that is up, a standby one if there is one, and shows this
  /// identity: welcomed, the new connection takes the old one's place. One at a time; says once how
  /// it went, never from inside.
  void prove_identity(Identities::Context identity, std::function<void(ProofOutcome)> done);
  /// The clock was set: what failed by dates is dialled anew at once.
  void on_clock_set();
  /// Until release() nothing is dialled.
  void hold() { paths_.hold(true); }
  void release();

  /// Where it has answered, or is being reached: as written, as resolved, as it was.
  std::set<IpAddress> console_addresses() const;
  /// Of the connections that stand.
  std::set<std::uint16_t> local_ports() const;
  /// The same, and where its own names led before, as long as they are in force. Not where names of
  /// a GOAWAY led.
  std::set<IpAddress> console_addresses_seen() const;

  boost::json::array paths_json() const;
  boost::json::object console_json() const;
  /// By key of the port; of a port without paths: nothing.
  std::map<std::string, PortPaths> paths_by_port() const;
  /// One port of these. Whoever asks for all ports takes paths_by_port().
  std::string path_state(const std::string& port_key) const;
  std::optional<PathStatus> worst_status(const std::string& port_key) const;
  std::size_t path_count() const { return paths_.engine().status().size(); }
  const tunnel::SessionStats& stats() const { return session().stats(); }

  /// Says goodbye, closes everything.
  void stop();

 private:
  struct Connection;  // tunnel_connection.hpp

  tunnel::Session& session() { return paths_.session(); }
  const tunnel::Session& session() const { return paths_.session(); }
  PathEngine& engine() { return paths_.engine(); }
  const PathEngine& engine() const { return paths_.engine(); }
  void pump();
  void run(const Order& order);
  void run(const tunnel::Action& action);
  void close(PathId id);
  void on_path_up(const PathUp& up);
  void on_path_down(const PathDown& down);
  void on_dial_failed(const DialFailed& failed);
  void on_active_changed(const tunnel::ActiveChanged& changed);
  void on_stream_frame(const tunnel::Bytes& payload);
  // tunnel_client_endpoints.cpp
  void on_goaway(const tunnel::Goaway& goaway);
  std::size_t number_for(const HostPort& endpoint);
  void add_offered(std::vector<std::size_t>& list);
  void forget_offers();
  const HostPort* endpoint_of(const PathKey& key) const;
  void dial(const DialOrder& order);
  void on_dialled(PathId id, tunnel::DialResult result);
  void say_hello(Connection& c);
  WelcomeVerdict judge(PathId id, const tunnel::Welcome& welcome);
  // tunnel_client_identity.cpp
  /// Ends a dial, or the proof.
  void end_dial(Connection& c, const tunnel::PathError& error);
  /// What a refused identity means for the path.
  PathBreak identity_break(const tunnel::TlsContext& shown, const tunnel::PathError& error);
  /// None of the identities is in date.
  static PathBreak invalid_break(const tunnel::PathError& error);
  void end_proof(ProofOutcome outcome);
  void start_stream(Connection& c, tunnel::DialSuccess success);
  void tell_of_barrier(const PathKey& key, const tunnel::PathError& error);
  void arm_timer();
  /// Those that are attached, as the session sees them.
  std::map<PathKey, tunnel::PathView> attached_views(MonoTime now) const;
  std::string path_name(const PathKey& key) const;
  std::string endpoint_name(const PathKey& key) const;
  bool in_force(const PathKey& key) const;
  /// Nullptr: there is none, or no stream yet.
  Connection* by_id(PathId id);
  /// Of a path that counts.
  const Connection* main_connection(const PathKey& key) const;
  std::shared_ptr<const tunnel::TlsContext> tls(std::string& problem);
  tunnel::DialRequest request_of(const Port& port, const DialOrder& order) const;
  tunnel::PathFacts facts_of(const PathKey& key) const;

  boost::asio::io_context& io_;
  const Config& config_;
  TunnelIdentity identity_;
  Ports& ports_;
  PathMemory memory_;
  EventLog& events_;
  ClockKeeper& clock_;
  Hooks hooks_;
  Random random_;
  std::map<std::size_t, HostPort> endpoints_;  ///< By the number in PathKey.
  std::map<std::size_t, HostPort> offered_;    ///< The same, of those that the Console offered.
  std::vector<std::size_t> in_force_;          ///< In the order of the list.
  std::vector<std::size_t> settled_;           ///< The same, when paths were retired last.
  std::size_t next_endpoint_ = 0;
  bool commanded_ = false;  ///< in_force_ is of a command, not of uplink.toml.
  TunnelPaths paths_;
  Streams streams_;
  tunnel::SnapshotFeed snapshots_;
  boost::asio::steady_timer timer_;
  std::map<PathId, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> graveyard_;  ///< Ended inside a callback; freed later.
  std::map<PathKey, unsigned> attempts_;
  std::set<std::string> proving_;  ///< Ports of a trial: their HELLOs are as large as their links.
  /// What was said of proxies and portals since the path worked last.
  std::map<PathKey, std::set<tunnel::PathFailure>> barriers_;
  std::map<PathKey, std::uint64_t> welcomes_;  ///< Outlives a port that moves.
  std::uint64_t welcome_count_ = 0;
  std::map<std::string, unsigned> ranks_;
  static constexpr std::size_t labels_max = 256;
  std::map<PathId, std::string>
      labels_;  ///< Of attached paths; outlives them until the switch is told.
  Identities& identities_;
  Identities::Context proving_identity_;  ///< Shown for the first time by the next proof.
  std::function<void(ProofOutcome)> proof_done_;
  bool pumping_ = false;
  bool stopping_ = false;
  MonoTime last_online_{};
};

}  // namespace edge::uplink
