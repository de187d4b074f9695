// Commands: how they come in and are journalled, and how their results go out until they are heard.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "base/quoted.hpp"
#include "store/io/sha256.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/commands.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

constexpr std::string_view id_reuse_text =
    "id_reuse: this id was used for another command; its result stands";

/// With the members of each object by name: their order says nothing (RFC 8259 section 4), and a
/// Console that was started again may write another. Depth: as the parser allows.
json::value in_order(const json::value& value) {
  if (const json::array* array = value.if_array()) {
    json::array out;
    out.reserve(array->size());
    for (const json::value& item : *array) { out.push_back(in_order(item)); }
    return out;
  }
  const json::object* object = value.if_object();
  if (object == nullptr) { return value; }
  std::vector<std::string_view> names;
  for (const auto& member : *object) { names.push_back(member.key()); }
  std::ranges::sort(names);
  json::object out;
  for (const std::string_view name : names) { out[name] = in_order(object->at(name)); }
  return out;
}

/// What makes two commands the same: everything but how they were sent.
store::Sha256 essence_of(const json::object& message) {
  json::object essence;
  for (const char* key : {"operations", "deadline", "confirm_within_s", "dry_run", "revision",
                          "force", "accept_regression", "confirm"}) {
    if (const auto* value = message.if_contains(key)) { essence[key] = in_order(*value); }
  }
  return store::sha256(json::serialize(essence));
}

}  // namespace

store::Sha256 digest_of(std::string_view payload) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(payload, ec, {}, {.max_depth = 32});
  const json::object* message = ec ? nullptr : parsed.if_object();
  return message == nullptr ? store::sha256(payload) : essence_of(*message);
}

void Commands::on_message(std::string_view text) {
  boost::system::error_code ec;
  json::value parsed = json::parse(text, ec, {}, {.max_depth = 32});
  const json::object* message = ec ? nullptr : parsed.if_object();
  const json::value* type = message == nullptr ? nullptr : message->if_contains("type");
  const json::value* id = message == nullptr ? nullptr : message->if_contains("id");
  if (type != nullptr && *type == "known") { return on_console_knows(*message); }
  if (message != nullptr && hooks_.elsewhere && hooks_.elsewhere(*message)) { return; }
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
    on_abort(command_id);
  } else {
    spdlog::warn("command.unknown_type type={}", edge::quoted(std::string_view(type->as_string())));
  }
}

void Commands::receive(std::string id, std::string payload, const json::object& message) {
  if (!store::is_command_id(id)) {
    spdlog::warn("command.malformed id={} reason=\"not a UUID\"", edge::quoted(id));
    refuse_receipt(id.substr(0, 64), "id: expected a UUID of lower-case hex digits");
    return;
  }
  const bool local = local_.contains(id);
  const store::Sha256 digest = essence_of(message);
  // It is on disk and will be run: neither a limit nor a disk that fails has a say in that now.
  if (const auto waiting = queued_.find(id); waiting != queued_.end()) {
    if (waiting->second != digest) { return refuse_receipt(id, id_reuse_text); }
    return say({{"type", "stored"}, {"id", id}});
  }
  if (const auto asked = arriving_.find(id); asked != arriving_.end()) {
    if (asked->second != digest) { return refuse_receipt(id, id_reuse_text); }
    return;  // One answer serves both.
  }
  if (!local && arriving_.size() >= queue_max) {
    spdlog::warn("command.dropped id={} reason=\"{} wait for the disk\"", id, queue_max);
    return;  // Unanswered, as perhaps it is known: the Console says it again in its next session.
  }
  arriving_.emplace(id, digest);
  const std::string_view command_class = local ? local_class : std::string_view("model");
  ask_journal({id, std::move(payload), digest, std::string(command_class)});
}

/// Of a full queue only what is fresh is refused: what the journal knows is answered from it,
/// however many wait. What a disk that fails cannot take is refused too, and what follows is not
/// held up by it: to be asked again later it would be run behind what came after it.
void Commands::ask_journal(store::IncomingCommand command) {
  const bool full = queue_.size() + arriving_.size() > queue_max;
  auto ask = [command, full,
              now = wall_now()](store::Store& s) mutable -> Result<store::ReceiveOutcome> {
    EDGE_ASSIGN(const auto known, s.command(command.id));
    if (!known && full) {
      return fail(Errc::no_space,
                  fmt::format("{} commands are waiting; send it again later", queue_max));
    }
    // The digest beside it may be one of an older program, which was made otherwise.
    if (known && digest_of(known->payload) == command.sha256) { command.sha256 = known->sha256; }
    return s.receive(command, now);
  };
  store_.run(std::move(ask), [this, command](const Result<store::ReceiveOutcome>& outcome) {
    arriving_.erase(command.id);
    on_receipt(command, outcome);
  });
}

/// Nothing of it is kept.
void Commands::refuse_receipt(const std::string& id, std::string_view what) {
  const json::object result{{"type", "result"},
                            {"id", id},
                            {"state", "refused"},
                            {"problems", json::array{json::object{{"what", what}}}},
                            {"revision", revision_}};
  answer(id, json::serialize(result));
}

void Commands::on_receipt(const store::IncomingCommand& command,
                          const Result<store::ReceiveOutcome>& outcome) {
  if (!outcome) {
    const bool full = outcome.error().code == Errc::no_space;
    spdlog::error("command.not_stored id={} reason={}", command.id, outcome.error().what);
    refuse_receipt(command.id, fmt::format("{}: the command was not stored and not run: {}",
                                           full ? "no_space" : "store", outcome.error().what));
    return;
  }
  if (outcome->receipt == store::Receipt::id_reuse) {
    refuse_receipt(command.id, id_reuse_text);
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
             .local = command.command_class == local_class,
             .digest = command.sha256});
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

