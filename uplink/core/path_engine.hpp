// Decides for every path (layer-3 port x Console endpoint) when to dial and what is broken. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/ids.hpp"
#include "base/net.hpp"
#include "base/random.hpp"

namespace edge::uplink {

/// The rungs of the ladder, lowest first: the first one that is broken is what a person must mend.
enum class Step : std::uint8_t {
  none,
  disabled,
  carrier,
  lease,
  gateway,
  dns,
  tcp,
  proxy,
  portal,
  clock,
  tls,
  console
};
std::string_view to_string(Step step);
/// What a person at the machine can do about it; one sentence.
std::string_view advice(Step step);

/// A port and an endpoint. `port` is the adapter's base MAC in hex: it survives renames.
struct PathKey {
  std::string port;
  std::size_t endpoint = 0;  ///< Number of an address of the Console; never another one's.
  auto operator<=>(const PathKey&) const = default;
};

/// Facts about one layer-3 port, as they are now.
struct PortFacts {
  std::string port;      ///< Base MAC in hex.
  std::string name;      ///< Adapter name, for people.
  bool drained = false;  ///< The worst of all: dialled only when no other port reaches the Console.
  bool admin_up = true;  ///< False: someone at the machine took it down.
  bool carrier = false;
  std::vector<IpAddress> addresses;  ///< What a dial begins with; a change dials.
  /// Not to begin with, but what is open on one of them goes on.
  std::vector<IpAddress> others{};
  /// The same, and to be left for one of `addresses`.
  std::vector<IpAddress> leaving{};
  /// By which IPv6 leaves the port, once the kernel has it so; another one dials what is down.
  std::optional<IpAddress> router6{};
  std::optional<bool> gateway_reachable;  ///< nullopt: not known.
  unsigned rank = 0;                      ///< Configured order; lower is preferred.
  bool operator==(const PortFacts&) const = default;
};

enum class PathState : std::uint8_t { down, waiting, dialing, up };

/// Why a dial failed or a path ended.
struct PathBreak {
  Step step = Step::tcp;
  std::string text;       ///< For people, names the thing and the value.
  bool lasting = false;   ///< Identity problems: retry more and more seldom, at last every 5 min.
  bool answered = false;  ///< The Console itself said no, over verified TLS.
  bool refused = false;   ///< A TCP refusal: the Console's, or a firewall's on the way.
};

struct PathStatus {
  PathKey key;
  PathState state = PathState::down;
  Step broken = Step::none;  ///< none exactly when state is up.
  std::string cause;
  bool answered = false;  ///< Of `broken`, as in PathBreak: not of an earlier failure.
  bool refused = false;   ///< As well.
  MonoTime since{};
  std::optional<PathBreak> last_failure;
  std::optional<MonoTime> last_failure_at;
  std::optional<MonoTime> next_dial;
  unsigned dials = 0;
};

struct PathAction {
  enum class Kind : std::uint8_t { dial, close } kind;
  PathKey key;
  PathBreak reason;  ///< Of a close; its step is none when it is dialled anew on purpose.
  bool operator==(const PathAction& o) const { return kind == o.kind && key == o.key; }
};

/// Engine: feed facts and outcomes, take actions, call on_deadline when due.
///
/// Time:    passed in as `now`. Threads: none.
/// Invariant: one path per key, whose dial may run beside its own connection that still stands (a
/// proof, or one made before the other is broken); nothing is dialled without carrier and address,
/// and no drained port while another one is up.
class PathEngine {
 public:
  static constexpr std::size_t ports_max = 128;
  static constexpr Duration lasting_cap = std::chrono::minutes(5);
  static constexpr Duration stable_after = std::chrono::seconds(60);
  /// Immediate dials that a port's events may cause; beyond, it has to rest for 1..2 s (flapping
  /// cables): as long as an immediate dial takes to be earned again.
  static constexpr unsigned immediate_burst = 6;
  /// After the first WELCOME of an outage the other paths dial within it.
  static constexpr Duration hurry_spread = std::chrono::milliseconds(500);
  /// When the last path is lost the others dial within hurry_spread; what fails for good, in this.
  static constexpr Duration hasten_lasting = std::chrono::seconds(15);
  static constexpr Duration immediate_refill = std::chrono::seconds(2);

  /// Endpoints 0..endpoint_count-1, until set_endpoints.
  PathEngine(std::size_t endpoint_count, std::uint64_t seed);

  /// Exactly these: paths to others are closed and forgotten, new ones are
  /// dialled at once, those that stay go on.
  void set_endpoints(std::vector<std::size_t> endpoints, MonoTime now);

  /// New or changed facts. A port that becomes usable, or whose addresses changed, dials at once;
  /// what is open on an address that went is closed first. What is open on one to be left is
  /// dialled anew, but never while it is the only path that is up.
  void set_port(const PortFacts& facts, MonoTime now);
  void remove_port(const std::string& port, MonoTime now);

