#include "uplink/daemon/commands.hpp"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/texts.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
namespace json = boost::json;
using store::CommandState;

namespace {

/// Of the change that was being tried out; 0: none, or written by a program that numbered at the
/// end.
std::int64_t number_in_undo(const std::string& undo) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(undo, ec);
  const auto* value =
      ec || !parsed.is_object() ? nullptr : parsed.get_object().if_contains("number");
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

}  // namespace

Commands::Commands(asio::io_context& io, store::StoreWorker& store, EventLog& events,
                   Reconciler& reconciler, Trials& trials, Hooks hooks, std::string boot_id,
                   Numbers numbers)
    : io_(io),
      store_(store),
      events_(events),
      reconciler_(reconciler),
      trials_(trials),
      hooks_(std::move(hooks)),
      boot_id_(std::move(boot_id)),
      revision_(numbers.revision),
      highest_(std::max(numbers.revision, numbers.highest)),
      retry_timer_(io),
      disk_timer_(io) {}

void Commands::recover(std::vector<store::CommandRecord> unfinished) {
  // An undo goes before everything else: nothing is dialled until it is through.
  for (const bool undo : {true, false}) {
    for (auto& record : unfinished) {
      if (record.undo.empty() == undo) { continue; }
      spdlog::info("command.recovered id={} state={}", record.id, store::to_string(record.state));
      const std::int64_t number = number_in_undo(record.undo);
      highest_ = std::max(highest_, number);
      enqueue({record.id, record.payload, record.state != CommandState::stored, record.undo,
               record.command_class == local_class, number, digest_of(record.payload)});
    }
  }
}

bool Commands::abort_trial(std::string why, std::function<void(json::object)> done) {
  if (trying_.empty()) { return false; }
  spdlog::warn("trial.abort command={} reason=\"{}\"", trying_, why);
  waiters_.emplace(trying_, std::move(done));
  trials_.abort(std::move(why));
  return true;
}

void Commands::wind_down(std::string why, std::function<void()> done) {
  closing_ = true;
  disk_timer_.cancel();
  if (!under_way_) { return done(); }
  wound_down_ = std::move(done);
  if (!trying()) { return; }
  spdlog::warn("trial.abort command={} reason=\"{}\"", trying_, why);
  trials_.abort(std::move(why));
}

void Commands::enqueue(Item item) {
  if (!queued_.emplace(item.id, item.digest).second) { return; }
  queue_.push_back(std::move(item));
  wake();
}

void Commands::wake() {
  if (running_ || !goes_on()) { return; }
  running_ = true;
  asio::co_spawn(io_, run(), [](const std::exception_ptr& error) {
    if (error) { std::rethrow_exception(error); }
  });
}

asio::awaitable<void> Commands::run() {
  while ((!queue_.empty() || console_top_ > revision_) && goes_on()) {
    under_way_ = false;
    if (console_top_ > revision_) {
      co_await renumber();
      continue;
    }
    co_await refresh_facts();
    co_await look_up_revisions();
    if (stopped_) { break; }
    if (queue_.empty()) { continue; }  // The last one was ended meanwhile.
    auto batch = std::make_shared<Batch>(take_batch(singly_ > 0 ? 1 : batch_max));
    const bool whole = co_await apply(batch);
    if (stopped_) { break; }  // A trial that was cut short: the next start takes it back.
    if (!whole && batch->size() > 1) {
      // One of them is to blame: put them back in order and go on singly until this batch is
      // through.
      put_back(*batch);
      singly_ = batch->size();
      continue;
    }
    const bool ended = co_await execute(batch);
    if (stopped_) { break; }
    if (!ended) {
      put_back(*batch);
      continue;
    }
    if (singly_ > 0) { --singly_; }
  }
  running_ = false;
  under_way_ = false;
  if (const auto done = std::exchange(wound_down_, nullptr)) { done(); }
}

void Commands::foretell(Decision& decision, const TurnResult& planned) const {
  decision.consequences = bounded(netmodel::to_lines(planned.consequences));
  if (!hooks_.ways) { return; }
  decision.ways = hooks_.ways(*decision.model, terms_of(decision, planned.impact));
  if (std::string line = to_line(*decision.ways); !line.empty()) {
    decision.consequences.push_back(std::move(line));
  }
}

asio::awaitable<bool> Commands::dry_run(Decision& decision) {
  netmodel::Model candidate = *decision.model;
  TurnResult planned = co_await reconciler_.plan_only(std::move(candidate), LookAge::recent);
  decision.plan = std::move(planned.plan);
  foretell(decision, planned);
  const auto now = reconciler_.shared_model();
  decision.warnings = co_await advice(*now, *decision.model);
  // What is in the way without this command already is no answer to it.
  for (auto& line : planned.trouble_beside(reconciler_.trouble())) {
    refuse(decision, std::move(line));
  }
  if (certainly_cuts(decision, planned) && !decision.force) {
    decision.warnings.emplace_back(
        "it would be refused without \"force\": no port is left that "
        "could reach the Console");
  }
  co_return true;
}

