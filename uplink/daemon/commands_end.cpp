// Commands: how they end. A result is on disk before it is said. What the disk does not take is not
// left standing, and tried again.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/commands.hpp"
#include "uplink/daemon/open_store.hpp"
#include "uplink/daemon/texts.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
namespace json = boost::json;
using store::CommandState;

namespace {

json::array problems_json(const std::vector<netmodel::Problem>& problems, std::size_t dropped) {
  json::array out;
  std::size_t bytes = 0;
  for (const auto& problem : problems) {
    bytes += problem.what.size() + problem.field.size();
    if (out.size() == told_lines_max || bytes > told_bytes_max) {
      dropped += problems.size() - out.size();
      break;
    }
    json::object row{{"what", problem.what}};
    if (problem.op) { row["op"] = *problem.op; }
    if (!problem.field.empty()) { row["field"] = problem.field; }
    out.push_back(std::move(row));
  }
  if (dropped > 0) {
    out.push_back(json::object{{"what", fmt::format("and {} more problems", dropped)}});
  }
  return out;
}

/// The disk may take later what it does not take now.
bool may_heal(const Error& error) {
  switch (error.code) {
    case Errc::transient:
    case Errc::denied:
    case Errc::corrupt:
    case Errc::no_space: return true;
    case Errc::invalid_input:
    case Errc::not_found:
    case Errc::conflict:
    case Errc::unsupported: return false;
  }
  return false;
}

}  // namespace

std::string Commands::result_text(const Decision& decision, std::int64_t revision) {
  json::object result{
      {"type", "result"},
      {"id", decision.item.id},
      {"state", std::string(store::to_string(decision.state))},
      {"problems", problems_json(decision.problems, decision.problems_dropped)},
      {"revision", revision},
      {"plan", texts(bounded(decision.plan))},
      {"changed", decision.state == CommandState::done && decision.model && !decision.dry_run},
      {"elapsed_ms", (mono_now() - decision.began) / std::chrono::milliseconds(1)}};
  if (!decision.difference.empty()) { result["difference"] = texts(bounded(decision.difference)); }
  if (!decision.consequences.empty()) { result["consequences"] = texts(decision.consequences); }
  if (decision.ways) { result["console"] = to_json(*decision.ways); }
  if (!decision.observed.empty()) { result["observed"] = texts(decision.observed); }
  if (!decision.warnings.empty()) { result["warnings"] = texts(bounded(decision.warnings)); }
  return json::serialize(result);
}

/// Does the actions that are still to be done, and puts the results into words.
asio::awaitable<Commands::Ends> Commands::ends_of(std::shared_ptr<Batch> batch) {
  auto ends = std::make_shared<std::vector<End>>();
  const std::optional<store::Revision> none;
  std::int64_t revision = revision_;
  for (Decision& decision : *batch) {
    std::vector<netmodel::HostAction> actions = std::exchange(decision.actions, {});
    if (decision.dry_run || decision.state != CommandState::done) { actions.clear(); }
    for (const netmodel::HostAction& action : actions) {
      std::optional<std::string> why = decision.force ? std::nullopt : cuts_all(action);
      const auto* drain = std::get_if<netmodel::DrainPort>(&action);
      if (!why && drain != nullptr) {
        decision.drained.push_back(
            {*drain, hooks_.drained_until ? hooks_.drained_until(drain->adapter) : std::nullopt});
      }
      if (!why) {
        const Result<std::string> acted = co_await act(action);
        if (!acted) { why = acted.error().what; }
        if (acted && !acted->empty()) { decision.observed.push_back(*acted); }
      }
      if (!why) { continue; }
      co_await undo_for(decision, std::move(*why));
      break;
    }
    std::optional<store::Revision> made = none;
    std::int64_t retired = decision.item.number;
    if (decision.made_for && decision.difference.empty()) {
      decision.difference = co_await difference_to(*decision.made_for);
    }
    if (decision.landed) {
      made = store::Revision{++highest_, netmodel::to_json_text(*decision.landed), decision.item.id,
                             wall_now()};
    } else if (decision.changes_model()) {
      made = store::Revision{std::exchange(retired, 0), netmodel::to_json_text(*decision.model),
                             decision.item.id, wall_now()};
    }
    if (made) { revision = made->number; }
    const bool replaces =
        decision.replaces && decision.state == CommandState::done && !decision.dry_run;
    std::string result = result_text(decision, revision);
    ends->push_back(
        {decision.item.id, decision.state, std::move(result), std::move(made), retired, replaces});
  }
  co_return Ends(std::move(ends));
}

