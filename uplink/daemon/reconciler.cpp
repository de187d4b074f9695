#include "uplink/daemon/reconciler.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "netmodel/core/rebuild.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
using netmodel::Rendered;

namespace {

/// What is to be written, with what is kept left alone. A link that the model names is explained by
/// it, and ours as before: so a kept one comes back into the model.
netmodel::Planned plan_beside(const Rendered& rendered, const netmodel::ObservedState& observed,
                              const std::optional<netmodel::NftState>& nft,
                              std::set<std::string> kept) {
  for (const netmodel::Link& link : rendered.state.links) { kept.erase(link.name); }
  if (kept.empty()) { return netmodel::make_plan(rendered.state, rendered.nft, observed, nft); }
  const netmodel::NftState wanted =
      nft ? netmodel::with_kept(rendered.nft, *nft, kept) : rendered.nft;
  return netmodel::make_plan(rendered.state, wanted, netmodel::disowned(observed, kept), nft);
}

/// Runs on the planner's thread.
Result<TurnResult> look_turn(const Look& look, Rendered rendered,
                             const std::set<std::string>& kept) {
  TurnResult result;
  result.observed = look.observed;
  const netmodel::Planned planned = plan_beside(rendered, look.observed, look.nft, kept);
  for (const auto& conflict : planned.conflicts) { result.conflicts.push_back(conflict.what); }
  for (const auto& operation : planned.plan) {
    result.plan.push_back(netmodel::to_text(operation));
  }
  result.operations = planned.plan;
  result.verified = result.plan.empty();
  result.rendered = std::move(rendered);
  return result;
}

/// A link of somebody else's that went between the look and the write, with its setting.
bool is_gone(const netmodel::Operation& operation, const Error& error, const Rendered& rendered) {
  const auto* set = std::get_if<netmodel::SetSysctl>(&operation);
  return set != nullptr && error.code == Errc::not_found &&
         std::ranges::find(rendered.state.sysctls, set->sysctl.path, &netmodel::Sysctl::path) ==
             rendered.state.sysctls.end();
}

/// Runs on the kernel thread.
Result<TurnResult> write_turn(KernelBox& box, Rendered rendered, bool write,
                              const std::set<std::string>& kept) {
  const std::vector<std::string> wanted_sysctls = netmodel::sysctl_paths(rendered.state);
  const std::vector<std::string> sysctls =
      box.originals ? box.originals->paths_beside(rendered.state) : wanted_sysctls;
  TurnResult result;
  EDGE_ASSIGN(result.observed, box.kernel->dump(sysctls));
  const std::size_t wanted = rendered.state.sysctls.size();
  if (box.originals) { box.originals->give_back(rendered.state, result.observed); }
  const bool settled = rendered.state.sysctls.size() == wanted;
  EDGE_ASSIGN(auto nft, box.kernel->dump_nft());
  const netmodel::Planned planned = plan_beside(rendered, result.observed, nft, kept);
  for (const auto& conflict : planned.conflicts) { result.conflicts.push_back(conflict.what); }
  if (write && !planned.plan.empty() && box.before) {
    box.before->before(planned.plan, result.observed);
  }
  if (write && !planned.plan.empty() && box.originals) {
    box.originals->before(planned.plan, result.observed);
  }
  for (const netmodel::Operation& operation : planned.plan) {
    result.plan.push_back(netmodel::to_text(operation));
    if (!write) { continue; }
    const auto applied = box.kernel->apply(operation);
    if (!applied && !is_gone(operation, applied.error(), rendered)) {
      result.errors.push_back(applied.error().what);
      result.refused.push_back(result.plan.back());
    }
  }
  if (!write) { result.operations = planned.plan; }
  result.verified = result.plan.empty();
  if (write && !planned.plan.empty()) {  // The kernel is the proof: say "applied" after a dump.
    EDGE_ASSIGN(result.observed, box.kernel->dump(sysctls));
    EDGE_ASSIGN(nft, box.kernel->dump_nft());
    const auto rest = plan_beside(rendered, result.observed, nft, kept);
    result.verified = rest.plan.empty();
    for (const auto& operation : rest.plan) {
      result.rest.push_back(netmodel::to_text(operation));
      spdlog::debug("reconcile.rest {}", result.rest.back());
    }
  }
  result.look = std::make_shared<const Look>(
      Look{result.observed, std::move(nft), wanted_sysctls, settled, mono_now()});
  result.rendered = std::move(rendered);
  return result;
}

}  // namespace

