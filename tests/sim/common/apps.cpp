// The applications over the session.
#include "tests/sim/common/apps.hpp"

#include <fmt/format.h>

namespace edge::sim {
using tunnel::Channel;

namespace {

constexpr std::size_t message_bytes = 17;

tunnel::Bytes encode(const Message& message, std::size_t bytes) {
  tunnel::Bytes out;
  out.reserve(std::max(bytes, message_bytes));
  tunnel::put(out, static_cast<std::uint8_t>(message.kind));
  tunnel::put(out, message.id);
  tunnel::put(out, message.counter);
  out.resize(std::max(bytes, message_bytes));
  return out;
}

Message decode(const tunnel::Bytes& bytes) {
  tunnel::ByteReader reader(bytes);
  Message message;
  message.kind = static_cast<Kind>(*reader.take<std::uint8_t>());
  message.id = *reader.take<std::uint64_t>();
  message.counter = *reader.take<std::uint64_t>();
  return message;
}

}  // namespace

bool Endpoint::send(Channel channel, Kind kind, std::uint64_t id, std::size_t bytes, MonoTime now) {
  std::uint64_t& counter = sent_[index_of(channel)];
  if (!session_.send(channel, encode({kind, id, counter + 1}, bytes), now)) { return false; }
  ++counter;
  return true;
}

void Endpoint::on_session_started(const tunnel::SessionStarted& started) {
  streams_.on_session_started(started.streams, started.session);
  sent_.fill(0);
  received_.fill(0);
}

std::optional<Message> Endpoint::on_deliver(const tunnel::Deliver& deliver) {
  if (deliver.payload.size() < message_bytes) {
    report_("a payload arrived shorter than it was sent");
    return std::nullopt;
  }
  const Message message = decode(deliver.payload);
  std::uint64_t& counter = received_[index_of(deliver.channel)];
  if (message.counter != ++counter) {
    report_(fmt::format("channel {}: message {} of the session arrived as number {}",
                        index_of(deliver.channel), message.counter, counter));
  }
  return message;
}

void Endpoint::on_gap(const tunnel::DeliverGap& gap) {
  received_[index_of(gap.channel)] += gap.dropped;
}

void HostApp::on_session_started() {
  waiting_.clear();
  for (const std::uint64_t id : results_) { waiting_.push_back({Kind::result, id}); }
  event_sent_ = event_acked_;
}

void HostApp::on_message(Endpoint& end, const Message& message, MonoTime now) {
  if (message.kind == Kind::command) {
    const std::uint64_t highest = journal_.empty() ? 0 : *journal_.rbegin();
    if (journal_.insert(message.id).second && message.id < highest) {
      report_(fmt::format("command {} was stored after command {}", message.id, highest));
    }
    waiting_.push_back({Kind::stored, message.id});
    if (results_.contains(message.id)) { waiting_.push_back({Kind::result, message.id}); }
  } else if (message.kind == Kind::result_ack) {
    results_.erase(message.id);
  } else if (message.kind == Kind::event_ack) {
    event_acked_ = std::max(event_acked_, message.id);
  } else {
    report_("the host received a message of the wrong kind");
  }
  pump(end, now);
}

void HostApp::execute(std::uint64_t id) {
  if (!executed_.insert(id).second) { return; }  // Journal and effect are one transaction here.
  if (id < executed_highest_) {
    report_(fmt::format("command {} executed after command {}", id, executed_highest_));
  }
  executed_highest_ = id;
  results_.insert(id);
  waiting_.push_back({Kind::result, id});
}

std::vector<std::uint64_t> HostApp::stored_not_executed() const {
  std::vector<std::uint64_t> ids;
  for (auto it = journal_.upper_bound(executed_highest_); it != journal_.end(); ++it) {
    ids.push_back(*it);
  }
  return ids;
}

void HostApp::pump(Endpoint& end, MonoTime now) {
  std::size_t sent = 0;
  while (sent < waiting_.size() &&
         end.send(Channel::commands, waiting_[sent].kind, waiting_[sent].id, 100, now)) {
    ++sent;
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(sent));
  while (event_sent_ < event_last_ &&
         end.send(Channel::events, Kind::event, event_sent_ + 1, 200, now)) {
    ++event_sent_;
  }
}

void ConsoleApp::on_session_started() {
  waiting_.clear();
  event_ack_.reset();
  next_ = 0;
  for (Command& command : commands_) { command.sent_at.reset(); }
}

std::optional<ConsoleApp::StoredReply> ConsoleApp::on_message(Endpoint& end, const Message& message,
                                                              MonoTime now) {
  std::optional<StoredReply> reply;
  if (message.kind == Kind::stored || message.kind == Kind::result) {
    if (message.id == 0 || message.id > commands_.size()) {
      report_(fmt::format("an answer to command {}, which was never given", message.id));
      return std::nullopt;
    }
    Command& command = commands_[message.id - 1];
    if (message.kind == Kind::stored) {
      if (!command.stored && command.sent_at) { reply = {message.id, *command.sent_at}; }
      command.stored = true;
    } else {
      if (!command.done) { ++done_count_; }
      command.stored = command.done = true;
      waiting_.push_back({Kind::result_ack, message.id});
    }
  } else if (message.kind == Kind::event) {
    if (message.id > event_stored_ + 1) {
      report_(fmt::format("event {} after event {}", message.id, event_stored_));
    }
    event_stored_ = std::max(event_stored_, message.id);
    event_ack_ = event_stored_;
  } else if (message.kind != Kind::telemetry) {
    report_("the Console received a message of the wrong kind");
  }
  pump(end, now);
  return reply;
}

void ConsoleApp::add_command(std::size_t bytes) { commands_.push_back({.bytes = bytes}); }

void ConsoleApp::repeat_last(Endpoint& end, MonoTime now) {
  if (next_ == 0 || next_ > commands_.size()) { return; }
  end.send(Channel::commands, Kind::command, next_, commands_[next_ - 1].bytes, now);
}

void ConsoleApp::pump(Endpoint& end, MonoTime now) {
  std::size_t sent = 0;
  while (sent < waiting_.size() &&
         end.send(Channel::commands, waiting_[sent].kind, waiting_[sent].id, 60, now)) {
    ++sent;
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(sent));
  for (; next_ < commands_.size(); ++next_) {
    Command& command = commands_[next_];
    if (command.stored) { continue; }
    if (!end.send(Channel::commands, Kind::command, next_ + 1, command.bytes, now)) { break; }
    command.sent_at = now;
  }
  if (event_ack_ && end.send(Channel::events, Kind::event_ack, *event_ack_, 40, now)) {
    event_ack_.reset();
  }
}

}  // namespace edge::sim
