#include "uplink/daemon/commands.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "store/io/sha256.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
namespace json = boost::json;
using store::CommandState;

namespace {

/// What makes two commands the same: everything but how they were sent.
store::Sha256 digest_of(const json::object& message) {
  json::object essence;
  for (const char* key : {"operations", "deadline", "confirm_within_s", "dry_run", "revision"}) {
    if (const auto* value = message.if_contains(key)) { essence[key] = *value; }
  }
  return store::sha256(json::serialize(essence));
}

json::array problems_json(const std::vector<netmodel::Problem>& problems, std::size_t dropped) {
  json::array out;
  for (const auto& problem : problems) {
    json::object row{{"what", problem.what}};
    if (problem.op) { row["op"] = *problem.op; }
    if (!problem.field.empty()) { row["field"] = problem.field; }
    out.push_back(std::move(row));
  }
  if (dropped > 0) { out.push_back(json::object{{"what", fmt::format("and {} more problems", dropped)}}); }
  return out;
}

std::string class_of(const netmodel::Command& command) {
  for (const auto& operation : command.operations) {
    if (std::holds_alternative<netmodel::PortIdentify>(operation) ||
        std::holds_alternative<netmodel::FailoverDrill>(operation)) {
      return "action";
    }
  }
  return "model";
}

}  // namespace

Commands::Commands(asio::io_context& io, store::StoreWorker& store, EventLog& events, Reconciler& reconciler,
                   Hooks hooks, std::string boot_id, std::int64_t revision)
    : io_(io),
      store_(store),
      events_(events),
      reconciler_(reconciler),
      hooks_(std::move(hooks)),
      boot_id_(std::move(boot_id)),
      revision_(revision),
      retry_timer_(io) {}

Commands::Outcome Commands::refused(std::string what) {
  Outcome out;
  out.state = CommandState::refused;
  out.problems.push_back({std::nullopt, "", std::move(what)});
  return out;
}

void Commands::recover(std::vector<store::CommandRecord> unfinished) {
  for (auto& record : unfinished) {
    spdlog::info("command.recovered id={} state={}", record.id, store::to_string(record.state));
    enqueue({record.id, record.payload, record.state != CommandState::stored});
  }
}

void Commands::say(const json::object& message) {
  if (const auto sent = hooks_.send(json::serialize(message)); !sent) {
    spdlog::debug("command.unsaid reason={}", sent.error().what);
  }
}

void Commands::on_message(std::string_view text) {
  boost::system::error_code ec;
  json::value parsed = json::parse(text, ec, {}, {.max_depth = 32});
  const json::object* message = ec ? nullptr : parsed.if_object();
  const json::value* type = message == nullptr ? nullptr : message->if_contains("type");
  const json::value* id = message == nullptr ? nullptr : message->if_contains("id");
  if (type == nullptr || !type->is_string() || id == nullptr || !id->is_string()) {
    spdlog::warn("command.malformed bytes={} reason=\"not an object with type and id\"", text.size());
    return;
  }
  const std::string command_id(id->as_string());
  if (type->as_string() == "command") {
    receive(command_id, std::string(text), *message);
  } else if (type->as_string() == "result_ack") {
    store_.run([command_id](store::Store& s) { return s.ack_result(command_id); },
               [](const Result<void>&) {});  // Not stored: it is sent and acknowledged once more.
  } else {
    spdlog::warn("command.unknown_type type={}", std::string_view(type->as_string()));
  }
}

void Commands::receive(std::string id, std::string payload, json::object message) {
  if (!store::is_command_id(id)) {
    spdlog::warn("command.malformed id=\"{}\" reason=\"not a UUID\"", id.substr(0, 64));
    say({{"type", "result"}, {"id", id.substr(0, 64)}, {"state", "refused"},
         {"problems", json::array{json::object{{"what", "id: expected a UUID of lower-case hex digits"}}}}});
    return;
  }
  if (queue_.size() >= queue_max) {
    say({{"type", "result"}, {"id", id}, {"state", "refused"},
         {"problems", json::array{json::object{{"what", fmt::format("{} commands are waiting; send it again later", queue_max)}}}}});
    return;
  }
  store::IncomingCommand command{id, std::move(payload), digest_of(message), "model"};
  store_.run([command, now = wall_now()](store::Store& s) { return s.receive(command, now); },
             [this, command](const Result<store::ReceiveOutcome>& outcome) { on_receipt(command, outcome); });
}

