// The machine's clock when it is certainly wrong: what is trusted then, and how it gets right.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "store/io/store_worker.hpp"
#include "tunnel/core/clock_trust.hpp"
#include "tunnel/io/tls_context.hpp"
#include "tunnel/io/tls_stream.hpp"
#include "uplink/core/config.hpp"
#include "uplink/daemon/events.hpp"

namespace edge::uplink {

/// The kernel's clock; a test has one of its own.
struct ClockPort {
  std::function<tunnel::ClockReading()> read;
  std::function<Result<void>(WallTime)> set;
};
ClockPort system_clock_port();

/// Role: says what certificates are judged by; takes the Console's time, sets the clock by it or
/// lets it stand in for the clock (wall_now()); keeps the floor in the store; tells when the clock
/// changes while a path fails by its dates.
/// Time: the port, and a steady timer while something is wrong. Threads: the io_context's.
class ClockKeeper {
 public:
  /// How soon a clock that somebody else has set is noticed while a path fails by dates.
  static constexpr std::chrono::seconds period{1};

  /// What becomes of a path whose WELCOME came.
  struct Verdict {
    enum class Kind : std::uint8_t {
      keep,    ///< It stands.
      redial,  ///< The time is known now: once more, judged by that.
      refuse,  ///< The Console's time cannot be.
    } kind = Kind::keep;
    std::string why;  ///< Of refuse.
  };

  ClockKeeper(boost::asio::io_context& io, const Config::Tunnel& config, store::StoreWorker& store,
              EventLog& events, WallTime floor, ClockPort port = system_clock_port());
  ~ClockKeeper();

  /// Somebody has set the clock, or it came right: what failed by dates should be tried again.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }
  void stop();

  /// The options of a context that judges by what is known here; it must not outlive this.
  tunnel::TlsOptions options(std::string server_name);
  /// Before a dial: the term of our own certificate. Says once what a doubt means.
  void before_dial(const tunnel::CertificateInfo& own);
  /// A dial failed by dates: the clock is watched for a while.
  void watch();
  /// The WELCOME of `peer` said that it is `said`.
  Verdict on_welcome(const tunnel::PeerIdentity& peer, WallTime said);

  /// {"trust": "strict|bounded|console", "time", "system_time", "synchronised", "doubt", "floor",
  ///  "policy", "set_clock", "last_set"?}
  boost::json::object json() const;
  /// One line for a person; empty: nothing is wrong as far as can be known.
  std::string problem() const;

 private:
  std::optional<tunnel::TimeBounds> bounds() const;
  Verdict take(WallTime said);
  void set_or_stand_in(const tunnel::ClockReading& reading, WallTime said);
  void keep_floor(WallTime known);
  void use_correction(const tunnel::ClockReading& reading);
  void tell(const tunnel::ClockReading& reading);
  std::string doubt_text(const tunnel::ClockReading& reading) const;
  void look();
  void arm();

  const Config::Tunnel& config_;
  store::StoreWorker& store_;
  EventLog& events_;
  ClockPort port_;
  tunnel::ClockTrust trust_;
  std::optional<tunnel::TimeBounds> own_;
  std::function<void()> changed_;
  boost::asio::steady_timer timer_;
  std::optional<MonoTime> watch_until_;
  std::chrono::milliseconds wall_minus_mono_{};  ///< When it was looked at last.
  tunnel::ClockDoubt told_ = tunnel::ClockDoubt::none;
  std::string last_set_;    ///< For status: what was done last.
  std::string cannot_set_;  ///< Why the clock could not be set.
};

}  // namespace edge::uplink
