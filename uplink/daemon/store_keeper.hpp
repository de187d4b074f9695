// How well the store is while the daemon runs: watched, told, healed; what a lost one makes unsure.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "store/io/store_worker.hpp"
#include "uplink/core/last_known.hpp"
#include "uplink/daemon/events.hpp"
#include "uplink/daemon/open_store.hpp"

namespace edge::uplink {

/// Role: asks the store every `period` how it is; tells a change as event, status and metric; keeps
/// the file of the last known model; answers commands that a lost journal cannot vouch for; asks
/// for a fresh start when a store in memory can go back to its file.
/// Time: steady timers. Threads: the io_context's.
class StoreKeeper {
 public:
  struct Hooks {
    std::function<void()> changed;  ///< What view() says is different now.
    /// A fresh start in the same process would find a usable store. Called once.
    std::function<void()> restart;
    /// Sends on channel 1. Errors: no session, back-pressure: the Console repeats the command.
    std::function<Result<void>(std::string_view)> send;
    /// nullopt: what stands now may not stay; asked again.
    std::function<std::optional<LastKnown>()> last_known;
    std::function<void(const std::set<std::string>&)> keep;  ///< Links to be left alone.
  };
  static constexpr std::chrono::seconds period{2};
  /// The Console repeats what it does not know finished when a session starts.
  static constexpr std::chrono::seconds repeats_within{5};

  StoreKeeper(boost::asio::io_context& io, store::StoreWorker& store, EventLog& events,
              std::string runtime_folder, StoreStart start, Hooks hooks);

  void start();
  void stop();
  void session_started();
  /// Something that the last known model says may have changed.
  void remember_soon();

  /// A model.replace is done: it says what everything is, and nothing is kept beside it any more.
  /// Pre: kept_links_setting is "[]" on disk.
  void release_kept();

  /// A message of channel 1: true when it was a command whose former life is not known. It is
  /// answered `indeterminate`, and never run.
  bool take(std::string_view text);

  bool durable() const { return start_.standing.durable; }
  const std::set<std::string>& kept() const { return start_.kept; }
  /// {"state": "ok|full|read-only|failing|memory", "what", "next", "held_events", "kept"}.
  boost::json::object view() const;
  std::size_t held_events() const { return events_.held(); }
  /// One line for a person; empty: all is well.
  std::string problem() const;

 private:
  using Trouble = std::optional<Error>;
  void arm();
  void look();
  void on_look(Result<Trouble> seen);
  void set_trouble(Trouble trouble);
  void try_to_return();
  void ask_for_restart(std::string_view reason);
  void remember();
  /// What a stored model names is its own again, so that it goes with it.
  void release_explained(const netmodel::Model& model);
  void settle_if_heard();
  void answer_unknown(std::string id, std::string payload, store::Sha256 digest);
  std::string state() const;

  store::StoreWorker& store_;
  EventLog& events_;
  std::string runtime_folder_;
  StoreStart start_;
  Hooks hooks_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer remember_timer_;
  Trouble trouble_;
  MonoTime began_;
  MonoTime trouble_since_{};
  std::optional<MonoTime> session_since_;
  LastKnown remembered_;
  bool remember_armed_ = false;
  bool looking_ = false;
  bool restart_asked_ = false;
  bool stopped_ = false;
};

}  // namespace edge::uplink