void Commands::on_receipt(const store::IncomingCommand& command, const Result<store::ReceiveOutcome>& outcome) {
  const auto refuse = [&](const std::string& what) {
    const json::object result{{"type", "result"}, {"id", command.id}, {"state", "refused"},
                              {"problems", json::array{json::object{{"what", what}}}}, {"revision", revision_}};
    answer(command.id, json::serialize(result));
  };
  if (!outcome) {
    const bool full = outcome.error().code == Errc::no_space;
    spdlog::error("command.not_stored id={} reason={}", command.id, outcome.error().what);
    refuse(fmt::format("{}: the command was not stored and not run: {}", full ? "no_space" : "store",
                       outcome.error().what));
    return;
  }
  if (outcome->receipt == store::Receipt::id_reuse) {
    refuse("id_reuse: this id was used for another command; its result stands");
    return;
  }
  say({{"type", "stored"}, {"id", command.id}});
  if (store::is_final(outcome->state)) {
    answer(command.id, outcome->result);
    return;
  }
  if (outcome->receipt == store::Receipt::fresh) { enqueue({command.id, command.payload, false}); }
}

void Commands::answer(const std::string& id, const std::string& result_json) {
  if (const auto local = local_.find(id); local != local_.end()) {
    const auto done = std::move(local->second);
    local_.erase(local);
    done(json::parse(result_json).as_object());
    store_.run([id](store::Store& s) { return s.ack_result(id); }, [](const Result<void>&) {});
    return;
  }
  if (const auto sent = hooks_.send(result_json); sent) { return; }
  resend_ = true;  // Back-pressure, or no session: the next session starts with all of them.
  retry_timer_.expires_after(retry);
  retry_timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec && std::exchange(resend_, false)) { send_unacked(); }
  });
}

void Commands::send_unacked() {
  store_.run([](store::Store& s) { return s.unacked_results(256); },
             [this](const Result<std::vector<store::CommandRecord>>& records) {
               if (!records) { return; }
               for (const auto& record : *records) {
                 if (const auto sent = hooks_.send(record.result); !sent) {
                   if (sent.error().code != Errc::no_space) { return; }
                   resend_ = true;
                   retry_timer_.expires_after(retry);
                   retry_timer_.async_wait([this](boost::system::error_code ec) {
                     if (!ec && std::exchange(resend_, false)) { send_unacked(); }
                   });
                   return;
                 }
               }
             });
}

void Commands::run_local(json::object command, std::function<void(json::object)> done) {
  const std::string id(command.at("id").as_string());
  if (local_.contains(id)) {
    done({{"state", "refused"}, {"problems", json::array{json::object{{"what", "this id is running"}}}}});
    return;
  }
  local_[id] = std::move(done);
  const std::string payload = json::serialize(command);
  receive(id, payload, std::move(command));
}

void Commands::enqueue(Item item) {
  if (!queued_.insert(item.id).second) { return; }
  queue_.push_back(std::move(item));
  if (running_ || stopped_) { return; }
  running_ = true;
  asio::co_spawn(io_, run(), [](const std::exception_ptr& error) {
    if (error) { std::rethrow_exception(error); }
  });
}

asio::awaitable<void> Commands::run() {
  while (!queue_.empty() && !stopped_) {
    Item item = std::move(queue_.front());
    queue_.pop_front();
    co_await execute(item);
    queued_.erase(item.id);
  }
  running_ = false;
}

asio::awaitable<void> Commands::execute(Item item) {
  const MonoTime began = mono_now();
  Outcome outcome = co_await decide(item);
  co_await finish(item.id, std::move(outcome), began);
}

asio::awaitable<Commands::Outcome> Commands::decide(Item item) {
  const auto parsed = netmodel::parse_command(item.payload);
  if (!parsed) {
    Outcome out;
    out.state = CommandState::refused;
    out.problems = parsed.error().items();
    out.problems_dropped = parsed.error().dropped();
    co_return out;
  }
  if (item.began && class_of(*parsed) == "action") {
    Outcome out;
    out.state = CommandState::indeterminate;
    out.problems.push_back({std::nullopt, "", "the daemon was stopped while it ran; it is not run twice"});
    co_return out;
  }
  if (parsed->deadline && *parsed->deadline < wall_now()) {
    Outcome out;
    out.state = CommandState::expired;
    out.problems.push_back({std::nullopt, "deadline", "deadline " + to_iso8601(*parsed->deadline) + " has passed"});
    co_return out;
  }
  if (parsed->revision && *parsed->revision != revision_) {
    Outcome out;
    out.state = CommandState::superseded;
    out.problems.push_back({std::nullopt, "revision",
                            fmt::format("made for revision {}, the host is at {}", *parsed->revision, revision_)});
    co_return out;
  }
  netmodel::ApplyOutcome wanted =
      netmodel::apply_operations(reconciler_.model(), parsed->operations, hooks_.facts());
  if (!wanted.problems.empty() || !wanted.model) {
    Outcome out;
    out.state = CommandState::refused;
    out.problems = wanted.problems.items();
    out.problems_dropped = wanted.problems.dropped();
    co_return out;
  }
  if (parsed->dry_run) {
    netmodel::Model candidate = *wanted.model;
    TurnResult planned = co_await reconciler_.plan_only(std::move(candidate));
    Outcome out;
    out.plan = std::move(planned.plan);
    for (const auto& error : planned.errors) { out.problems.push_back({std::nullopt, "", error}); }
    co_return out;
  }
  Outcome out = co_await apply(item, std::move(wanted));
  co_return out;
}

