// Host: the commands on their way to it, and an operator's word about them.
#include <utility>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "console/host.hpp"

namespace edge::console {

namespace json = boost::json;

namespace {

constexpr std::size_t kCommandDepthMax = 32;

std::string about(std::string_view type, std::string_view id) {
  return json::serialize(json::object{{"type", type}, {"id", id}});
}

bool says_manual(std::string_view command) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(command, ec, {}, {.max_depth = kCommandDepthMax});
  if (ec || !parsed.is_object()) { return false; }
  const json::value* confirm = parsed.get_object().if_contains("confirm");
  return confirm != nullptr && *confirm == "manual";
}

std::unexpected<Error> not_on_its_way(std::string_view command_id) {
  return fail(Errc::conflict, fmt::format("command {} is not on its way", command_id));
}

}  // namespace

Result<void> Host::reserve(std::size_t message_bytes) {
  if (pending_.size() + reserved_ >= pending_max) {
    return fail(Errc::no_space,
                fmt::format("{} commands wait for host {}; send more when some are done",
                            pending_max, row_.id));
  }
  const auto refuse = [&](std::size_t waiting, const std::string& whom, std::size_t limit) {
    return fail(Errc::no_space,
                fmt::format("commands of {} bytes wait for {}: with the {} bytes of this one that "
                            "is above the limit of {}; send it again when some are done",
                            waiting, whom, message_bytes, limit));
  };
  if (pending_bytes_ + message_bytes > pending_bytes_max_) {
    return refuse(pending_bytes_, "host " + row_.id, pending_bytes_max_);
  }
  const bool little = pending_bytes_ + message_bytes <= pending_bytes_always_;
  if (!little && counters_.pending_bytes + message_bytes > fleet_pending_bytes_max_) {
    return refuse(counters_.pending_bytes, "all hosts together", fleet_pending_bytes_max_);
  }
  ++reserved_;
  hold(message_bytes);
  return {};
}

void Host::release(std::size_t message_bytes) {
  --reserved_;
  let_go(message_bytes);
}

void Host::hold(std::size_t message_bytes) {
  pending_bytes_ += message_bytes;
  if (!row_.revoked) { counters_.pending_bytes += message_bytes; }
}

void Host::let_go(std::size_t message_bytes) {
  pending_bytes_ -= message_bytes;
  if (!row_.revoked) { counters_.pending_bytes -= message_bytes; }
}

void Host::submit(CommandRow row, Sent sent) {
  const std::int64_t seq = row.seq;
  if (is_final(row.state) || pending_.contains(seq)) { return; }
  hold(row.message.size());
  pending_by_id_[row.id] = seq;
  pending_.emplace(seq,
                   Pending{.row = std::move(row), .finishing = false, .sent = sent, .waiters = {}});
  if (session_.established()) { unsent_.push_back(seq); }
  pump();
}

Host::Pending* Host::pending_of(std::string_view command_id) {
  const auto found = pending_by_id_.find(command_id);
  return found == pending_by_id_.end() ? nullptr : &pending_.at(found->second);
}

std::optional<CommandState> Host::live_state(std::string_view command_id) const {
  const auto found = pending_by_id_.find(command_id);
  if (found == pending_by_id_.end()) { return std::nullopt; }
  return pending_.at(found->second).row.state;
}

bool Host::notify_final(std::string_view command_id,
                        const std::shared_ptr<boost::asio::steady_timer>& timer) {
  Pending* pending = pending_of(command_id);
  if (pending == nullptr) { return false; }
  std::erase_if(pending->waiters, [](const auto& one) { return one.expired(); });
  pending->waiters.push_back(timer);
  return true;
}

Result<void> Host::may_say(const Pending& pending, Word word) {
  const CommandRow& row = pending.row;
  if (word == Word::abort) {
    if (row.state >= CommandState::stored || row.word == word) { return {}; }
    return fail(Errc::conflict,
                fmt::format("command {} is {}: only one that the host has, or that was never sent "
                            "to it, can be ended",
                            row.id, to_string(row.state)));
  }
  if (row.state != CommandState::confirming) {
    return fail(Errc::conflict, fmt::format("command {} is {}: only one that is confirming can be "
                                            "confirmed",
                                            row.id, to_string(row.state)));
  }
  if (row.word == Word::abort || pending.aborting > 0) {
    return fail(Errc::conflict,
                fmt::format("command {} was aborted: its end is on the way", row.id));
  }
  return {};
}