asio::awaitable<bool> Commands::begin(std::shared_ptr<Batch> batch, std::string undo) {
  under_way_ = std::ranges::any_of(*batch, &Decision::touches_kernel);
  std::vector<std::string> begun;
  for (const Decision& decision : *batch) {
    if (decision.touches_kernel() && !decision.item.began) { begun.push_back(decision.item.id); }
  }
  if (begun.empty()) { co_return true; }
  // Named before the co_await: GCC 12 destroys a closure that is a temporary of it twice (seen
  // with ASan).
  auto start = [begun, undo, boot = boot_id_, now = wall_now()](store::Store& s) -> Result<void> {
    for (const std::string& id : begun) { EDGE_TRY(s.start(id, boot, undo, now)); }
    return {};
  };
  const auto started = co_await store_.call(std::move(start));
  if (!started) {
    for (Decision& decision : *batch) {
      if (decision.touches_kernel()) {
        refuse(decision, "store: not run: " + started.error().what);
      }
    }
    co_return false;
  }
  for (const std::string& id : begun) {
    say({{"type", "state"}, {"id", id}, {"state", "applying"}});
  }
  co_return true;
}

asio::awaitable<bool> Commands::apply(std::shared_ptr<Batch> batch) {
  Decision& first = batch->front();
  if (first.dry_run && first.model) { co_return co_await dry_run(first); }
  const auto former = reconciler_.shared_model();
  for (Decision& decision : *batch) { decision.former = former; }
  if (first.trial || !first.item.undo.empty()) {
    co_await try_out(batch);
    co_return true;
  }
  const netmodel::Model* last = nullptr;
  for (const Decision& decision : *batch) {
    if (decision.touches_kernel() && decision.model) { last = &*decision.model; }
  }
  std::string no_undo;
  const bool begun = co_await begin(batch, std::move(no_undo));
  if (!begun) { co_return true; }
  if (last == nullptr) { co_return true; }
  std::vector<std::string> warnings = co_await advice(*former, *last);
  for (Decision& decision : *batch) {
    if (decision.model) { decision.warnings = warnings; }
  }

  const std::vector<std::string> known = reconciler_.trouble();
  reconciler_.set_model(*last);
  std::string why = "command " + first.item.id;
  TurnResult turn = co_await reconciler_.converge(std::move(why));
  std::vector<std::string> reasons = turn.reasons_beside(known);
  if (turn.shows_but(known)) {
    for (Decision& decision : *batch) {
      if (decision.model) { decision.plan = turn.plan; }
    }
    co_return true;
  }
  if (batch->size() > 1) {
    reconciler_.set_model(*former);
    std::string undo = "undo of " + batch->front().item.id;
    co_await reconciler_.converge(std::move(undo));
    co_return false;
  }
  co_await refuse_applied(first, *former, std::move(reasons), known);
  co_return true;
}

asio::awaitable<std::vector<std::string>> Commands::advice(const netmodel::Model& before,
                                                           const netmodel::Model& after) {
  if (!hooks_.advise || before.groups == after.groups) { co_return std::vector<std::string>{}; }
  auto answer = std::make_shared<std::optional<std::vector<std::string>>>();
  auto said = std::make_shared<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
  hooks_.advise(before, after, [answer, said](std::vector<std::string> lines) {
    *answer = std::move(lines);
    said->cancel();
  });
  boost::system::error_code ec;
  while (!*answer) { co_await said->async_wait(asio::redirect_error(asio::use_awaitable, ec)); }
  co_return std::move(**answer);
}

asio::awaitable<void> Commands::refresh_facts() {
  if (!hooks_.refresh) { co_return; }
  auto ready = std::make_shared<bool>(false);
  auto said = std::make_shared<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
  hooks_.refresh([ready, said] {
    *ready = true;
    said->cancel();
  });
  boost::system::error_code ec;
  while (!*ready) { co_await said->async_wait(asio::redirect_error(asio::use_awaitable, ec)); }
}

asio::awaitable<Result<std::string>> Commands::act(netmodel::HostAction action) {
  auto answer = std::make_shared<std::optional<Result<std::string>>>();
  auto said = std::make_shared<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
  hooks_.act(action, [answer, said](Result<std::string> outcome) {
    *answer = std::move(outcome);
    said->cancel();
  });
  boost::system::error_code ec;
  while (!*answer) { co_await said->async_wait(asio::redirect_error(asio::use_awaitable, ec)); }
  co_return std::move(**answer);
}

}  // namespace edge::uplink
