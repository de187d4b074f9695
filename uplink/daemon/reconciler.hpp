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

/// What a turn did.
struct TurnResult {
  std::vector<std::string> plan;    ///< What was written, in tool syntax.
  std::vector<std::string> errors;  ///< What the kernel refused, each with its operation.
  std::vector<std::string> conflicts;
  netmodel::Plan operations;            ///< Of plan_only: `plan` as values.
  netmodel::Consequences consequences;  ///< Of plan_only: what somebody would notice.
  netmodel::PortImpact impact;          ///< Of plan_only.
  bool verified = false;                ///< The dump after it showed the model.
  std::string reason{};                 ///< What asked for it last.
  std::chrono::microseconds took{0};    ///< From the wish to the last dump.
  netmodel::ObservedState observed;
  netmodel::Rendered rendered;

  /// What the kernel refused and what is in the way, but for lines that are known.
  std::vector<std::string> trouble_beside(const std::vector<std::string>& known) const;
  /// The kernel shows the model, but for trouble that is known.
  bool shows_but(const std::vector<std::string>& known) const;
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
  };

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
  const netmodel::Model& model() const { return model_; }
  void set_model(netmodel::Model model);

  /// Links of ours that nobody can explain: left alone, with what leads to them, until an empty set
  /// is given. They are looked at again at once.
  void keep(std::set<std::string> links);

  /// Runs turns until one is verified, refused for good or tries_max is reached.
  boost::asio::awaitable<TurnResult> converge(std::string reason);

  /// What a turn would do for `candidate`, without writing anything.
  boost::asio::awaitable<TurnResult> plan_only(netmodel::Model candidate);

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
  boost::asio::awaitable<TurnResult> turn(netmodel::Model model, bool write);
  boost::asio::awaitable<void> run();
  void notify_waiters();

  boost::asio::io_context& io_;
  KernelWorker& kernel_;
  netmodel::Model model_;
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
  std::uint64_t turns_ = 0;
  std::uint64_t overruns_ = 0;
};

}  // namespace edge::uplink
