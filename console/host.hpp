// One host at the Console: its session over all its paths, the commands on their way, what it last
// said.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/fifo.hpp"
#include "base/throttle.hpp"
#include "console/connection.hpp"
#include "console/console_db.hpp"
#include "console/feed.hpp"
#include "console/host_streams.hpp"
#include "console/log_lines.hpp"
#include "store/io/store_worker.hpp"
#include "tunnel/core/session.hpp"
#include "tunnel/core/snapshot_parts.hpp"
#include "tunnel/io/identity.hpp"

namespace edge::console {

using DbWorker = store::Worker<ConsoleDb>;

struct HostOptions {
  tunnel::HeartbeatTimers heartbeat;
  std::chrono::seconds detach_ttl{600};
  unsigned handshakes_per_s = 250;       ///< What the doors take together: hosts are told to wait.
  unsigned heartbeats_per_s = 4'000;     ///< Ours, to all hosts together.
  unsigned snapshot_stores_per_s = 100;  ///< Of all hosts together.
  std::size_t memory_bytes_max = 0;      ///< 0: no limit.
  std::size_t queued_bytes_max = 512UZ << 20;  ///< Over all hosts: what waits for them.
  /// What one host does not read, over all its paths: beyond, the fullest path is given up.
  std::size_t unread_bytes_max = 4UZ << 20;
  std::size_t db_jobs_max = 20'000;  ///< Waiting ones, above which nobody new is let in.
  /// Commands on their way are kept whole until their results are on disk.
  std::size_t pending_bytes_max = 16UZ << 20;       ///< Of one host.
  std::size_t fleet_pending_bytes_max = 1UZ << 30;  ///< Of all hosts that are served, together.
  /// Of one host, however much waits for all: hosts that never come keep no other waiting.
  std::size_t pending_bytes_always = 64UZ << 10;
  std::shared_ptr<const tunnel::IdentitySigner> signer{};  ///< null: renews no certificates.
  std::chrono::seconds renewal_spread{600};  ///< Within which a fleet asks for new ones.
};

/// What the size of the fleet makes of the options; the fleet keeps it up to date for its hosts.
struct FleetPace {
  tunnel::HeartbeatTimers heartbeat;
  Duration snapshot_store_period = std::chrono::seconds(5);
  bool crowded = false;  ///< So much waits for all hosts that byte streams do.
};

/// Counters over all hosts since the start, for /metrics.
struct FleetCounters {
  std::uint64_t commands_finished = 0;
  std::uint64_t events_stored = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t bad_messages = 0;
  std::uint64_t clones_refused = 0;
  std::uint64_t db_failures = 0;
  std::uint64_t identities_signed = 0;
  std::uint64_t versions_refused = 0;
  std::uint64_t stores_put_back = 0;     ///< Of hosts, to an older state.
  std::uint64_t handshakes_refused = 0;  ///< Failed, or not admitted.
  /// No count since the start: of the commands that are on their way now, to hosts that are served.
  std::size_t pending_bytes = 0;
};

/// What this Console keeps in memory of one host, or of all, until the disk or the host has it.
struct HeldBytes {
  std::size_t commands = 0;  ///< Without a stored result, those of revoked hosts too.
  std::size_t events = 0;    ///< Not yet on disk.
  std::size_t results = 0;   ///< Not yet on disk.
  std::size_t answers = 0;   ///< To hosts, not yet sent.
};

/// What makes nothing get lost: a command is on disk before it is queued here, a result before it
/// is acknowledged, events before they are, an operator's word before it is accepted. A new session
/// sends every unfinished command again, in order.
///
/// Time: one steady timer for the session, one to try the database again.
/// Threads: the io_context's.
class Host final : public ConnectionOwner {
 public:
  static constexpr std::size_t pending_max = 4096;
  static constexpr std::size_t events_waiting_max = 4096;
  /// What it said and the disk does not have yet, and what it does not read. With the frames that
  /// are not complete: what a host can make this Console hold. Source: facts/tunnel.md 5.6.
  static constexpr std::size_t events_waiting_bytes_max = 1UZ << 20;
  static constexpr std::size_t event_data_bytes_max = 16UZ << 10;      ///< Of more only the size.
  static constexpr std::size_t results_storing_bytes_max = 1UZ << 20;  ///< Or one of any size.
  static constexpr std::size_t replies_bytes_max = 256UZ << 10;
  /// Of a command that a person gave at the machine, its result here.
  static constexpr std::size_t own_result_bytes_max = 64UZ << 10;
  static constexpr std::uint32_t own_results_burst = 256;  ///< Then one a second.
  static constexpr std::uint32_t renewals_burst = 30;
  static constexpr std::chrono::hours order_said_for{1};
  /// Requests after which a renewal order is not said again: the host has heard it.
  static constexpr std::uint32_t order_asked_max = 3;
  /// Of frames that are not complete, over all paths: one large result, and another on its way.
  static constexpr std::size_t partial_bytes_max = 2 * tunnel::command_bytes_max;
  static constexpr std::uint32_t log_lines_burst = 100;  ///< Then one a second.
  static constexpr std::chrono::seconds retry_period{2};