/// The last one first: a port may be in it twice.
asio::awaitable<void> Commands::undrain(Decision& decision) {
  std::vector<Drained> drained = std::exchange(decision.drained, {});
  for (auto one = drained.rbegin(); one != drained.rend(); ++one) {
    one->drain.duration = seconds_until(one->before, mono_now());
    netmodel::HostAction former = one->drain;
    co_await act(std::move(former));
  }
}

/// An action was refused: what the same command changed does not stay.
asio::awaitable<void> Commands::undo_for(Decision& decision, std::string why) {
  const bool changed = decision.changes_model();
  co_await undrain(decision);
  refuse(decision, std::move(why));
  if (!changed) { co_return; }
  std::shared_ptr<const netmodel::Model> former = decision.former;
  netmodel::Model stored = co_await stored_model(std::move(former));
  std::vector<std::string> known = decision.known;
  Landing landing = co_await go_back(std::move(stored), std::move(known));
  if (stopped_) { co_return; }
  decision.landed = std::move(landing.model);
  decision.problems.push_back({std::nullopt, "", "the network is back at " + landing.where});
}

/// One job: all of the batch in one commit, model and results together, or none of them, also where
/// the worker commits other jobs with it; what is kept beside the model ends with it, so that no
/// restart keeps what is explained.
asio::awaitable<Result<void>> Commands::store_ends(Ends ends) {
  auto commit = [ends, now = wall_now()](store::Store& s) {
    return s.whole([&]() -> Result<void> {
      for (const End& end : *ends) {
        EDGE_TRY(s.finish(end.id, end.state, end.result, end.revision, now));
        if (end.retired != 0) { EDGE_TRY(s.retire_revision(end.retired)); }
        if (end.replaces) { EDGE_TRY(s.put_setting(kept_links_setting, "[]")); }
      }
      return {};
    });
  };
  Result<void> stored = co_await store_.call(std::move(commit));
  co_return stored;
}

/// The store will never take the end of this command: what it changed does not stay, and it ends in
/// few words.
asio::awaitable<Commands::Ends> Commands::shorter_ends(std::shared_ptr<Batch> batch,
                                                       std::string why) {
  Decision& decision = batch->front();
  decision.plan.clear();
  decision.difference.clear();
  decision.consequences.clear();
  decision.warnings.clear();
  decision.problems.clear();
  decision.problems_dropped = 0;
  decision.ways.reset();
  decision.made_for.reset();
  why = "its end could not be stored: " + why;
  if (!decision.changes_model()) {
    decision.problems.push_back({std::nullopt, "", std::move(why)});
  } else if (decision.before) {
    std::vector<std::string> reasons{std::move(why)};
    co_await take_back(decision, std::move(reasons));
  } else {
    co_await undo_for(decision, std::move(why));
  }
  Ends ends = co_await ends_of(batch);
  co_return ends;
}