std::vector<std::string> TurnResult::trouble_beside(const std::vector<std::string>& known) const {
  std::vector<std::string> out;
  for (const auto* lines : {&errors, &conflicts}) {
    for (const std::string& line : *lines) {
      if (std::ranges::find(known, line) == known.end()) { out.push_back(line); }
    }
  }
  return out;
}

std::vector<std::string> TurnResult::reasons_beside(const std::vector<std::string>& known) const {
  constexpr std::size_t lines_max = 8;
  std::vector<std::string> out = trouble_beside(known);
  if (!out.empty()) { return out; }
  for (const std::string& line : rest) {
    if (out.size() == lines_max) { break; }
    out.push_back("it did not stay as it was written: " + line);
  }
  return out;
}

bool TurnResult::shows_but(const std::vector<std::string>& known) const {
  if (!trouble_beside(known).empty()) { return false; }
  const bool only_refused = std::ranges::all_of(rest, [this](const std::string& line) {
    return std::ranges::find(refused, line) != refused.end();
  });
  return verified || (!refused.empty() && only_refused);
}

Reconciler::Reconciler(asio::io_context& io, KernelWorker& kernel, netmodel::Model model,
                       Hooks hooks)
    : io_(io),
      kernel_(kernel),
      model_(std::make_shared<const netmodel::Model>(std::move(model))),
      hooks_(std::move(hooks)),
      debounce_timer_(io),
      turn_done_(io, asio::steady_timer::time_point::max()),
      planner_(io, PlanBox{}) {}

void Reconciler::stop() {
  stopped_ = true;
  debounce_timer_.cancel();
  turn_done_.cancel();
}

void Reconciler::set_model(netmodel::Model model) {
  model_ = std::make_shared<const netmodel::Model>(std::move(model));
  ++models_;
  if (hooks_.on_model) { hooks_.on_model(*model_); }
}

void Reconciler::keep(std::set<std::string> links) {
  if (kept_ == links) { return; }
  kept_ = std::move(links);
  request("links that are kept");
}

void Reconciler::request(std::string_view reason) {
  if (stopped_) { return; }
  dirty_ = true;
  reason_ = reason;
  if (running_ || paused_) { return; }
  running_ = true;
  // Never inside the caller: it may be halfway through changing the facts.
  asio::post(io_, [this] { asio::co_spawn(io_, run(), asio::detached); });
}

void Reconciler::overrun() {
  ++overruns_;
  request("netlink overrun");
}

void Reconciler::resume() {
  paused_ = false;
  if (dirty_) { request(std::string(reason_)); }
}