  Host(boost::asio::io_context& io, DbWorker& db, Feed& feed, FleetCounters& counters,
       const FleetPace& pace, HostRow row, const HostOptions& options, std::uint64_t seed);

  const std::string& id() const { return row_.id; }
  const HostRow& row() const { return row_; }
  bool online() const { return online_; }
  /// Its session waits for it, with what was said to it meanwhile.
  bool detached() const { return !online_ && session_.established(); }

  /// A connection said HELLO: attaches it, or refuses it with a reason it is told.
  void attach(std::unique_ptr<Connection> connection, const tunnel::Hello& hello);

  /// Since when and why no connection of this identity is served.
  const std::optional<Revocation>& revoked() const { return row_.revoked; }
  /// What set_revoked() needs on disk before it.
  HostRow row_with(std::optional<Revocation> revoked) const;
  /// Revoked: every connection is told why and closed, the session is forgotten; commands without a
  /// result stay as they are, and are no part of what all hosts share. The doorstep lets nobody in
  /// from then on.
  void set_revoked(std::optional<Revocation> revoked);

  // host_commands.cpp
  /// Room for one more command, kept until release(): what is being written to the disk counts too.
  /// Errors: no_space, with the limit and what to do.
  Result<void> reserve(std::size_t message_bytes);
  /// Pre: reserve() of as many bytes.
  void release(std::size_t message_bytes);
  /// Was a command ever given to a session? Then the host may have it.
  enum class Sent : std::uint8_t { never, perhaps };
  /// A command that is on disk. Known ones are ignored.
  void submit(CommandRow row, Sent sent = Sent::perhaps);
  std::size_t pending() const { return pending_.size(); }
  /// State of a command on its way; nullopt: it is finished, or unknown.
  std::optional<CommandState> live_state(std::string_view command_id) const;
  /// The timer is cancelled when the command is final. False: it is not on its way.
  bool notify_final(std::string_view command_id,
                    const std::shared_ptr<boost::asio::steady_timer>& timer);
  /// What became of an operator's word.
  enum class Taken : std::uint8_t {
    to_keep,  ///< It is to be put on disk, and then settled.
    ended,    ///< An abort of a command that was never sent: that ends as refused, no word is kept.
  };
  /// An operator's word about the trial of a command. Nothing is said before it is on disk; from
  /// an abort on nothing is confirmed either. Errors: conflict (no trial waits for a confirm; the
  /// host does not have what is to be aborted, and it may be on its way; it was aborted), no_space.
  Result<Taken> take_word(std::string_view command_id, Word word);
  /// Of a word that was to be kept, with what ConsoleDb::put_word() said: the host is told now, and
  /// again in each new session until the result is there. Errors: conflict (a confirm; meanwhile it
  /// was aborted, or another installation came).
  Result<void> settle_word(std::string_view command_id, Word word, const Result<bool>& kept);

  // host_identity.cpp
  /// What ConsoleDb::put_renewal() needs on disk before order_renewal(). Errors: unsupported (no
  /// signer), transient (offline).
  Result<HostRow> row_with_order() const;
  /// Tells the host to renew its certificate now, and again in each new session within
  /// order_said_for until it says what came of it. Pre: the order is on disk.
  void order_renewal(const RenewalOrder& order);

  // host_history.cpp
  static constexpr std::size_t questions_max = 64;
  /// What the host answers to a question.
  struct Answer {
    explicit Answer(boost::asio::io_context& io) : timer(io) {}
    boost::asio::steady_timer timer;  ///< Cancelled when it is there; the deadline is the asker's.
    std::optional<boost::json::object> said;
  };
  /// Asks; at most questions_max wait for an answer. Errors: transient (offline), no_space.
  Result<void> ask(const std::string& id, const boost::json::object& question,
                   std::shared_ptr<Answer> answer);
  void forget(const std::string& id) { questions_.erase(id); }
  /// Its newest revisions as its last snapshot has them.
  boost::json::array kept_revisions() const;
  std::optional<WallTime> snapshot_time() const { return snapshot_time_; }

