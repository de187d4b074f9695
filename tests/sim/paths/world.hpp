// A host's ports and ways to the Console, as they are, and the production PathEngine that is told
// of them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::sim {

/// How often each invariant was checked, and what failed first.
struct PathTally {
  std::uint64_t worlds = 0, failed = 0, faults = 0, dials = 0, usable = 0, prompt = 0, whole = 0,
                status = 0;
  double simulated_s = 0;
  double slowest_s = 0;  ///< From a whole way to the WELCOME over it, where nothing forbade a dial.
};

/// One seed. Time: virtual. The invariants, checked after every step:
/// - nothing is dialled without carrier and address, by a port that is away or set down, or to an
///   address of the Console that is no more; no drained port while another one is up;
/// - a port that becomes usable dials at once, unless it flaps;
/// - a way that is whole for `whole_after` is up (RETRY_LATER and identity problems excepted);
/// - no path is dialled more than `dials_max` times in a minute;
/// - the engine's states are those of the connections that there are, `broken` is `none` exactly
///   when up, and a deadline lies ahead, never behind.
class PathWorld {
 public:
  /// Twice the cap of the back-off with another path up, and a dial that ends in silence.
  static constexpr Duration whole_after = std::chrono::seconds(75);
  static constexpr std::size_t dials_max = 80;

  PathWorld(std::uint64_t seed, PathTally& tally, bool trace);
  /// nullopt: all held; else what did not.
  std::optional<std::string> run();

 private:
  enum class Way : std::uint8_t { whole, refused, silent, bad_identity };
  struct Port {
    uplink::PortFacts facts;
    bool present = true;
    MonoTime told{};      ///< Of the last change of facts: too many of them are a flap.
    unsigned recent = 0;  ///< Changes of facts within the last half minute.
  };
  struct Path {
    Way way = Way::whole;
    std::optional<MonoTime> ends;  ///< Of the dial under way.
    bool up = false;
    bool proving = false;  ///< Was up, and is dialled anew on purpose.
    std::optional<IpAddress> source;
    bool was_whole = false;  ///< At the last look.
    MonoTime whole_since{};
    std::vector<MonoTime> dials;
  };

  void strike();
  void change(Port& port);
  void tell(Port& port, bool was_usable);
  void act();
  void end_dial(const uplink::PathKey& key, Path& path);
  void close_struck();
  void look();
  bool usable(const Port& port) const;
  bool rests(const Port& port) const;
  void touch(const std::string& port);
  void touch_all();
  void fail(std::string what);
  MonoTime next_step() const;
  IpAddress fresh_address() {
    ++addresses_;
    return IpAddress::v4(10, 0, static_cast<std::uint8_t>(addresses_ >> 8),
                         static_cast<std::uint8_t>(addresses_));
  }

  std::uint64_t seed_;
  PathTally& tally_;
  bool trace_;
  Random random_;
  MonoTime now_{std::chrono::hours(1)};
  MonoTime next_fault_{};
  unsigned addresses_ = 0;
  bool console_up_ = true;
  std::vector<std::size_t> endpoints_;
  std::size_t next_endpoint_ = 0;
  std::map<std::string, Port> ports_;
  std::map<uplink::PathKey, Path> paths_;
  uplink::PathEngine engine_;
  std::optional<std::string> failure_;
};

}  // namespace edge::sim
