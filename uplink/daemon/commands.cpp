#include "uplink/daemon/commands.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

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
  for (const char* key : {"operations", "deadline", "confirm_within_s", "dry_run", "revision",
                          "force", "accept_regression", "confirm"}) {
    if (const auto* value = message.if_contains(key)) { essence[key] = *value; }
  }
  return store::sha256(json::serialize(essence));
}

constexpr std::string_view local_class = "local";

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

Commands::Commands(asio::io_context& io, store::StoreWorker& store, EventLog& events,
                   Reconciler& reconciler, Trials& trials, Hooks hooks, std::string boot_id,
                   std::int64_t revision)
    : io_(io),
      store_(store),
      events_(events),
      reconciler_(reconciler),
      trials_(trials),
      hooks_(std::move(hooks)),
      boot_id_(std::move(boot_id)),
      revision_(revision),
      retry_timer_(io),
      disk_timer_(io) {}

void Commands::refuse(Decision& decision, std::string what) {
  decision.state = CommandState::refused;
  decision.model.reset();
  decision.actions.clear();
  decision.problems.push_back({std::nullopt, "", std::move(what)});
}

void Commands::recover(std::vector<store::CommandRecord> unfinished) {
  // An undo goes before everything else: nothing is dialled until it is through.
  std::ranges::stable_partition(unfinished,
                                [](const auto& record) { return !record.undo.empty(); });
  for (auto& record : unfinished) {
    spdlog::info("command.recovered id={} state={}", record.id, store::to_string(record.state));
    enqueue({record.id, record.payload, record.state != CommandState::stored, record.undo,
             record.command_class == local_class});
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
    spdlog::warn("command.malformed bytes={} reason=\"not an object with type and id\"",
                 text.size());
    return;
  }
  const std::string command_id(id->as_string());
  if (type->as_string() == "command") {
    receive(command_id, std::string(text), *message);
  } else if (type->as_string() == "result_ack") {
    store_.run([command_id](store::Store& s) { return s.ack_result(command_id); },
               [](const Result<void>&) {});  // Not stored: it is sent and acknowledged once more.
  } else if (type->as_string() == "confirm") {
    if (!trials_.confirm(command_id)) {
      spdlog::info("command.not_confirmed id={} reason=\"no trial of it runs\"", command_id);
    }
  } else if (type->as_string() == "history") {
    answer_history(command_id, *message);
  } else if (type->as_string() == "abort") {
    if (command_id == trying_) {
      trials_.abort("ended by the Console");
    } else {
      spdlog::info("command.not_aborted id={} reason=\"no trial of it runs\"", command_id);
    }
  } else {
    spdlog::warn("command.unknown_type type={}", std::string_view(type->as_string()));
  }
}

void Commands::receive(std::string id, std::string payload, json::object message) {
  if (!store::is_command_id(id)) {
    spdlog::warn("command.malformed id=\"{}\" reason=\"not a UUID\"", id.substr(0, 64));
    say({{"type", "result"},
         {"id", id.substr(0, 64)},
         {"state", "refused"},
         {"problems",
          json::array{json::object{{"what", "id: expected a UUID of lower-case hex digits"}}}}});
    return;
  }
  if (queue_.size() >= queue_max) {
    say({{"type", "result"},
         {"id", id},
         {"state", "refused"},
         {"problems",
          json::array{json::object{
              {"what", fmt::format("{} commands are waiting; send it again later", queue_max)}}}}});
    return;
  }
  store::IncomingCommand command{id, std::move(payload), digest_of(message),
                                 local_.contains(id) ? std::string(local_class) : "model"};
  store_.run([command, now = wall_now()](store::Store& s) { return s.receive(command, now); },
             [this, command](const Result<store::ReceiveOutcome>& outcome) {
               on_receipt(command, outcome);
             });
}

