// Runs the trial of a change that can cut paths: watches them, dials them anew, waits for the
// Console.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "uplink/core/trial.hpp"

namespace edge::uplink {

/// Role: one trial at a time; the judgement is Trial's.
/// Time: steady timer. Threads: the io_context's.
class Trials {
 public:
  struct Hooks {
    std::function<std::vector<PathSight>()> sights;
    std::function<void(const PathKey&)> redial;
    std::function<std::optional<PathKey>()> active;
    /// Dials over these ports prove their MTU until the next call.
    std::function<void(std::set<std::string>)> prove;
    std::function<void()> remind;   ///< The Console has not confirmed yet: tell it again.
    std::function<void()> changed;  ///< Something worth showing.
  };

  Trials(boost::asio::io_context& io, Hooks hooks);

  static constexpr std::chrono::seconds remind_after{5};
  static constexpr std::chrono::seconds steady_max{30};

  std::vector<PathSight> sights() const { return hooks_.sights(); }
  /// Before a snapshot: waits, at most steady_max, until what the last trial took away is back, or,
  /// of a command that came over a path (`from_console`), until one is up.
  boost::asio::awaitable<void> steady(bool from_console);
  /// From before the first kernel change on. Pre: run() follows, or forget().
  void prepare(const TrialTerms& terms) { hooks_.prove(terms.affected); }
  void forget() {
    aborted_.reset();
    hooks_.prove({});
  }

  /// Until the change is to be kept or taken back; `wait` only when the daemon stops. Pre: no other
  /// one runs.
  boost::asio::awaitable<Judgement> run(std::string command_id, TrialTerms terms);
  /// False: no trial of this command runs.
  bool confirm(std::string_view command_id);
  /// Ends the trial that runs or is about to: it is taken back, or not begun.
  void abort(std::string why);
  /// Set from abort() to the end of the trial that it is about.
  const std::optional<std::string>& aborted() const { return aborted_; }
  /// A path changed.
  void poke();
  bool running() const { return trial_.has_value(); }
  const std::string& command_id() const { return command_id_; }
  /// `{"command", "seconds_left", "confirmed", "console_away", "waits_for": [line]}`; empty: none.
  boost::json::object view() const;
  void stop();

 private:
  void redial_next(const std::vector<PathSight>& sights);

  Hooks hooks_;
  boost::asio::steady_timer timer_;
  std::optional<Trial> trial_;
  std::string command_id_;
  std::vector<std::string> waits_for_;
  std::vector<PathKey> were_up_;  ///< Before the last trial, if it was taken back.
  std::optional<std::string> aborted_;
  bool waiting_ = false;
  bool poked_ = false;
  bool stopped_ = false;
};

}  // namespace edge::uplink