/// The trial that runs, or what waits behind it. What is being applied otherwise is over soon.
void Commands::on_abort(const std::string& id) {
  if (trying() && id == trying_) {
    trials_.abort("ended by the Console");
    return;
  }
  const auto waiting = std::ranges::find(queue_, id, &Item::id);
  if (waiting == queue_.end() || waiting->began) {
    spdlog::info("command.not_aborted id={} reason=\"it neither waits nor is tried out\"", id);
    return;
  }
  Item item = std::move(*waiting);
  queue_.erase(waiting);
  end_before_its_turn(std::move(item));
}

/// On disk at once; what the disk does not take ends so when its turn comes.
void Commands::end_before_its_turn(Item item) {
  Decision decision;
  decision.began = mono_now();
  decision.item.id = item.id;
  refuse(decision, std::string(aborted_text));
  item.aborted = true;
  const std::string result = result_text(decision, revision_);
  auto end = [id = item.id, number = item.number, result,
              now = wall_now()](store::Store& s) -> Result<void> {
    EDGE_TRY(s.finish(id, store::CommandState::refused, result, std::nullopt, now));
    if (number != 0) { EDGE_TRY(s.retire_revision(number)); }
    return {};
  };
  store_.run(std::move(end), [this, item, result](const Result<void>& ended) {
    if (!ended) {
      spdlog::warn("command.not_ended id={} reason=\"{}\"", item.id, ended.error().what);
      queue_.push_front(item);
      wake();
      return;
    }
    queued_.erase(item.id);
    ++executed_;
    spdlog::info("command.end id={} state=refused revision={}", item.id, revision_);
    answer(item.id, result);
  });
}

void Commands::run_local(const json::object& command, std::function<void(json::object)> done) {
  const std::string id(command.at("id").as_string());
  if (local_.contains(id)) {
    done({{"state", "refused"},
          {"problems", json::array{json::object{{"what", "this id is running"}}}}});
    return;
  }
  if (closing_) {
    done({{"state", "refused"},
          {"problems",
           json::array{json::object{{"what", "the daemon is stopping: ask again when it runs"}}}}});
    return;
  }
  local_[id] = std::move(done);
  receive(id, json::serialize(command), command);
}

void Commands::say(const json::object& message) {
  const std::string text = json::serialize(message);
  const bool word = hooks_.say && text.size() <= word_bytes_max;
  if (const auto sent = word ? hooks_.say(text) : hooks_.send(text); !sent) {
    spdlog::debug("command.unsaid reason={}", sent.error().what);
  }
}

void Commands::tell_waiters(const std::string& id, const json::object& result) {
  const auto [first, last] = waiters_.equal_range(id);
  std::vector<std::function<void(json::object)>> told;
  for (auto it = first; it != last; ++it) { told.push_back(std::move(it->second)); }
  waiters_.erase(first, last);
  for (const auto& done : told) { done(result); }
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
  if (hooks_.send(result_json)) { return; }
  owed_.insert(id);
  if (owed_.size() > owed_max) { send_from_the_first(); }
  send_later();
}

void Commands::send_unacked() {
  say_confirming();
  send_from_the_first();
  send_more();
}

void Commands::send_from_the_first() {
  ++resend_round_;
  reading_ = false;
  owed_.clear();
  behind_ = true;
  sent_to_ = 0;
}

/// Back-pressure, or no session: the next session starts with all of them.
void Commands::send_later() {
  if (stopped_ || std::exchange(resend_, true)) { return; }
  retry_timer_.expires_after(hooks_.send_period);
  retry_timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec && std::exchange(resend_, false)) { send_more(); }
  });
}

void Commands::send_more() {
  if (reading_) { return; }
  if (behind_) {
    send_page();
  } else if (!owed_.empty()) {
    send_owed();
  }
}

void Commands::send_page() {
  reading_ = true;
  auto read = [after = sent_to_](store::Store& s) {
    return s.unacked_results_after(after, results_page);
  };
  store_.run(std::move(read),
             [this, round = resend_round_](const Result<std::vector<store::UnackedResult>>& page) {
               if (round != resend_round_) { return; }
               reading_ = false;
               if (!page) { return send_later(); }
               for (const store::UnackedResult& unacked : *page) {
                 if (!send_again(unacked.id, unacked.result)) { return; }
                 if (round != resend_round_) { return; }  // Sending began a session.
                 owed_.erase(unacked.id);
                 sent_to_ = unacked.place;
               }
               behind_ = page->size() == results_page;
               send_more();
             });
}

/// One that the journal does not hold was a refusal to store it: the Console says it again in its
/// next session.
void Commands::send_owed() {
  reading_ = true;
  const std::string id = *owed_.begin();
  store_.run(
      [id](store::Store& s) { return s.command(id); },
      [this, id, round = resend_round_](const Result<std::optional<store::CommandRecord>>& found) {
        if (round != resend_round_) { return; }
        reading_ = false;
        if (!found) { return send_later(); }
        const auto& record = *found;
        const bool due = record && store::is_final(record->state) && !record->result_acked;
        if (due && !send_again(id, record->result)) { return; }
        if (round != resend_round_) { return; }
        owed_.erase(id);
        send_more();
      });
}

bool Commands::send_again(const std::string& id, const std::string& result_json) {
  const auto sent = hooks_.send(result_json);
  if (sent) { return true; }
  if (sent.error().code == Errc::invalid_input) {
    // The channel never takes it; what is behind it must not wait for it.
    spdlog::error("command.result_unsent id={} reason=\"{}\"", id, sent.error().what);
    return true;
  }
  if (sent.error().code == Errc::no_space) { send_later(); }
  return false;
}

}  // namespace edge::uplink