  /// The dial of `key` ended without a WELCOME.
  void on_dial_failed(const PathKey& key, const PathBreak& why, MonoTime now);
  /// The Console's WELCOME arrived over it: only now the path counts. `source`: its own address;
  /// nullopt: not known, it ends when any address of its port goes.
  void on_welcome(const PathKey& key, MonoTime now, std::optional<IpAddress> source = {});
  /// A path that was up, or went on after on_retry_later(), ended.
  void on_closed(const PathKey& key, const PathBreak& why, MonoTime now);
  /// Ends a path that is up and dials it anew at once: a proof that it still works. One that waits
  /// for its back-off is dialled within hurry_spread; what the Console told to wait is not.
  void redial(const PathKey& key, MonoTime now);
  /// The wall clock was set: what waits because of dates (steps clock and tls) is dialled at once.
  void on_clock_set(MonoTime now);
  /// The Console asked for a pause (GOAWAY, RETRY_LATER): uniform in [after, after + spread). What
  /// is up goes on meanwhile, and while it is dialled, until the next one is welcomed.
  void on_retry_later(const PathKey& key, Duration after, Duration spread, MonoTime now);

  /// The Console asked to come to other addresses: they are dialled beside the others, each path at
  /// its own moment in [after, after + spread). Where one is welcomed, what was told to leave the
  /// same port is closed, and dialled again at `until`, or when the offered one ends. Those that
  /// are not up at `until` are forgotten, the others when they end.
  void offer(const std::vector<std::size_t>& endpoints, Duration after, Duration spread,
             MonoTime until, MonoTime now);
  bool offered(std::size_t endpoint) const { return offered_.contains(endpoint); }
  /// It is one of the host's own from now on.
  void adopt(std::size_t endpoint) { offered_.erase(endpoint); }

  std::vector<PathAction> take_actions();
  std::optional<MonoTime> next_deadline() const;
  void on_deadline(MonoTime now);

  std::vector<PathStatus> status() const;
  /// True when every path that could be dialled fails at TCP or the Console: not our side.
  bool server_side() const;
  std::size_t up_count() const;

 private:
  struct Path {
    PathStatus status;
    Backoff backoff;
    Backoff lasting;  ///< Of lasting failures: what failed otherwise before says nothing of them.
    std::optional<MonoTime> dial_at;
    std::optional<MonoTime> up_since;
    std::optional<IpAddress> source;  ///< Of a path that is up.
    bool told = false;     ///< The Console said when: a whole fleet comes back spread as it wants.
    bool proving = false;  ///< It was up and is dialled anew on purpose: not lost so far.
    bool leaving = false;  ///< It was up when the Console told: it goes on until the next one is.
    bool brief = false;    ///< It fell before stable_after: its back-off alone bounds it.
    bool rests = false;    ///< One of the host's own, let go for one that the Console offered.
    /// There is a connection, be it one that is to be replaced.
    bool stands() const { return status.state == PathState::up || leaving || proving; }
    void forgive() {
      backoff.reset();
      lasting.reset();
      brief = false;
    }
  };
  struct Port {
    PortFacts facts;
    unsigned immediate_tokens = immediate_burst;
    MonoTime tokens_at{};
    bool resting = false;  ///< Drained, and another one carries the host.
  };

  static bool usable(const Port& port);
  void bring_forward(Path& path, Duration within, MonoTime now);
  void hurry(MonoTime now);
  bool any_stands() const;
  void hasten(MonoTime now, const PathKey* lost = nullptr);
  static PathBreak blocker(const Port& port);
  bool carried() const;
  void settle_drained(MonoTime now);
  /// What is broken now.
  static void tell(Path& path, const PathBreak& why);
  void dial(Path& path, MonoTime now);
  static bool take_token(Port& port, MonoTime now);
  void dial_at_once(Port& port, MonoTime now);
  void use_port(Port& port, const PortFacts* before, MonoTime now);
  void close_lost(const Port& port, const PortFacts& before, MonoTime now);
  void leave_sources(MonoTime now);
  void dial_anew(Path& path, std::string_view why, MonoTime now);
  Path& add_path(const Port& port, std::size_t endpoint, MonoTime now);
  void close_all(const std::string& port, const PathBreak& why, MonoTime now);
  void close(Path& path, const PathBreak& why, MonoTime now);
  void schedule(Path& path, const PathBreak& why, MonoTime now);
  Duration moment_in(const Path& path, Duration spread);
  // path_offer.cpp
  void leave_for(const PathKey& offered);
  void return_rested(MonoTime now);
  void end_offers(MonoTime now);
  void settle_offers(MonoTime now);
  Path* find(const PathKey& key);

  std::vector<std::size_t> endpoints_;
  std::map<std::size_t, MonoTime>
      offered_;  ///< Of endpoints_, and until when; max: while it is up.
  Random random_;
  std::map<std::string, Port> ports_;
  std::map<PathKey, Path> paths_;
  std::vector<PathAction> actions_;
};

}  // namespace edge::uplink