  /// For connections of forwards; made at the first call.
  HostStreams& streams();
  std::size_t stream_connections(const std::string& forward) const {
    return streams_ ? streams_->count(forward) : 0;
  }

  boost::json::object summary() const;  ///< For the list of hosts.
  boost::json::object details() const;
  std::size_t path_count() const { return session_.path_count(); }
  std::size_t connection_count() const { return connections_.size(); }
  /// What waits for it, here and in its connections, and what of it is not complete.
  std::size_t waiting_bytes() const;
  /// What the fleet's pace held back may go on.
  void wake() { pump(); }
  const tunnel::SessionStats& stats() const { return session_.stats(); }
  /// Of what the limits above are about.
  std::size_t held_bytes() const {
    return events_waiting_bytes_ + results_storing_bytes_ + replies_bytes_;
  }
  HeldBytes held() const {
    return {.commands = pending_bytes_,
            .events = events_waiting_bytes_,
            .results = results_storing_bytes_,
            .answers = replies_bytes_};
  }

  /// GOAWAY with a spread, then closes everything.
  void stop(const tunnel::Goaway& goaway);
  /// Asks it to come again, over every path; nothing is closed here.
  void send_away(const tunnel::Goaway& goaway);

  void on_frame(Connection& connection, tunnel::Frame frame) override;
  void on_part(Connection& connection) override;
  void on_garbage(Connection& connection, const Error& error) override;
  void on_closed(Connection& connection, const tunnel::PathError& error) override;
  void on_partial(Connection& connection) override;

 private:
  struct Pending {
    CommandRow row;
    bool finishing = false;   ///< Its result is on the way to the disk.
    bool untaken = false;     ///< Its result came while too many were: asked for again.
    unsigned aborting = 0;    ///< Aborts on their way to the disk: nothing is confirmed.
    bool abort_said = false;  ///< In the present session.
    Sent sent = Sent::perhaps;
    std::vector<std::weak_ptr<boost::asio::steady_timer>> waiters;
  };
  struct WaitingEvent {
    EventRow row;        ///< As the host counts it.
    bool said = true;    ///< In the present session: an acknowledgement is due when it is on disk.
    bool heard = false;  ///< What it says of a renewal is taken: its number was new.
  };
  struct Failure {
    std::string cause;
    std::string detail;
    WallTime time{};
  };

  boost::json::array paths(const boost::json::object& snapshot) const;
  double loss_percent(PathId path) const;
  boost::json::object summary(const boost::json::object& snapshot) const;
  boost::json::value put_back_json() const;
  boost::json::value renewal_json() const;

  // host.cpp: the session
  void pump();
  void run(tunnel::Action action);
  void write(const tunnel::SendBytes& send);
  void shed_unread();
  void on_stream_frame(const tunnel::Bytes& payload);
  void bury(const tunnel::PathDead& dead);
  void set_online(bool online);
  void announce();
  void arm_timer();
  void store_row();
  Connection* find(PathId path);

  // host_identity.cpp
  std::string signer_offer(bool now) const;
  bool order_stands() const;
  void on_renew(const boost::json::object& message);
  void heard_of_renewal(const EventRow& event);
  void store_renewal();
  boost::json::value shown_certificate() const;

  // host_commands.cpp
  Pending* pending_of(std::string_view command_id);
  void hold(std::size_t message_bytes);
  void let_go(std::size_t message_bytes);
  static Result<void> may_say(const Pending& pending, Word word);
  void say_word(Pending& pending, CommandState heard);
  void withdraw(Pending& pending);
  void forget_trials();
  void begin_anew(Pending& pending);

  // host_messages.cpp: what is said over it
  void deliver(tunnel::Channel channel, std::string_view text);
  void on_command_message(const boost::json::object& message, std::string_view text);
  void on_answer(const std::string& id, const boost::json::object& message);
  void on_result(const std::string& command_id, CommandState state, const std::string& text,
                 const boost::json::object& message);
  void store_result(const std::string& command_id, CommandState state, const std::string& text);
  void result_stored(const CommandRow& row);
  void ask_for_untaken();
  bool takes(std::size_t message_bytes) const;
  bool say(std::string message);
  void take_back(std::string_view message);
  void forget_replies();
  void on_event(const boost::json::object& message);
  void on_telemetry(const boost::json::object& message, std::string_view text);
  void on_snapshot(const boost::json::object& message, std::string_view text);
  bool saw_revision(const boost::json::object& message);
  void store_revision(const boost::json::object& message);
  boost::json::object snapshot_object() const;
  void store_snapshot();
  void keep_former_model();
  WaitingEvent* waiting_as(const EventRow& event);
  void flush_events();
  void events_stored(const EventsAdded& added, std::size_t count);
  void store_was_put_back(const EventsAdded& added);
  void flush_outgoing();
  void set_state(Pending& pending, CommandState state);
  void complain(const std::string& what);
  void retry_later();

