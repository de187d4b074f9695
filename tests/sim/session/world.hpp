// A host, a Console and the links between them, in virtual time, with seeded faults.
#pragma once

#include <fmt/format.h>

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
#include "tests/sim/session/outcome.hpp"

namespace edge::sim {

enum class End : std::uint8_t { host = 0, console = 1 };
inline End other(End end) { return end == End::host ? End::console : End::host; }
inline std::size_t index_of(End end) { return static_cast<std::size_t>(end); }

struct WorldOptions {
  std::uint64_t seed = 1;
  std::uint64_t faults_mean = 4;
  bool trace = false;
};

/// One seed's run. Everything follows from the seed.
class World {
 public:
  explicit World(const WorldOptions& options);
  Outcome run();
  /// Empty: passed.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct Link {
    std::string adapter;
    tunnel::PathClass path_class = tunnel::PathClass::wired;
    std::uint32_t rank = 0;
    std::array<LinkDirection, 2> direction;      ///< By sending end.
    std::array<std::uint64_t, 2> bytes_per_s{};  ///< Without a fault.
    MonoTime disturbed_until{};                  ///< The last fault's end, and what it delayed.
    MonoTime harmed_until{};                ///< The same, of faults that may kill a connection.
    int cuts = 0;                           ///< Running faults that cut it, either direction.
    MonoTime hampered_until{};              ///< By what leaves connections whole.
    int attached = 0;                       ///< Connections, at each end.
    MonoTime carried_until{};               ///< The last one that was.
    int failures = 0;                       ///< While active at the host, in close succession.
    MonoTime failed_at{};                   ///< The last of them.
    std::optional<std::size_t> connection;  ///< The host's present connection or dial.
    bool cut() const { return direction[0].cut || direction[1].cut; }
  };
  struct Connection {
    std::size_t link = 0;
    std::array<Pipe, 2> pipe;  ///< By sending end.
    std::array<MonoTime, 2> pump_scheduled{};
    std::array<bool, 2> open{};
    std::array<bool, 2> attached{};
    std::array<tunnel::FrameDecoder, 2> decoder;
    std::optional<MonoTime> both_attached_at;
    MonoTime attached_at{};  ///< At the host.
    bool drained = false;
  };
  enum class What : std::uint8_t {
    arrival,
    repeated,
    closed,
    pump,
    timer,
    dial,
    connected,
    welcome_timeout,
    execute,
    tick,
    fault,
    strike_again,
    heal,
    start,
    thaw,
  };
  using Event = WorldEvent<What>;
  struct Process {
    std::unique_ptr<tunnel::Session> session;
    std::unique_ptr<Endpoint> endpoint;  ///< Null while it is down.
    std::uint64_t generation = 0;
    MonoTime frozen_until{};
    std::vector<Event> inbox;  ///< What happened to it while it stood still, in order.
    std::optional<MonoTime> timer_at;
  };
  enum class FaultKind : std::uint8_t {
    cut,
    cut_up,
    cut_down,
    pull,
    flap,
    stall,
    jitter,
    restart_host,
    restart_console,
    freeze_host,
    freeze_console,
    close,
    drain,
    goaway,
    cut_all,
    large_cut,
    slow,
    step,
    lossy,
    repeat,
  };
  struct Fault {
    FaultKind kind = FaultKind::cut;
    std::size_t link = 0;
    Duration lasts{};
    MonoTime at{};
    std::optional<std::size_t> connection;  ///< That was struck, if it is one alone.
  };
  /// What strikes in this world.
  enum class Weather : std::uint8_t {
    storm,     ///< Everything, everywhere.
    spared,    ///< Links, all but one; or one alone.
    hampered,  ///< What must not cost a connection.
  };