Result<Host::Taken> Host::take_word(std::string_view command_id, Word word) {
  Pending* pending = pending_of(command_id);
  if (pending == nullptr) { return not_on_its_way(command_id); }
  const bool unsent = pending->row.state == CommandState::queued && pending->sent == Sent::never;
  if (word == Word::abort && unsent) {
    withdraw(*pending);
    return Taken::ended;
  }
  EDGE_TRY(may_say(*pending, word));
  if (!takes(about(to_string(word), command_id).size())) {
    return fail(Errc::no_space, fmt::format("host {} does not read what it is told", row_.id));
  }
  if (word == Word::abort) { ++pending->aborting; }
  return Taken::to_keep;
}

Result<void> Host::settle_word(std::string_view command_id, Word word, const Result<bool>& kept) {
  Pending* pending = pending_of(command_id);
  if (pending == nullptr) { return {}; }  // It has ended meanwhile.
  const bool on_disk = kept.value_or(false);
  if (word == Word::abort) {
    --pending->aborting;
    const bool unanswered = !on_disk && pending->row.state == CommandState::confirming;
    if (unanswered) { say_word(*pending, CommandState::confirming); }
  } else {
    // Beside an abort that the disk may refuse: then this is what counts.
    const bool stands = on_disk && pending->row.word != Word::abort &&
                        pending->row.state == CommandState::confirming;
    if (stands) { pending->row.word = word; }
    EDGE_TRY(may_say(*pending, word));
  }
  if (!on_disk) { return {}; }
  pending->row.word = word;
  if (word == Word::abort) { take_back(about(to_string(Word::confirm), command_id)); }
  // Else the host will say that it stored it: this Console was restarted, or the host reinstalled.
  if (pending->row.state >= CommandState::stored) {
    const bool said = say(about(to_string(word), command_id));
    if (word == Word::abort) { pending->abort_said = said; }
  }
  pump();
  return {};
}

/// No session ever had it, so no host does: its end is made here, and it is never sent.
void Host::withdraw(Pending& pending) {
  if (std::exchange(pending.finishing, true)) { return; }
  constexpr CommandState end = CommandState::refused;
  const json::object why{{"what", "aborted at the Console before it was sent"}};
  store_result(pending.row.id, end,
               json::serialize(json::object{{"type", "result"},
                                            {"id", pending.row.id},
                                            {"state", to_string(end)},
                                            {"problems", json::array{why}}}));
}

/// What there is to say of a command that the host has. Hearing of a trial over the changed network
/// is what there is to confirm; a person may want to look first. `confirming` is answered each
/// time: a host repeats it as long as it lacks the answer.
void Host::say_word(Pending& pending, CommandState heard) {
  const bool trial = heard == CommandState::confirming;
  const Word word = pending.row.word;
  if (word == Word::abort) {
    if (!trial && pending.abort_said) { return; }
    pending.abort_said = say(about(to_string(word), pending.row.id));
  } else if (trial && pending.aborting == 0 &&
             (word == Word::confirm || !says_manual(pending.row.message))) {
    say(about(to_string(Word::confirm), pending.row.id));
  }
  pump();
}

/// A host says that it applies a command when it begins with it, and never again in that trial. One
/// that had got further begins a second time where its disk was put back: a confirm was for what
/// somebody saw then.
void Host::begin_anew(Pending& pending) {
  const bool further = pending.row.state == CommandState::confirming;
  if (!further && pending.row.word != Word::confirm) { return; }
  if (pending.row.word == Word::confirm) { pending.row.word = Word::none; }
  set_state(pending, CommandState::applying);
  take_back(about(to_string(Word::confirm), pending.row.id));
  lines_.say(spdlog::level::warn,
             "command.began_anew host={} id={}: its disk may have been put back", row_.id,
             pending.row.id);
  db_.run([host = row_.id, id = pending.row.id](ConsoleDb& db) { return db.end_confirm(host, id); },
          [this, id = pending.row.id](const Result<void>& ended) {
            if (ended) { return; }
            ++counters_.db_failures;
            spdlog::error("command.confirm_not_ended host={} id={} reason=\"{}\"", row_.id, id,
                          ended.error().what);
          });
}

/// Another installation has none of the trials, and is sent all commands: what it makes of them
/// nobody has seen yet. On disk the confirms end with its install_id (ConsoleDb::put_host()).
void Host::forget_trials() {
  for (auto& [seq, pending] : pending_) {
    if (pending.finishing) { continue; }
    if (pending.row.word == Word::confirm) { pending.row.word = Word::none; }
    if (pending.row.state != CommandState::queued) { set_state(pending, CommandState::queued); }
  }
}

}  // namespace edge::console
