// A host as its daemon glues it (path engine, session, connections), a Console's session, and the
// network between them, in virtual time, with seeded faults.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/common/apps.hpp"
#include "tests/sim/common/event.hpp"
#include "tests/sim/common/pipe.hpp"
#include "tests/sim/common/tally.hpp"
#include "tests/sim/tunnel/connections.hpp"
#include "uplink/daemon/core/tunnel_paths.hpp"

namespace edge::sim {

/// Of one seed, and summed up of many.
struct TunnelOutcome {
  std::uint64_t worlds = 0, failed = 0, faults = 0, commands = 0, sessions = 0, dials = 0;
  double simulated_s = 0;
  Tally messages;   ///< Delivered: the next one of its channel, once.
  Tally ends;       ///< ms from the last fault until all is up and all has arrived.
  Tally windows;    ///< Bytes in one session.
  Tally heap;       ///< Bytes of a world.
  Tally phases;     ///< The engine's phase of a path beside the connections that there are.
  Tally causes;     ///< What is said to be broken beside what is.
  Tally agreement;  ///< The active path; ms of disagreement.
  Tally lives;      ///< What is alive; ms of disagreement.
  Tally gaps;       ///< Answers to commands; ms beyond the round trip.
  Tally switches;
};

/// One seed's run: everything follows from it.
///
/// Time: virtual. A port is a cable, with one path over it per endpoint of the Console.
class TunnelWorld {
 public:
  /// `lasts`: faults strike for so long; zero: a few of them, within seconds.
  TunnelWorld(std::uint64_t seed, Duration lasts, TunnelOutcome& outcome, bool trace);
  /// Empty: passed.
  std::vector<std::string> run();

 private:
  struct Port {
    uplink::PortFacts facts;
    std::array<LinkDirection, 2> direction;  ///< By sending end: 0 the host's.
    bool dns_dead = false;
    bool cut() const { return direction[0].cut || direction[1].cut || !facts.carrier; }
    MonoTime struck_until{};   ///< The last fault's end, and what it delayed.
    MonoTime carried_until{};  ///< It last had a connection at either end.
    MonoTime unplugged_at{};
    /// Its dials are held back: what is broken is said to be the carrier.
    bool flapped(MonoTime now) const { return now - unplugged_at < std::chrono::seconds(40); }
  };
  struct Connection {
    std::size_t port = 0;
    PathId path{0};  ///< The host's name for it; the Console's is its number here.
    uplink::PathKey key;
    uplink::LinkRole role = uplink::LinkRole::main;  ///< When it was dialled.
    IpAddress source;
    bool small_segments = false;
    std::array<Pipe, 2> pipe;          ///< By sending end.
    std::array<bool, 2> open{};        ///< By end.
    std::array<MonoTime, 2> pumped{};  ///< When the next pump is due.
    bool accepted = false;             ///< The Console has attached it.
    tunnel::FrameDecoder decoder;      ///< The Console's.
    std::optional<MonoTime> both_at;   ///< Welcomed, and known at both ends.
    std::optional<MonoTime> differ_since;
    std::optional<MonoTime> inherited;    ///< both_at of the one whose place it takes.
    std::optional<MonoTime> welcomed_at;  ///< At the host.
    std::optional<MonoTime> over_since;   ///< No end has it open; it may be about to be dialled.
  };
  enum class What : std::uint8_t {
    arrival,
    closed,
    pump,
    timer,
    dialled,
    execute,
    tick,
    fault,
    flap,
    heal
  };
  using Event = WorldEvent<What>;
  enum class FaultKind : std::uint8_t {
    cut,
    cut_up,
    cut_down,
    pull,
    flap,
    stall,
    step,
    lossy,
    large_cut,
    reset,
    address,
    lease,
    disabled,
    drained,
    dns,
    redial,
    clock,
    proof,
    goaway,
    retire,
    restart_host,
    restart_console,
  };
  struct Fault {
    FaultKind kind = FaultKind::cut;
    std::size_t port = 0;
    Duration lasts{};
  };
  struct End {
    std::unique_ptr<uplink::TunnelPaths> paths;  ///< The host's.
    std::unique_ptr<tunnel::Session> session;    ///< The Console's.
    std::unique_ptr<Endpoint> endpoint;          ///< Null while the process is down.
    std::uint64_t generation = 0;
    std::optional<MonoTime> timer_at;
  };

