// The applications over the session: their memory, what survives a restart, and what they check.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/common/stream_app.hpp"
#include "tunnel/core/session.hpp"

namespace edge::sim {

enum class Kind : std::uint8_t {
  command = 'C',
  result_ack = 'A',
  stored = 'S',
  result = 'R',
  event = 'E',
  event_ack = 'e',
  telemetry = 'T',
};
struct Message {
  Kind kind = Kind::command;
  std::uint64_t id = 0;
  std::uint64_t counter = 0;  ///< Counts the messages of one channel within one session.
};

/// The user of a Session and the check of its promise: per channel in order, once, nothing missing.
class Endpoint {
 public:
  /// Pre: `session` outlives it.
  Endpoint(tunnel::Session& session, const tunnel::SessionOptions& options, std::uint64_t seed,
           const Report& report)
      : streams_(options.role, options.streams, seed, report), session_(session), report_(report) {}

  tunnel::Session& session() { return session_; }
  const tunnel::Session& session() const { return session_; }
  StreamApp& streams() { return streams_; }
  const StreamApp& streams() const { return streams_; }
  /// False when the session refuses for now.
  bool send(tunnel::Channel channel, Kind kind, std::uint64_t id, std::size_t bytes, MonoTime now);
  void on_session_started(const tunnel::SessionStarted& started);
  std::optional<Message> on_deliver(const tunnel::Deliver& deliver);
  void on_gap(const tunnel::DeliverGap& gap);

 private:
  StreamApp streams_;
  tunnel::Session& session_;
  const Report& report_;
  std::array<std::uint64_t, tunnel::channel_count> sent_{};
  std::array<std::uint64_t, tunnel::channel_count> received_{};
};

/// The host's side after design: journal on disk, executed once, results and events kept until
/// acknowledged.
class HostApp {
 public:
  explicit HostApp(const Report& report) : report_(report) {}

  void restart() { waiting_.clear(); }
  void on_session_started();
  void on_message(Endpoint& end, const Message& message, MonoTime now);
  /// A stored command runs. Restarted hosts run what the journal holds.
  void execute(std::uint64_t id);
  std::vector<std::uint64_t> stored_not_executed() const;
  void raise_event() { ++event_last_; }
  /// Sends what the session refused before, in order.
  void pump(Endpoint& end, MonoTime now);

  std::uint64_t events_raised() const { return event_last_; }
  bool all_acked() const { return results_.empty() && event_acked_ == event_last_; }
  std::size_t executed_count() const { return executed_.size(); }

 private:
  const Report& report_;
  // On disk.
  std::set<std::uint64_t> journal_;
  std::set<std::uint64_t> executed_;
  std::uint64_t executed_highest_ = 0;
  std::set<std::uint64_t> results_;  ///< Not acknowledged by the Console.
  std::uint64_t event_last_ = 0;
  std::uint64_t event_acked_ = 0;
  // In memory.
  std::vector<Message> waiting_;  ///< Answers that channel 1 had no room for.
  std::uint64_t event_sent_ = 0;  ///< In this session.
};

/// The Console's side: commands and stored events in its database.
class ConsoleApp {
 public:
  explicit ConsoleApp(const Report& report) : report_(report) {}

  void restart() { waiting_.clear(); }
  void on_session_started();
  /// The id of the command whose `stored` this is, with the time it was sent, when it is the first.
  struct StoredReply {
    std::uint64_t id;
    MonoTime sent_at;
  };
  std::optional<StoredReply> on_message(Endpoint& end, const Message& message, MonoTime now);
  void add_command(std::size_t bytes);
  /// The same id again, as an impatient operator does.
  void repeat_last(Endpoint& end, MonoTime now);
  void pump(Endpoint& end, MonoTime now);

  std::size_t command_count() const { return commands_.size(); }
  std::uint64_t events_stored() const { return event_stored_; }
  bool all_done() const { return done_count_ == commands_.size(); }

 private:
  struct Command {
    std::size_t bytes = 0;
    bool stored = false;
    bool done = false;
    std::optional<MonoTime> sent_at;  ///< In this session.
  };
  const Report& report_;
  // In the database.
  std::vector<Command> commands_;  ///< Id = index + 1.
  std::size_t done_count_ = 0;
  std::uint64_t event_stored_ = 0;
  // In memory.
  std::size_t next_ = 0;  ///< Of commands_, to send in this session.
  std::vector<Message> waiting_;
  std::optional<std::uint64_t> event_ack_;
};

}  // namespace edge::sim
