// Host: the messages of the application, both ways. Nothing is acknowledged before it is on disk.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include "console/clock.hpp"
#include "console/host.hpp"
#include "tunnel/core/http_answer.hpp"

namespace edge::console {

namespace json = boost::json;
using tunnel::Channel;

namespace {

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kKindBytesMax = 64;
constexpr std::size_t kComplaintBytesMax = 300;
constexpr std::size_t kEventsPerWrite = 256;
constexpr std::size_t kTimeBytesMax = 40;
constexpr std::int64_t kNumberEnd = std::int64_t{1} << 53;  ///< PROTOCOL.md 4.
/// Of all lives of a host together: two such and one more number are a number still.
constexpr std::int64_t kEventBaseEnd = std::int64_t{1} << 61;

std::string_view text_of(const json::object& message, std::string_view key) {
  const json::value* found = message.if_contains(key);
  return found != nullptr && found->is_string() ? std::string_view(found->get_string())
                                                : std::string_view{};
}

std::int64_t number_of(const json::object& message, std::string_view key) {
  const json::value* found = message.if_contains(key);
  return found != nullptr && found->is_int64() ? found->get_int64() : 0;
}

std::string reply(std::string_view type, std::string_view id) {
  return json::serialize(json::object{{"type", type}, {"id", id}});
}

}  // namespace

void Host::deliver(Channel channel, std::string_view text) {
  boost::system::error_code ec;
  json::value parsed = json::parse(text, ec, {}, {.max_depth = kDepthMax});
  if (ec || !parsed.is_object()) {
    return complain(fmt::format("channel {}: {} bytes are not a JSON object",
                                static_cast<int>(channel), text.size()));
  }
  json::object& message = parsed.get_object();
  const std::string_view type = text_of(message, "type");
  if (channel == Channel::commands) {
    on_command_message(message, text);
  } else if (channel == Channel::events && type == "event") {
    on_event(message);
  } else if (channel == Channel::telemetry) {
    on_telemetry(message, text);
  } else {
    spdlog::debug("message.unknown host={} channel={} type={}", row_.id, static_cast<int>(channel),
                  type);
  }
}

void Host::on_command_message(const json::object& message, std::string_view text) {
  const std::string_view type = text_of(message, "type");
  const std::string id(text_of(message, "id"));
  Pending* pending = pending_of(id);
  if (type == "stored") {
    if (pending == nullptr) { return; }
    if (pending->row.state < CommandState::stored) { set_state(*pending, CommandState::stored); }
    return say_word(*pending, CommandState::stored);
  }
  if (type == "history") { return on_answer(id, message); }
  if (type == "renew") { return on_renew(message); }
  const auto state = parse_command_state(text_of(message, "state"));
  if (type == "state" && state && !is_final(*state)) {
    if (pending == nullptr) { return; }
    if (*state == CommandState::applying) { begin_anew(*pending); }
    if (*state > pending->row.state) { set_state(*pending, *state); }
    say_word(*pending, *state);
  } else if (type == "result" && state && is_final(*state) && store::is_command_id(id)) {
    on_result(id, *state, std::string(text), message);
  } else {
    complain(fmt::format("type \"{}\": expected stored, state or result with a known state",
                         type.substr(0, 32)));
  }
}

void Host::set_state(Pending& pending, CommandState state) {
  pending.row.state = state;
  if (!feed_.heard()) { return; }
  feed_.update("command",
               json::serialize(json::object{
                   {"host", row_.id}, {"id", pending.row.id}, {"state", to_string(state)}}));
}

void Host::on_result(const std::string& command_id, CommandState state, const std::string& text,
                     const json::object& message) {
  const bool room = results_storing_bytes_ == 0 ||
                    results_storing_bytes_ + text.size() <= results_storing_bytes_max;
  const auto found = pending_by_id_.find(command_id);
  if (found == pending_by_id_.end()) {
    // A person's command at the machine, or one whose end is on disk already. What is not taken
    // is not acknowledged: the host says it again in its next session.
    if (!room || !own_results_.pass(mono_now())) { return; }
    store_revision(message);
    if (text.size() <= own_result_bytes_max) { return store_result(command_id, state, text); }
    return store_result(
        command_id, state,
        json::serialize(json::object{
            {"type", "result"},
            {"id", command_id},
            {"state", to_string(state)},
            {"problems",
             json::array{json::object{
                 {"what",
                  fmt::format("its result has {} bytes, at most {} are kept of a command of the "
                              "host's own: see \"uplinkctl history\" there",
                              text.size(), own_result_bytes_max)}}}}}));
  }
  Pending& pending = pending_.at(found->second);
  if (pending.finishing) { return; }  // Said twice; the first one is being stored.
  if (!room) {
    untaken_ += pending.untaken ? 0 : 1;
    pending.untaken = true;
    return;
  }
  untaken_ -= pending.untaken ? 1 : 0;
  pending.untaken = false;
  pending.finishing = true;
  store_revision(message);
  store_result(command_id, state, text);
}

/// A command that comes again is answered from the host's journal.
void Host::ask_for_untaken() {
  if (untaken_ == 0 || results_storing_bytes_ > 0) { return; }
  untaken_ = 0;
  for (auto& [seq, pending] : pending_) {
    if (std::exchange(pending.untaken, false)) { unsent_.push_back(seq); }
  }
}

bool Host::takes(std::size_t message_bytes) const {
  return replies_bytes_ == 0 || replies_bytes_ + message_bytes <= replies_bytes_max;
}

/// False: the host does not read. What it must know it is told in its next session.
bool Host::say(std::string message) {
  if (!takes(message.size())) {
    complain(fmt::format("it reads none of {} bytes of answers", replies_bytes_));
    return false;
  }
  replies_bytes_ += message.size();
  replies_.push_back(std::move(message));
  return true;
}

/// Of what waits here: what the session has is said.
void Host::take_back(std::string_view message) {
  Fifo<std::string> rest;
  for (std::string& one : replies_) {
    if (one == message) {
      replies_bytes_ -= one.size();
    } else {
      rest.push_back(std::move(one));
    }
  }
  replies_ = std::move(rest);
}

void Host::forget_replies() {
  replies_.clear();
  replies_bytes_ = 0;
}

void Host::store_result(const std::string& command_id, CommandState state,
                        const std::string& text) {
  results_storing_bytes_ += text.size();
  db_.run([host = row_.id, command_id, state, text, now = wall_now()](
              ConsoleDb& db) { return db.finish_command(host, command_id, state, text, now); },
          [this, command_id, state, text](const Result<CommandRow>& stored) {
            if (stored) {
              results_storing_bytes_ -= text.size();
              return result_stored(*stored);
            }
            ++counters_.db_failures;
            spdlog::error("result.not_stored host={} id={} reason=\"{}\": trying again in {} s",
                          row_.id, command_id, stored.error().what, retry_period.count());
            results_to_retry_.push_back({command_id, state, text});
            retry_later();
          });
}

void Host::result_stored(const CommandRow& row) {
  ++counters_.commands_finished;
  if (const auto found = pending_by_id_.find(row.id); found != pending_by_id_.end()) {
    Pending& pending = pending_.at(found->second);
    set_state(pending, row.state);
    for (const auto& waiter : pending.waiters) {
      if (const auto timer = waiter.lock()) { timer->cancel(); }
    }
    let_go(pending.row.message.size());
    pending_.erase(found->second);
    pending_by_id_.erase(found);
  }
  say(reply("result_ack", row.id));
  ask_for_untaken();
  pump();
}

void Host::on_event(const json::object& message) {
  const std::int64_t number = number_of(message, "n");
  const std::string_view kind = text_of(message, "kind");
  const auto time = parse_iso8601(text_of(message, "time"));
  if (number <= 0 || kind.empty() || kind.size() > kKindBytesMax || !time ||
      text_of(message, "time").size() > kTimeBytesMax) {
    return complain(fmt::format("event n={} kind=\"{}\": expected n, kind and time", number,
                                kind.substr(0, kKindBytesMax)));
  }
  if (number >= kNumberEnd || std::max(row_.event_base, event_stored_) >= kEventBaseEnd ||
      number - (event_seen_ - row_.event_base) >= ConsoleDb::event_hole_end) {
    return complain(fmt::format("event n={}: too far above the last, {}", number,
                                event_seen_ - row_.event_base));
  }
  const json::value* data = message.if_contains("data");
  std::string data_text = data == nullptr ? "{}" : json::serialize(*data);
  if (data_text.size() > event_data_bytes_max) {
    data_text = json::serialize(json::object{{"dropped_bytes", data_text.size()},
                                             {"at_most_are_kept", event_data_bytes_max}});
  }
  EventRow event{.seq = 0,
                 .host = row_.id,
                 .n = row_.event_base + number,
                 .time = *time,
                 .time_text = std::string(text_of(message, "time")),
                 .kind = std::string(kind),
                 .data = std::move(data_text)};
  if (events_overflow_) { return; }
  const bool fresh = event.n > event_seen_;
  if (WaitingEvent* same = fresh ? nullptr : waiting_as(event); same != nullptr) {
    same->said = true;
    return;
  }
  if (events_waiting_.size() >= events_waiting_max ||
      events_waiting_bytes_ + event.data.size() > events_waiting_bytes_max) {
    events_overflow_ =
        true;  // Not acknowledged: the host has it and says it again in the next session.
    return;
  }
  // Before it is on disk: else a Console that dies between the two would never hear of it again.
  if (fresh) { heard_of_renewal(event); }
  event_seen_ = std::max(event_seen_, event.n);
  events_waiting_bytes_ += event.data.size();
  // Also one whose number was there: whether it is the same event the disk tells.
  events_waiting_.push_back({.row = std::move(event), .said = true, .heard = fresh});
}

/// The same event, said before the disk had it.
Host::WaitingEvent* Host::waiting_as(const EventRow& event) {
  for (WaitingEvent& one : events_waiting_) {
    const EventRow& row = one.row;
    const bool same = row.n == event.n && row.time_text == event.time_text &&
                      row.kind == event.kind && row.data == event.data;
    if (same) { return &one; }
  }
  return nullptr;
}

void Host::flush_events() {
  if (events_storing_ || events_waiting_.empty() || retry_armed_) { return; }
  events_storing_ = true;
  const auto count = std::min(events_waiting_.size(), kEventsPerWrite);
  std::vector<EventRow> batch;
  batch.reserve(count);
  for (std::size_t i = 0; i < count; ++i) { batch.push_back(events_waiting_[i].row); }
  db_.run([batch = std::move(batch),
           now = wall_now()](ConsoleDb& db) { return db.add_events(batch, now); },
          [this, count](const Result<EventsAdded>& added) {
            events_storing_ = false;
            if (added) { return events_stored(*added, count); }
            ++counters_.db_failures;
            spdlog::error("events.not_stored host={} count={} reason=\"{}\": trying again in {} s",
                          row_.id, count, added.error().what, retry_period.count());
            retry_later();
          });
}

/// Acknowledged is what was said in this session and no more: a host whose store was put back takes
/// a higher number for an acknowledgement of other events.
void Host::events_stored(const EventsAdded& added, std::size_t count) {
  for (const std::size_t i : added.fresh) {  // Under a number that had another event: put back.
    if (!events_waiting_[i].heard) { heard_of_renewal(events_waiting_[i].row); }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const WaitingEvent& one = events_waiting_[i];
    events_waiting_bytes_ -= one.row.data.size();
    if (one.said) { event_ack_due_ = std::max(event_ack_due_, one.row.n - row_.event_base); }
  }
  events_waiting_.pop_front(count);
  counters_.events_stored += static_cast<std::uint64_t>(added.stored);
  event_stored_ = added.last;
  row_.last_event = added.last;
  row_.event_line = added.line;
  if (added.put_back > 0) { store_was_put_back(added); }
  if (added.refused > 0) {
    complain(fmt::format("{} events too far above the last, {}", added.refused, added.last));
  }
  feed_.events_stored(added.seq);
  pump();
}

void Host::store_was_put_back(const EventsAdded& added) {
  counters_.stores_put_back += static_cast<std::uint64_t>(added.put_back);
  const EventLine::Branch& branch = added.line.branches().back();
  lines_.say(spdlog::level::err,
             "host.store_put_back host={} number={} n={}: another event had this number, its store "
             "is older than what it told; its events are counted on",
             row_.id, branch.from - row_.event_base, branch.from + branch.shift);
  announce();
}

void Host::retry_later() {
  if (retry_armed_ || stopping_) { return; }
  retry_armed_ = true;
  retry_timer_.expires_after(retry_period);
  retry_timer_.async_wait([this, alive = std::weak_ptr(alive_)](boost::system::error_code ec) {
    if (alive.expired()) { return; }
    retry_armed_ = false;
    if (ec) { return; }
    if (row_dirty_) { store_row(); }
    if (renewal_dirty_) { store_renewal(); }
    for (const auto& result : std::exchange(results_to_retry_, {})) {
      results_storing_bytes_ -= result.text.size();
      store_result(result.command_id, result.state, result.text);
    }
    flush_events();
  });
}

void Host::on_telemetry(const json::object& message, std::string_view text) {
  const std::string_view type = text_of(message, "type");
  if (type == "snapshot") { return on_snapshot(message, text); }
  if (type != "part") {
    return spdlog::debug("message.unknown host={} channel=3 type={}", row_.id, type);
  }
  const auto taken = parts_.take(message);
  if (!taken) { return complain(taken.error().what); }
  snapshot_gaps_ += taken->skipped;
  if (!taken->whole) { return; }
  boost::system::error_code ec;
  const json::value joined = json::parse(*taken->whole, ec, {}, {.max_depth = kDepthMax});
  if (ec || !joined.is_object() || text_of(joined.get_object(), "type") != "snapshot") {
    return complain(fmt::format("part: {} joined bytes are not a snapshot", taken->whole->size()));
  }
  on_snapshot(joined.get_object(), *taken->whole);
}

void Host::on_snapshot(const json::object& message, std::string_view text) {
  ++counters_.snapshots;
  revision_dirty_ |= saw_revision(message);  // A host may say many: stored with a snapshot.
  snapshot_.assign(text);
  snapshot_.shrink_to_fit();
  const json::value* revision = message.if_contains("revision");
  const bool small = revision != nullptr && !revision->is_structured();
  revision_ = small ? *revision : json::value(nullptr);
  snapshot_time_ = wall_now();
  snapshot_dirty_ = true;
  if (mono_now() - snapshot_stored_at_ >= pace_.snapshot_store_period) { store_snapshot(); }
  announce();
}

/// True: it is above all before.
bool Host::saw_revision(const json::object& message) {
  const std::int64_t number = number_of(message, "revision");
  if (number <= row_.top_revision || number >= kNumberEnd) { return false; }
  row_.top_revision = number;
  return true;
}

/// On disk before the result that told it is acknowledged: the worker keeps the order.
void Host::store_revision(const json::object& message) {
  if (saw_revision(message)) { store_row(); }
}

json::object Host::snapshot_object() const {
  boost::system::error_code ec;
  json::value parsed = json::parse(snapshot_, ec, {}, {.max_depth = kDepthMax});
  if (ec || !parsed.is_object()) { return {}; }
  json::object out = std::move(parsed.get_object());
  out.erase("type");
  return out;
}

void Host::complain(const std::string& what) {
  ++counters_.bad_messages;
  const auto more = complaints_.pass(mono_now());
  if (!more) { return; }
  spdlog::warn("message.malformed host={} reason=\"{}\" unsaid_before={}", row_.id,
               tunnel::printable_ascii(what, kComplaintBytesMax), *more);
}

void Host::store_snapshot() {
  snapshot_dirty_ = false;
  snapshot_stored_at_ = mono_now();
  if (std::exchange(revision_dirty_, false)) { store_row(); }
  db_.run([host = row_.id, text = snapshot_,
           now = wall_now()](ConsoleDb& db) { return db.put_snapshot(host, text, now); },
          [](const Result<void>&) {});  // The next snapshot comes anyway.
}

void Host::flush_outgoing() {
  if (!online_) { return; }  // What waits here stays "queued"; in the session it would be "sent".
  const MonoTime now = mono_now();
  if (event_ack_due_ > 0) {
    const std::string ack =
        json::serialize(json::object{{"type", "event_ack"}, {"n", event_ack_due_}});
    if (session_.send(Channel::events, tunnel::to_bytes(ack), now)) { event_ack_due_ = 0; }
  }
  while (!replies_.empty()) {
    if (!session_.send(Channel::commands, tunnel::to_bytes(replies_.front()), now)) { return; }
    replies_bytes_ -= replies_.front().size();
    replies_.pop_front();
  }
  while (!unsent_.empty()) {
    const auto found = pending_.find(unsent_.front());
    if (found != pending_.end() && !found->second.finishing) {
      Pending& pending = found->second;
      // Full: the acknowledgement of what is under way comes through pump() again.
      if (!session_.send(Channel::commands, tunnel::to_bytes(pending.row.message), now)) { return; }
      pending.sent = Sent::perhaps;
      if (pending.row.state == CommandState::queued) { set_state(pending, CommandState::sent); }
    }
    unsent_.pop_front();
  }
}

}  // namespace edge::console