  boost::asio::io_context& io_;
  DbWorker& db_;
  Feed& feed_;
  FleetCounters& counters_;
  const FleetPace& pace_;
  HostRow row_;
  bool row_dirty_ = false;  ///< The disk did not take it.
  tunnel::Session session_;
  /// A handler that was already queued when its timer went does not see the cancellation: it asks
  /// this.
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  boost::asio::steady_timer timer_;
  std::optional<MonoTime> timer_at_;
  bool pumping_ = false;
  bool stopping_ = false;
  bool online_ = false;

  std::uint32_t next_path_ = 1;
  std::map<PathId, std::unique_ptr<Connection>> connections_;
  std::map<PathId, std::string> labels_;
  std::map<std::string, Failure> failures_;  ///< By path label, at most failures_max_.
  static constexpr std::size_t failures_max_ = 64;
  std::optional<std::pair<std::string, WallTime>>
      clone_;  ///< Install id that was refused, and when.
  /// What it speaks that this Console does not, and when; until it is served.
  std::optional<std::pair<std::string, WallTime>> version_refused_;

  std::map<std::int64_t, Pending> pending_;  ///< By seq.
  std::map<std::string, std::int64_t, std::less<>> pending_by_id_;
  std::size_t pending_bytes_ = 0;  ///< Of their messages, those reserved included.
  std::size_t reserved_ = 0;       ///< Commands.
  Fifo<std::int64_t> unsent_;
  std::map<std::string, std::shared_ptr<Answer>> questions_;  ///< By id.
  Fifo<std::string> replies_;  ///< For channel 1, ahead of commands: acks and confirms.
  std::size_t replies_bytes_ = 0;
  struct UnstoredResult {
    std::string command_id;
    CommandState state = CommandState::done;
    std::string text;
  };
  std::vector<UnstoredResult> results_to_retry_;
  std::size_t results_storing_bytes_ = 0;  ///< Those to retry included.
  std::size_t untaken_ = 0;                ///< How many of pending_ are.
  Throttle own_results_{own_results_burst, std::chrono::seconds(1)};

  Fifo<WaitingEvent> events_waiting_;
  std::size_t events_waiting_bytes_ = 0;
  bool events_storing_ = false;
  bool events_overflow_ = false;    ///< Some were not taken: none is until the next session.
  std::int64_t event_seen_ = 0;     ///< Highest one taken, as the host counts, on disk or waiting.
  std::int64_t event_stored_ = 0;   ///< Highest n on disk.
  std::int64_t event_ack_due_ = 0;  ///< In the host's own numbers; 0: none.

  std::unique_ptr<HostStreams> streams_;             ///< None for the many hosts without a forward.
  std::optional<tunnel::StreamGrant> peer_streams_;  ///< Of the present session.

  tunnel::PartJoiner parts_;         ///< Of the snapshot that is coming.
  std::uint64_t snapshot_gaps_ = 0;  ///< Telemetry that did not come, as the host says.
  std::string snapshot_;             ///< As it came: as an object it is five times as large.
  boost::json::value revision_;      ///< In it.
  std::optional<WallTime> snapshot_time_;
  bool snapshot_dirty_ = false;
  bool revision_dirty_ = false;  ///< A snapshot told a new one, and it is not on disk.
  MonoTime snapshot_stored_at_{};
  boost::asio::steady_timer retry_timer_;
  bool retry_armed_ = false;
  LogLines lines_;  ///< About its paths and sessions.
  std::size_t unread_bytes_max_;
  std::size_t pending_bytes_max_;
  std::size_t fleet_pending_bytes_max_;
  std::size_t pending_bytes_always_;
  std::shared_ptr<const tunnel::IdentitySigner> signer_;
  std::chrono::seconds renewal_spread_;
  /// A signature costs, and so does its record.
  Throttle renewals_{renewals_burst, std::chrono::seconds(2)};
  std::uint32_t asked_since_order_ = 0;  ///< Requests for a certificate, in this life.
  bool renewal_storing_ = false;         ///< What came of an order is on the way to the disk...
  bool renewal_dirty_ = false;           ///< ... and has changed since, or was not taken.
  Throttle complaints_{5, std::chrono::seconds(10)};  ///< About what it says: it fills no log.
};

}  // namespace edge::console
