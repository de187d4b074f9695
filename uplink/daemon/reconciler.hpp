// One loop, one turn: facts + model -> render -> dump -> plan -> apply -> dump and compare again.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "netmodel/core/consequences.hpp"
#include "netmodel/core/plan.hpp"
#include "netmodel/core/port_impact.hpp"
#include "netmodel/core/render.hpp"
#include "uplink/daemon/kernel_worker.hpp"

namespace edge::uplink {

/// What the kernel showed at one moment, for plans that nobody carries out.
struct Look {
  netmodel::ObservedState observed;
  std::optional<netmodel::NftState> nft;
  std::vector<std::string> wanted_sysctls;  ///< Of the model that it was taken for.
  bool settled = false;                     ///< No sysctl was left to be given back to the machine.
  MonoTime at{};
};

/// What a turn did.
struct TurnResult {
  std::vector<std::string> plan;    ///< What was written, in tool syntax.
  std::vector<std::string> errors;  ///< What the kernel refused, each with its operation.
  std::vector<std::string> conflicts;
  netmodel::Plan operations;            ///< Of plan_only: `plan` as values.
  netmodel::Consequences consequences;  ///< Of plan_only: what somebody would notice.
  netmodel::PortImpact impact;          ///< Of plan_only.
  bool verified = false;                ///< The dump after it showed the model.
  bool of_present_model = false;        ///< No other one came while it was under way.
  std::vector<std::string> refused;     ///< Of `plan`, what the kernel did not take.
  std::vector<std::string> rest;        ///< What a plan against the dump after it still holds.
  std::shared_ptr<const Look> look;     ///< The last dump of this turn; nullptr: it failed.
  std::string reason{};                 ///< What asked for it last.
  std::chrono::microseconds took{0};    ///< From the wish to the last dump.
  netmodel::ObservedState observed;     ///< What the kernel showed when it last could be read.
  netmodel::Rendered rendered;

  /// The kernel could be read. A look that failed says nothing, least of all that all is gone.
  bool seen() const { return look != nullptr; }
  /// What the kernel refused and what is in the way, but for lines that are known.
  std::vector<std::string> trouble_beside(const std::vector<std::string>& known) const;
  /// The same; where there is none, what is left to be written: somebody else undoes it each time.
  std::vector<std::string> reasons_beside(const std::vector<std::string>& known) const;
  /// The kernel shows the model, but for trouble that is known: nothing is left to be written
  /// except what it refused just now, as before.
  bool shows_but(const std::vector<std::string>& known) const;
};

/// What owns nothing and only computes.
struct PlanBox {
  template <class Body>
  auto together(Body&& body) {
    return body();
  }
};

/// How old may the look be that a plan is made against?
enum class LookAge : std::uint8_t {
  none,    ///< A new one: it waits for what the kernel thread does, and for rtnl.
  recent,  ///< look_age_max, longer while a turn is under way.
};

/// Role: makes the kernel show the model, whoever changed what. One plan is in flight at a time.
/// Time: steady timer for the debounce. Threads: the io_context's; kernel calls run on its worker.
class Reconciler {
 public:
  struct Hooks {
    /// Present facts; called at the start of each turn.
    std::function<netmodel::RenderFacts()> facts;
    /// Another model is to be shown from now on, before the first write for it.
    std::function<void(const netmodel::Model&)> on_model;
    /// After each turn, before waiters hear of it.
    std::function<void(const TurnResult&)> on_turn;
    /// Of LookAge::recent.
    std::chrono::milliseconds look_age_max{100};
  };

  /// Dry runs come 200 in a second, and when a cable is pulled the kernel holds rtnl for 20 ms
  /// and the turn that follows takes as long: a plan against a look of just before is as good.
  /// Measured, 5 ms apart: 2.1 ms each with a look of its own (nft 1.2, the rest 0.5), 21 ms in
  /// the turn after a pull.
  static constexpr std::chrono::milliseconds look_age_max_in_turn{1000};

  /// Events come in bursts (a bridge brings ten): one turn for all of them.
  static constexpr std::chrono::milliseconds debounce{15};
  /// A change of the kernel in the middle of a turn makes it try again this often before it gives
  /// up.
  static constexpr int tries_max = 4;

  Reconciler(boost::asio::io_context& io, KernelWorker& kernel, netmodel::Model model, Hooks hooks);

  /// Something changed: look again soon. Requests that come together make one turn.
  void request(std::string_view reason);
  /// The kernel had more to tell than the socket holds: only a full look says what changed.
  void overrun();
  /// Until resume() requests are only noted: the facts are not known yet, and a turn without them
  /// would take down what stands.
  void pause() { paused_ = true; }
  void resume();

  /// The model to be shown from now on.
  const netmodel::Model& model() const { return *model_; }
  /// The same for who needs it after the next one is set.
  const std::shared_ptr<const netmodel::Model>& shared_model() const { return model_; }
  void set_model(netmodel::Model model);

  /// Links of ours that nobody can explain: left alone, with what leads to them, until an empty set
  /// is given. They are looked at again at once.
  void keep(std::set<std::string> links);

  /// Runs turns until one is verified, refused for good or tries_max is reached.
  boost::asio::awaitable<TurnResult> converge(std::string reason);

  /// What a turn would do for `candidate`, without writing anything.
  boost::asio::awaitable<TurnResult> plan_only(netmodel::Model candidate,
                                               LookAge age = LookAge::none);

  /// What somebody would notice, without a look at the kernel: not what a plan alone tells (taps
  /// that are made anew, pauses of a port).
  netmodel::Consequences foreseen(const netmodel::Model& before,
                                  const netmodel::Model& after) const;

  const std::optional<TurnResult>& last() const { return last_; }
  /// Errors and conflicts of the last turn.
  std::vector<std::string> trouble() const {
    return last_ ? last_->trouble_beside({}) : std::vector<std::string>{};
  }
  std::uint64_t turns() const { return turns_; }
  std::uint64_t overruns() const { return overruns_; }

  void stop();

 private:
  boost::asio::awaitable<TurnResult> turn(std::shared_ptr<const netmodel::Model> model, bool write);
  boost::asio::awaitable<std::optional<TurnResult>> turn_by_look(netmodel::Rendered rendered);
  boost::asio::awaitable<void> run();
  void notify_waiters();

  boost::asio::io_context& io_;
  KernelWorker& kernel_;
  std::shared_ptr<const netmodel::Model> model_;
  Hooks hooks_;
  boost::asio::steady_timer debounce_timer_;
  boost::asio::steady_timer turn_done_;  ///< Expires never; cancelled when a turn ends.
  bool dirty_ = false;
  bool running_ = false;
  bool paused_ = false;
  bool stopped_ = false;
  std::string reason_;
  std::set<std::string> kept_;
  std::optional<TurnResult> last_;
  std::shared_ptr<const Look> look_;
  std::uint64_t turns_ = 0;
  std::uint64_t models_ = 0;  ///< How often set_model() was called.
  std::uint64_t overruns_ = 0;
  store::Worker<PlanBox> planner_;  ///< The kernel thread may be waiting for rtnl.
};

}  // namespace edge::uplink
