// Judges a change that can cut paths: kept, or taken back, by what each path did before and after.
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

/// A path at one moment.
struct PathSight {
  PathKey key;
  std::string name;          ///< "eth0/console.example.net:8443"
  Step broken = Step::none;  ///< none: WELCOME arrived, it is up.
  std::string cause{};
  bool answered = false;  ///< Broken, but the Console itself said so, over verified TLS.
  bool refused = false;   ///< Broken by a TCP refusal: the Console's, or a firewall's on the way.
  bool dialing = false;
  bool replaced = false;  ///< To an address of the Console that the change takes from the list.
  std::uint64_t welcomes =
      0;  ///< Grows with each WELCOME of this path, also over its ports' moves.
  bool up() const { return broken == Step::none; }
};

/// What a trial is told before the first kernel change.
struct TrialTerms {
  std::vector<PathSight> before{};   ///< All paths, as they were.
  std::set<std::string> affected{};  ///< Keys of ports that the change touches and that remain.
  /// Of affected: only where the Console is reached changes for them, their own way does not.
  std::set<std::string> readdressed{};
  std::set<std::string> leaving{};  ///< Keys of ports that the change ends on purpose.
  Duration confirm_within = std::chrono::seconds(120);
  /// What the change does may take so long to begin: nothing before counts, and touched paths are
  /// dialled anew after it. At most a quarter of confirm_within.
  Duration begins_within{};
  bool accept_regression = false;  ///< The command says: one path may be lost for this.
  bool needs_confirm = true;       ///< false: a person at the machine made it.
};

enum class Verdict : std::uint8_t { wait, keep, take_back };

struct Judgement {
  Verdict verdict = Verdict::wait;
  /// Of take_back: why, a line per path with its failing step. Of keep: paths that are lost by
  /// consent. Of wait: what it waits for.
  std::vector<std::string> reasons{};
};

/// Engine of one trial: born when the kernel shows the change, asked whenever a path changed.
///
/// A path that was up and is not is a regression, also while others reach the Console; so is one of
/// a touched port that was not up and now fails below TCP at a lower step. It is kept when no path
/// regressed, a WELCOME arrived over an affected path after the change, and the Console confirmed.
/// Where the Console's addresses change, replaced paths stay up until the verdict. They count for
/// nothing but this: a port that reached the Console by one has to reach it by the new list, too.
///
/// A Console that is away is told apart from a change that cut the way to it: every path lost it at
/// once, and either one that the change does not touch lost it too, or the Console itself answered
/// over verified TLS; then the deadline waits until it is back. A mere refusal may be a firewall's:
/// it puts the verdict off to the deadline, not beyond.
///
/// It may be away before the change already: each path got as far as its TCP then, and does now.
/// Where only the silence of paths says that it is away, it is waited for no longer than alike_max:
/// the change may have cut the way of some while the others broke by themselves, and nobody would
/// see the Console return.
///
/// Time: passed in as `now`, monotonic. Threads: none.
class Trial {
 public:
  /// A path that has not come back by then is lost; never more than half of confirm_within.
  static constexpr Duration settle_max = std::chrono::seconds(30);

  /// So long a change is left standing that nobody has seen work, because no path hears the
  /// Console.
  static constexpr Duration alike_max = std::chrono::hours(1);

  /// Where no path was up before, so long for ports to fall behind what they were.
  static constexpr Duration quiet = std::chrono::seconds(5);

  Trial(TrialTerms terms, MonoTime now);

  void on_confirm() { confirmed_ = true; }
  /// Somebody who may ends it: taken back, whatever the paths do, and also while the Console is
  /// away.
  void on_abort(std::string why) { aborted_ = std::move(why); }
  /// The verdict is final once it is not `wait`.
  Judgement judge(const std::vector<PathSight>& sights, MonoTime now);
  /// When judge has to be asked at the latest.
  MonoTime next_deadline(MonoTime now) const;

  /// Paths that were up, are touched, and still run on the connection from before: dial them anew,
  /// one after the other.
  std::vector<PathKey> to_redial(const std::vector<PathSight>& sights) const;

  /// Once after the Console has returned: paths that were up before the change and still wait for
  /// their dial, perhaps longer than settle_max is here.
  std::vector<PathKey> take_awaited(const std::vector<PathSight>& sights);

  MonoTime deadline() const { return deadline_; }
  bool confirmed() const { return confirmed_; }
  bool console_away() const { return away_; }

 private:
  struct Finding;
  Finding look(const std::vector<PathSight>& sights) const;
  bool fresh(const PathSight& sight) const;
  std::optional<std::string> unreplaced(const PathSight& old,
                                        const std::vector<PathSight>& sights) const;
  enum class Away : std::uint8_t { no, perhaps, alike, surely };
  Away away_by(const PathSight& sight) const;
  Away away_as_before(const PathSight& before, const PathSight& sight) const;
  Away console_is_away(const std::vector<PathSight>& sights) const;

  TrialTerms terms_;
  std::map<PathKey, PathSight> before_;
  bool any_was_up_ = false;
  bool affected_was_up_ = false;
  bool any_had_link_ = false;
  MonoTime begun_at_;
  bool begun_ = false;  ///< As of the last judgement.
  MonoTime quiet_at_;
  MonoTime settled_at_;
  MonoTime deadline_;
  MonoTime alike_until_;
  bool confirmed_ = false;
  bool away_ = false;
  bool returned_ = false;  ///< It is back, and take_awaited() was not asked since.
  std::optional<std::string> aborted_{};
};

}  // namespace edge::uplink