asio::awaitable<void> Reconciler::run() {
  boost::system::error_code ec;
  while (dirty_ && !stopped_) {
    dirty_ = false;
    const std::string reason = reason_;
    const MonoTime began = mono_now();
    const std::uint64_t models = models_;
    TurnResult result = co_await turn(model_, true);
    ++turns_;
    result.of_present_model = models == models_;
    result.reason = reason;
    result.took = std::chrono::duration_cast<std::chrono::microseconds>(mono_now() - began);
    if (!result.plan.empty()) {
      spdlog::info("reconcile.turn reason=\"{}\" writes={} verified={}", reason, result.plan.size(),
                   result.verified);
      for (const auto& line : result.plan) { spdlog::debug("reconcile.write {}", line); }
    }
    for (const auto& error : result.errors) { spdlog::warn("reconcile.refused {}", error); }
    if (hooks_.on_turn) { hooks_.on_turn(result); }
    last_ = std::move(result);
    notify_waiters();
    if (dirty_ && !stopped_) {
      debounce_timer_.expires_after(debounce);
      co_await debounce_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
  }
  running_ = false;
}

void Reconciler::notify_waiters() { turn_done_.cancel(); }

asio::awaitable<TurnResult> Reconciler::turn(std::shared_ptr<const netmodel::Model> model,
                                             bool write) {
  Rendered rendered = netmodel::render(*model, hooks_.facts());
  // Named before the co_await: GCC 12 destroys a closure that is a temporary of it twice (seen with
  // ASan).
  auto work = [rendered, write, kept = kept_](KernelBox& box) {
    return write_turn(box, rendered, write, kept);
  };
  Result<TurnResult> done = co_await kernel_.call(std::move(work));
  if (done) {
    look_ = done->look;
    co_return std::move(*done);
  }
  look_.reset();
  TurnResult failed;
  failed.errors.push_back(done.error().what);
  if (last_) { failed.observed = last_->observed; }
  failed.rendered = std::move(rendered);
  co_return failed;
}

asio::awaitable<TurnResult> Reconciler::converge(std::string reason) {
  boost::system::error_code ec;
  TurnResult result;
  std::vector<std::string> written;
  for (int tries = 0; tries < tries_max && !stopped_; ++tries) {
    // A turn that is in flight may have read the facts before this change: wait for one begun
    // after.
    const std::uint64_t needed = turns_ + (running_ ? 2 : 1);
    while (turns_ < needed && !stopped_) {
      request(reason);
      co_await turn_done_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
    if (stopped_ || !last_) { break; }
    result = *last_;
    written.insert(written.end(), result.plan.begin(), result.plan.end());
    if (result.verified) { break; }
  }
  result.plan = std::move(written);
  co_return result;
}

/// nullopt: the look that there is does not serve.
asio::awaitable<std::optional<TurnResult>> Reconciler::turn_by_look(Rendered rendered) {
  const std::shared_ptr<const Look> look = look_;
  const auto age_max =
      std::max(hooks_.look_age_max, running_ ? look_age_max_in_turn : std::chrono::milliseconds(0));
  const bool serves = look != nullptr && look->settled && mono_now() - look->at <= age_max &&
                      look->wanted_sysctls == netmodel::sysctl_paths(rendered.state);
  if (!serves) { co_return std::nullopt; }
  auto work = [look, rendered = std::move(rendered), kept = kept_](PlanBox&) {
    return look_turn(*look, rendered, kept);
  };
  Result<TurnResult> done = co_await planner_.call(std::move(work));
  if (!done) { co_return std::nullopt; }
  co_return std::move(*done);
}

asio::awaitable<TurnResult> Reconciler::plan_only(netmodel::Model candidate, LookAge age) {
  const auto wanted = std::make_shared<const netmodel::Model>(std::move(candidate));
  std::optional<TurnResult> by_look;
  if (age == LookAge::recent) {
    Rendered rendered = netmodel::render(*wanted, hooks_.facts());
    by_look = co_await turn_by_look(std::move(rendered));
  }
  TurnResult result;
  if (by_look) {
    result = std::move(*by_look);
  } else {
    result = co_await turn(wanted, false);
  }
  const netmodel::RenderFacts facts = hooks_.facts();
  netmodel::RenderFacts after = facts;
  after.automatic_subnets = result.rendered.automatic_subnets;
  result.consequences =
      netmodel::consequences({*model_, facts}, {*wanted, after}, result.operations);
  result.impact = netmodel::port_impact(*model_, *wanted, facts.adapters, facts.needed);
  co_return result;
}

netmodel::Consequences Reconciler::foreseen(const netmodel::Model& before,
                                            const netmodel::Model& after) const {
  const netmodel::RenderFacts facts = hooks_.facts();
  return netmodel::consequences({before, facts}, {after, facts}, {});
}

}  // namespace edge::uplink
