// Commands: how they come in and are journalled, and how their results go out until they are heard.
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "store/io/sha256.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/commands.hpp"

namespace edge::uplink {

namespace json = boost::json;

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

}  // namespace

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
    if (command_id == trying_) {
      trials_.abort("ended by the Console");
    } else {
      spdlog::info("command.not_aborted id={} reason=\"no trial of it runs\"", command_id);
    }
  } else {
    spdlog::warn("command.unknown_type type={}", std::string_view(type->as_string()));
  }
}

void Commands::receive(std::string id, std::string payload, const json::object& message) {
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

void Commands::run_local(const json::object& command, std::function<void(json::object)> done) {
  const std::string id(command.at("id").as_string());
  if (local_.contains(id)) {
    done({{"state", "refused"},
          {"problems", json::array{json::object{{"what", "this id is running"}}}}});
    return;
  }
  local_[id] = std::move(done);
  receive(id, json::serialize(command), command);
}

void Commands::say(const json::object& message) {
  if (const auto sent = hooks_.send(json::serialize(message)); !sent) {
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
  if (const auto sent = hooks_.send(result_json); !sent) { send_later(); }
}

/// Back-pressure, or no session: the next session starts with all of them.
void Commands::send_later() {
  resend_ = true;
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
                   if (sent.error().code == Errc::no_space) { send_later(); }
                   return;
                 }
               }
             });
}

}  // namespace edge::uplink