void Commands::on_receipt(const store::IncomingCommand& command,
                          const Result<store::ReceiveOutcome>& outcome) {
  const auto refuse = [&](const std::string& what) {
    const json::object result{{"type", "result"},
                              {"id", command.id},
                              {"state", "refused"},
                              {"problems", json::array{json::object{{"what", what}}}},
                              {"revision", revision_}};
    answer(command.id, json::serialize(result));
  };
  if (!outcome) {
    const bool full = outcome.error().code == Errc::no_space;
    spdlog::error("command.not_stored id={} reason={}", command.id, outcome.error().what);
    refuse(fmt::format("{}: the command was not stored and not run: {}",
                       full ? "no_space" : "store", outcome.error().what));
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
  if (outcome->receipt == store::Receipt::fresh) {
    enqueue({.id = command.id,
             .payload = command.payload,
             .local = command.command_class == local_class});
    return;
  }
  if (!queued_.contains(command.id)) { take_up_again(command.id); }
}

/// Said again by the Console, in the journal without an end, and not on its way here: its end could
/// not be written. As after a restart.
void Commands::take_up_again(const std::string& id) {
  store_.run([id](store::Store& s) { return s.command(id); },
             [this](const Result<std::optional<store::CommandRecord>>& record) {
               if (!record || !*record || store::is_final((*record)->state)) { return; }
               std::vector<store::CommandRecord> unfinished{**record};
               recover(std::move(unfinished));
             });
}

void Commands::tell_waiters(const std::string& id, const json::object& result) {
  const auto [first, last] = waiters_.equal_range(id);
  std::vector<std::function<void(json::object)>> told;
  for (auto it = first; it != last; ++it) { told.push_back(std::move(it->second)); }
  waiters_.erase(first, last);
  for (const auto& done : told) { done(result); }
}

bool Commands::abort_trial(std::string why, std::function<void(json::object)> done) {
  if (trying_.empty()) { return false; }
  spdlog::warn("trial.abort command={} reason=\"{}\"", trying_, why);
  waiters_.emplace(trying_, std::move(done));
  trials_.abort(std::move(why));
  return true;
}

void Commands::answer(const std::string& id, const std::string& result_json) {
  if (waiters_.contains(id)) { tell_waiters(id, json::parse(result_json).as_object()); }
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
  say_confirming();
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
    done({{"state", "refused"},
          {"problems", json::array{json::object{{"what", "this id is running"}}}}});
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
  std::size_t size_max = batch_max;
  while (!queue_.empty() && !stopped_) {
    auto batch = std::make_shared<Batch>(take_batch(size_max));
    const bool whole = co_await apply(batch);
    if (stopped_) { break; }  // A trial that was cut short: the next start takes it back.
    if (!whole && batch->size() > 1) {
      // One of them is to blame: put them back in order and go on singly until this batch is
      // through.
      put_back(*batch);
      singly_ = batch->size();
      size_max = 1;
      continue;
    }
    const bool ended = co_await execute(batch);
    if (stopped_) { break; }
    if (!ended) {
      put_back(*batch);
      continue;
    }
    if (singly_ > 0 && --singly_ == 0) { size_max = batch_max; }
  }
  running_ = false;
}

/// To the head of the queue, in order.
void Commands::put_back(Batch& batch) {
  for (auto it = batch.rbegin(); it != batch.rend(); ++it) {
    it->item.began = it->item.began || it->touches_kernel();
    queue_.push_front(std::move(it->item));
  }
}

Commands::Batch Commands::take_batch(std::size_t size_max) {
  Batch batch;
  netmodel::Model base = reconciler_.model();
  std::int64_t revision = revision_;
  while (!queue_.empty() && batch.size() < size_max) {
    Decision decision = decide(queue_.front(), base, revision);
    const bool alone = decision.dry_run || decision.trial || !decision.actions.empty() ||
                       !decision.item.undo.empty();
    if (alone && !batch.empty()) { break; }
    queue_.pop_front();
    if (decision.model && !decision.dry_run) {
      base = *decision.model;
      ++revision;
    }
    batch.push_back(std::move(decision));
    if (alone) { break; }
  }
  return batch;
}

Commands::Decision Commands::decide(Item item, const netmodel::Model& base,
                                    std::int64_t revision) const {
  Decision out;
  out.item = std::move(item);
  out.began = mono_now();
  if (!out.item.undo.empty()) {
    out.state = CommandState::rolled_back;
    out.problems.push_back(
        {std::nullopt, "",
         fmt::format("the daemon stopped while it was tried out; revision {} stands", revision)});
    return out;
  }
  const auto parsed = netmodel::parse_command(out.item.payload);
  if (!parsed) {
    out.state = CommandState::refused;
    out.problems = parsed.error().items();
    out.problems_dropped = parsed.error().dropped();
    return out;
  }
  if (out.item.began && class_of(*parsed) == "action") {
    out.state = CommandState::indeterminate;
    out.problems.push_back(
        {std::nullopt, "", "the daemon was stopped while it ran; it is not run twice"});
    return out;
  }
  if (parsed->deadline && *parsed->deadline < wall_now() && !out.item.began) {
    out.state = CommandState::expired;
    out.problems.push_back(
        {std::nullopt, "deadline", "deadline " + to_iso8601(*parsed->deadline) + " has passed"});
    return out;
  }
  if (parsed->revision && *parsed->revision != revision) {
    out.state = CommandState::superseded;
    out.made_for = parsed->revision;
    out.problems.push_back(
        {std::nullopt, "revision",
         fmt::format("made for revision {}, the host is at {}", *parsed->revision, revision)});
    return out;
  }
  netmodel::ApplyOutcome wanted =
      netmodel::apply_operations(base, parsed->operations, hooks_.facts());
  if (!wanted.problems.empty() || !wanted.model) {
    out.state = CommandState::refused;
    out.problems = wanted.problems.items();
    out.problems_dropped = wanted.problems.dropped();
    return out;
  }
  out.dry_run = parsed->dry_run;
  if (*wanted.model != base || out.dry_run) { out.model = std::move(wanted.model); }
  out.actions = std::move(wanted.actions);
  out.force = parsed->force;
  out.accept_regression = parsed->accept_regression;
  out.confirm_within = parsed->confirm_within.value_or(confirm_within_default);
  out.trial = out.model && !out.dry_run &&
              (parsed->confirm_within || netmodel::may_touch_ports(base, *out.model));
  return out;
}

asio::awaitable<bool> Commands::dry_run(Decision& decision) {
  netmodel::Model candidate = *decision.model;
  TurnResult planned = co_await reconciler_.plan_only(std::move(candidate));
  decision.plan = std::move(planned.plan);
  decision.consequences = netmodel::to_lines(planned.consequences);
  candidate = *decision.model;
  netmodel::Model now = reconciler_.model();
  decision.warnings = co_await advice(std::move(now), std::move(candidate));
  for (const auto& error : planned.errors) {
    decision.problems.push_back({std::nullopt, "", error});
  }
  if (planned.consequences.cuts_last_path && !decision.force) {
    decision.warnings.emplace_back(
        "it would be refused without \"force\": no port is left that "
        "could reach the Console");
  }
  co_return true;
}

/// On disk before the first kernel change; false: it is not, and all are refused.
asio::awaitable<bool> Commands::begin(std::shared_ptr<Batch> batch, std::string undo) {
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
  if (first.trial || !first.item.undo.empty()) {
    co_await try_out(batch);
    co_return true;
  }
  const netmodel::Model before = reconciler_.model();
  const netmodel::Model* last = nullptr;
  for (const Decision& decision : *batch) {
    if (decision.touches_kernel() && decision.model) { last = &*decision.model; }
  }
  std::string no_undo;
  const bool begun = co_await begin(batch, std::move(no_undo));
  if (!begun) { co_return true; }
  if (last == nullptr) { co_return true; }
  netmodel::Model now = before;
  netmodel::Model wanted = *last;
  std::vector<std::string> warnings = co_await advice(std::move(now), std::move(wanted));
  for (Decision& decision : *batch) {
    if (decision.model) { decision.warnings = warnings; }
  }

  const std::vector<std::string> known = reconciler_.trouble();
  reconciler_.set_model(*last);
  std::string why = "command " + first.item.id;
  TurnResult turn = co_await reconciler_.converge(std::move(why));
  std::vector<std::string> reasons = turn.trouble_beside(known);
  if (turn.shows_but(known)) {
    for (Decision& decision : *batch) {
      if (decision.model) { decision.plan = turn.plan; }
    }
    co_return true;
  }
  if (batch->size() > 1) {
    reconciler_.set_model(before);
    std::string undo = "undo of " + batch->front().item.id;
    co_await reconciler_.converge(std::move(undo));
    co_return false;
  }
  co_await refuse_applied(first, before, std::move(reasons), known);
  co_return true;
}

asio::awaitable<std::vector<std::string>> Commands::advice(netmodel::Model before,
                                                           netmodel::Model after) {
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

asio::awaitable<Result<void>> Commands::act(netmodel::HostAction action) {
  auto answer = std::make_shared<std::optional<Result<void>>>();
  auto said = std::make_shared<asio::steady_timer>(io_, asio::steady_timer::time_point::max());
  hooks_.act(action, [answer, said](Result<void> outcome) {
    *answer = std::move(outcome);
    said->cancel();
  });
  boost::system::error_code ec;
  while (!*answer) { co_await said->async_wait(asio::redirect_error(asio::use_awaitable, ec)); }
  co_return std::move(**answer);
}

}  // namespace edge::uplink