  // world.cpp
  void build();
  void handle(const Event& event);
  void tick();
  void let_go_of_the_past();
  std::string unfinished() const;
  void problem(std::string what);
  void schedule(MonoTime at, What what, std::size_t a = 0, std::uint64_t b = 0,
                tunnel::SharedBytes bytes = nullptr);
  Duration some_ms(std::uint64_t low, std::uint64_t high) {
    return std::chrono::milliseconds(low + random_.below(high - low + 1));
  }
  double seconds() const {
    return std::chrono::duration<double>(now_.time_since_epoch()).count() - 3600;
  }

  // world_ends.cpp
  tunnel::Session& session_of(std::size_t end) {
    return end == 0 ? ends_[0].paths->session() : *ends_[1].session;
  }
  bool runs(std::size_t end) const { return ends_[end].endpoint != nullptr; }
  void start(std::size_t end);
  void stop(std::size_t end);
  void settle(std::size_t end);
  void run_host(const uplink::Order& order);
  void run_action(std::size_t end, const tunnel::Action& action);
  void dial(const uplink::DialOrder& order);
  void on_dialled(std::size_t number);
  std::optional<uplink::DialEnd> what_stops(const Connection& connection) const;
  void send(std::size_t end, std::size_t number, const tunnel::SendBytes& bytes);
  void pump(std::size_t end, std::size_t number);
  void arrive(const Event& event);
  void hear(std::size_t number, const tunnel::Bytes& bytes);
  void close(std::size_t end, std::size_t number);
  void on_closed(std::size_t end, std::size_t number);
  void arm(std::size_t end);
  std::optional<std::size_t> number_of(PathId path) const;
  tunnel::PathFacts facts_of(const Connection& connection) const;

  // world_checks.cpp
  void check_bounds();
  void check_phases();
  void check_let_go();
  void check_agreement();
  void check_lives();
  void check_down(const uplink::PathDown& down);
  void check_switch(const tunnel::ActiveChanged& changed);
  void check_gap(const ConsoleApp::StoredReply& reply);
  bool whole_since(const Connection& connection, MonoTime since) const;
  bool intact(const Connection& connection) const;

  // world_faults.cpp
  void plan_faults();
  void plan_days();
  void add_fault(MonoTime at, Duration lasts);
  void strike(Fault& fault);
  void strike_port(const Fault& fault, Port& port);
  void strike_engine(const Fault& fault);
  void heal(const Fault& fault);
  void set_facts(Port& port);
  void unplug(Port& port);
  void set_cut(Port& port, bool up, bool down);
  void mark(const Fault& fault);
  IpAddress fresh_address() {
    ++addresses_;
    return IpAddress::v4(10, 1, static_cast<std::uint8_t>(addresses_ >> 8),
                         static_cast<std::uint8_t>(addresses_));
  }

  std::uint64_t seed_;
  Duration lasts_;
  TunnelOutcome& outcome_;
  bool trace_;
  Random random_;
  std::vector<std::string> problems_;
  Report report_;
  MonoTime now_{std::chrono::hours(1)};
  std::uint64_t order_ = 0;
  WorldEvents<What> events_;
  std::vector<Port> ports_;
  std::size_t endpoints_ = 1;
  Connections<Connection> connections_;
  std::map<PathId, std::size_t> by_path_;  ///< Of the host's present run.
  std::array<End, 2> ends_;                ///< The host, the Console.
  HostApp host_app_;
  ConsoleApp console_app_;
  std::vector<Fault> faults_;
  std::vector<MonoTime> fault_at_;
  MonoTime faults_end_{};
  bool spared_ = false;  ///< Faults strike one port, or none.
  std::size_t victim_ = 0;
  tunnel::SessionOptions options_;
  Duration command_period_{};
  MonoTime next_command_at_{};
  bool streams_ = false;
  bool clock_unset_ = false;
  bool proving_ = false;
  unsigned addresses_ = 0;
  std::optional<MonoTime> disagree_since_;
  MonoTime switched_at_{};
  std::size_t switches_ = 0;
  MonoTime crowded_at_{};  ///< Last time that commands queued up.
  MonoTime process_struck_until_{};
  std::vector<Arrival> arrivals_;
  std::vector<std::size_t> let_go_;  ///< Whole connections that the host has just closed.
  std::vector<std::pair<tunnel::Reputation, MonoTime>> reputations_;
  std::size_t heap_before_ = 0;
  Duration tick_period_{};
  std::uint64_t ticks_ = 0;
};

}  // namespace edge::sim