  // world.cpp
  void build();
  void finish();
  void handle(const Event& event);
  void tick();
  /// What is still missing; empty: nothing.
  std::string unfinished();
  /// True when the process stands still: it meets the event when it runs again.
  bool defer(End end, const Event& event);
  void thaw(End end);
  void on_closed(const Event& event);
  void on_timer(const Event& event);
  void on_execute(const Event& event);
  void problem(std::string what);
  void schedule(Duration after, What what, std::size_t a = 0, std::uint64_t b = 0,
                tunnel::SharedBytes bytes = nullptr);
  void schedule_at(MonoTime at, What what, std::size_t a, std::uint64_t b,
                   tunnel::SharedBytes bytes);
  template <class... Args>
  void trace(fmt::format_string<Args...> format, Args&&... args);
  Duration some_ms(std::uint64_t low, std::uint64_t high) {
    return std::chrono::milliseconds(low + random_.below(high - low + 1));
  }

  // world_ends.cpp
  Process& process(End end) { return processes_[index_of(end)]; }
  void start(End end);
  void stop(End end);
  void dial(const Event& event);
  void connected(std::size_t connection);
  void close(End end, std::size_t connection);
  void arrive(const Event& event);
  /// The same frames once more, later than others.
  void arrive_again(const Event& event);
  void on_frame(End end, std::size_t connection, tunnel::Frame frame);
  void pump(End end, std::size_t connection);
  void run_actions(End end);
  void act(End end, tunnel::Action& action);
  void on_dead(End end, const tunnel::PathDead& dead);
  void arm(End end);
  tunnel::PathFacts facts_of(std::size_t connection) const;

  // world_checks.cpp
  void check_bounds();
  void check_heap();
  void check_agreement();
  void check_switch(const tunnel::ActiveChanged& changed);
  void check_gap(const ConsoleApp::StoredReply& reply);
  bool struck_lately(std::size_t connection) const;
  bool whole_since(const Link& link, MonoTime since) const;
  Duration round_trip(const Link& link) const;

  // world_faults.cpp
  void plan_faults();
  Fault draw_fault();
  void begin_fault(std::size_t number);
  bool strike(Fault& fault);
  bool strike_process(Fault& fault);
  bool strike_session(Fault& fault);
  void strike_link(const Fault& fault);
  void mark_disturbed(const Fault& fault);
  void heal(const Fault& fault);
  void heal_session(const Fault& fault);
  void set_cut(std::size_t link, bool up, bool down, bool on);
  void disturb(std::size_t link, Duration extra);
  Duration never_death() const;
  static bool only_hampers(FaultKind kind);
  static bool strikes_one_link(FaultKind kind);

  WorldOptions run_;
  Random random_;
  Outcome outcome_;
  std::vector<std::string> problems_;
  Report report_;
  MonoTime now_{std::chrono::hours(1)};  // Not zero: zero hides "unset" bugs.
  MonoTime faults_end_{};
  std::uint64_t order_ = 0;
  WorldEvents<What> events_;

  std::vector<Link> links_;
  std::deque<Connection> connections_;
  std::array<Process, 2> processes_;
  HostApp host_app_;
  ConsoleApp console_app_;
  std::vector<Fault> faults_;
  Weather weather_ = Weather::storm;
  std::size_t spare_link_ = 0;
  std::optional<std::size_t> only_victim_;
  tunnel::SessionOptions options_;
  Duration command_period_{};
  bool measure_gaps_ = false;
  bool streams_ = false;
  std::size_t command_bytes_ = 100;
  std::size_t bulk_bytes_ = 0;  ///< Telemetry and bulk per tick, each way that exists.
  MonoTime next_command_at_{};
  std::optional<MonoTime> disagree_since_;  ///< On the active path, with one that is whole.
  MonoTime switched_at_{};                  ///< The host's active path.
  bool proven_since_first_ = false;         ///< A first path was left for a proven one.
  MonoTime crowded_at_{};                   ///< Last time that commands queued up.
  std::vector<std::pair<tunnel::Reputation, MonoTime>> reputations_;  ///< On the host's disk.
  std::vector<Arrival> arrivals_;                                     ///< Used again and again.
  std::size_t heap_before_ = 0;
  std::uint64_t ticks_ = 0;
  MonoTime process_disturbed_at_{};  ///< Last restart or freeze of either end, until its end.
};

}  // namespace edge::sim