asio::awaitable<Commands::Outcome> Commands::apply(Item item, netmodel::ApplyOutcome wanted) {
  Outcome out;
  const bool changes_model = *wanted.model != reconciler_.model();
  if (!changes_model && wanted.actions.empty()) { co_return out; }  // Idempotent: nothing to write.

  if (!item.began) {
    // Named before the co_await: GCC 12 destroys a closure that is a temporary of it twice (seen with ASan).
    auto start = [id = item.id, boot = boot_id_, now = wall_now()](store::Store& s) { return s.start(id, boot, "", now); };
    const auto started = co_await store_.call(std::move(start));
    if (!started) { co_return refused("store: not run: " + started.error().what); }
    say({{"type", "state"}, {"id", item.id}, {"state", "applying"}});
  }
  if (changes_model) {
    const netmodel::Model before = reconciler_.model();
    const std::vector<std::string> conflicts_before =
        reconciler_.last() ? reconciler_.last()->conflicts : std::vector<std::string>{};
    reconciler_.set_model(*wanted.model);
    std::string why = "command " + item.id;
    TurnResult turn = co_await reconciler_.converge(std::move(why));
    std::vector<std::string> reasons = turn.errors;
    for (const auto& conflict : turn.conflicts) {
      if (std::ranges::find(conflicts_before, conflict) == conflicts_before.end()) { reasons.push_back(conflict); }
    }
    const bool shows = turn.verified && reasons.size() == turn.errors.size();
    if (!shows) {
      reconciler_.set_model(before);
      std::string undo = "undo " + item.id;
      TurnResult undone = co_await reconciler_.converge(std::move(undo));
      out = refused(fmt::format("the kernel did not take it; the network is as before{}",
                                undone.verified ? "" : " except for what is reported as drift"));
      for (const auto& reason : reasons) { out.problems.push_back({std::nullopt, "", reason}); }
      co_return out;
    }
    out.plan = std::move(turn.plan);
    out.model = std::move(*wanted.model);
    out.before = before;
  }
  for (const auto& action : wanted.actions) {
    if (const auto acted = hooks_.act(action); !acted) {
      out.state = CommandState::refused;
      out.problems.push_back({std::nullopt, "", acted.error().what});
    }
  }
  co_return out;
}

asio::awaitable<void> Commands::finish(std::string id, Outcome outcome, MonoTime began) {
  if (outcome.plan.size() > plan_lines_max) {
    const std::size_t more = outcome.plan.size() - plan_lines_max;
    outcome.plan.resize(plan_lines_max);
    outcome.plan.push_back(fmt::format("... and {} more lines", more));
  }
  std::optional<store::Revision> revision;
  if (outcome.model) {
    revision = store::Revision{revision_ + 1, netmodel::to_json_text(*outcome.model), id, wall_now()};
  }
  json::array plan;
  for (const auto& line : outcome.plan) { plan.emplace_back(line); }
  const json::object result{{"type", "result"},
                            {"id", id},
                            {"state", std::string(store::to_string(outcome.state))},
                            {"problems", problems_json(outcome.problems, outcome.problems_dropped)},
                            {"revision", revision ? revision->number : revision_},
                            {"plan", std::move(plan)},
                            {"elapsed_ms", (mono_now() - began) / std::chrono::milliseconds(1)}};
  const std::string text = json::serialize(result);
  auto commit = [id, state = outcome.state, text, revision, now = wall_now()](store::Store& s) {
    return s.finish(id, state, text, revision, now);
  };
  const auto stored = co_await store_.call(std::move(commit));
  ++executed_;
  if (!stored) {
    // Nothing is committed: the kernel goes back to what the store says, so that a restart agrees.
    spdlog::error("command.not_finished id={} reason={}", id, stored.error().what);
    events_.add("store.trouble", {{"what", stored.error().what}, {"command", id}});
    if (outcome.before) {
      reconciler_.set_model(*outcome.before);
      std::string undo = "undo " + id;
      co_await reconciler_.converge(std::move(undo));
    }
    local_.erase(id);
    co_return;
  }
  if (revision) {
    revision_ = revision->number;
    hooks_.changed();
  }
  spdlog::info("command.end id={} state={} revision={} writes={}", id, store::to_string(outcome.state), revision_,
               outcome.plan.size());
  answer(id, text);
}

}  // namespace edge::uplink