asio::awaitable<bool> Commands::execute(std::shared_ptr<Batch> batch) {
  const std::shared_ptr<const netmodel::Model> former = batch->front().former;
  Ends ends = co_await ends_of(batch);
  Result<void> stored = co_await store_ends(ends);
  if (!stored && !may_heal(stored.error())) {
    spdlog::error("command.end_refused id={} reason={}", ends->front().id, stored.error().what);
    if (batch->size() > 1) {  // One of them is to blame.
      co_await show_stored(former);
      singly_ = batch->size();
      co_return false;
    }
    std::string why = stored.error().what;
    ends = co_await shorter_ends(batch, std::move(why));
    if (stopped_) {
      co_return true;
    }  // What it took back may not be through: the next start ends it.
    stored = co_await store_ends(ends);
  }
  if (!stored) {
    tell_unstored(*ends, stored.error());
    const bool changed = std::ranges::any_of(*batch, &Decision::changes_model);
    const bool trial = changed && batch->front().before.has_value();
    if (changed && !trial) {
      co_await undrain(batch->front());  // Who asks for actions goes alone.
      co_await show_stored(former);
    }
    if (!may_heal(stored.error())) {
      for (const End& end : *ends) { queued_.erase(end.id); }
      co_return true;  // Taken up again when the Console repeats it, or at the next start.
    }
    if (changed && !trial) {
      co_await disk_healed();
      co_return false;
    }
    if (trial) {
      std::vector<std::string> reasons{"its end could not be stored: " + stored.error().what};
      co_await take_back(batch->front(), std::move(reasons));
      ends = co_await ends_of(batch);
    }
    // What stands now is what the end says: only the record is missing, and the next command waits
    // for it.
    while (!stored && !stopped_) {
      co_await disk_healed();
      if (!goes_on()) { co_return true; }
      stored = co_await store_ends(ends);
      if (!stored && !may_heal(stored.error())) { break; }
    }
    if (!stored) {
      for (const End& end : *ends) { queued_.erase(end.id); }
      co_return true;
    }
  }
  for (const End& end : *ends) { queued_.erase(end.id); }
  executed_ += ends->size();
  bool made = false;
  for (const End& end : *ends) {
    if (!end.revision) { continue; }
    made = true;
    revision_ = end.revision->number;
    newest_.push_front({.number = end.revision->number,
                        .cause = end.revision->cause,
                        .time = end.revision->time,
                        .model_bytes = static_cast<std::int64_t>(end.revision->model.size())});
    if (newest_.size() > revisions_shown) { newest_.pop_back(); }
  }
  if (made) { hooks_.changed(); }
  if (hooks_.replaced && std::ranges::any_of(*ends, &End::replaces)) { hooks_.replaced(); }
  for (const End& end : *ends) {
    spdlog::info("command.end id={} state={} revision={}", end.id, store::to_string(end.state),
                 end.revision ? end.revision->number : revision_);
    answer(end.id, end.result);
  }
  co_return true;
}

/// The newest revision on disk; without any the model that a host begins with; `former`, if the
/// disk does not tell. Never that in force, which may be what has to go.
asio::awaitable<netmodel::Model> Commands::stored_model(
    std::shared_ptr<const netmodel::Model> former) {
  auto newest = [](store::Store& s) { return s.newest_revision(); };
  const auto kept = co_await store_.call(std::move(newest));
  if (kept && !*kept) { co_return netmodel::Model::defaults(); }
  if (kept) {
    if (auto model = netmodel::model_from_json((*kept)->model)) {
      revision_ = (*kept)->number;
      co_return std::move(*model);
    }
  }
  co_return *former;
}

/// Nothing new may stand without its record: the network goes back to what the store says.
asio::awaitable<void> Commands::show_stored(std::shared_ptr<const netmodel::Model> former) {
  netmodel::Model stored = co_await stored_model(std::move(former));
  reconciler_.set_model(std::move(stored));
  reconciler_.request("the store refused a result");
}

/// Until the disk takes a mark, or the daemon is about to stop.
asio::awaitable<void> Commands::disk_healed() {
  boost::system::error_code ec;
  while (goes_on()) {
    disk_timer_.expires_after(hooks_.disk_period);
    co_await disk_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    if (!goes_on()) { break; }
    auto mark = [now = wall_now()](store::Store& s) { return s.probe(now); };
    const auto marked = co_await store_.call(std::move(mark));
    if (marked) { break; }
  }
}

/// The Console is told when it is stored; a person at the machine does not wait for a disk.
void Commands::tell_unstored(const std::vector<End>& ends, const Error& error) {
  spdlog::error("command.not_finished id={} reason={}", ends.front().id, error.what);
  events_.add("store.trouble", {{"what", error.what}, {"command", ends.front().id}});
  for (const End& end : ends) {
    const json::object said{
        {"type", "result"},
        {"id", end.id},
        {"state", "applying"},
        {"problems", json::array{json::object{
                         {"what", fmt::format("its end could not be stored: {}; see \"uplinkctl "
                                              "history\" for what became of it",
                                              error.what)}}}},
        {"revision", revision_}};
    tell_waiters(end.id, said);
    if (const auto local = local_.find(end.id); local != local_.end()) {
      const auto done = std::move(local->second);
      local_.erase(local);
      done(said);
    }
  }
}

}  // namespace edge::uplink
