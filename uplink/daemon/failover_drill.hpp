// A failover on purpose: the tunnel leaves the port that carries it, and it is seen who takes over.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include "netmodel/core/apply_operations.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

/// Role: what `failover.drill` asks for. The port is drained, which ends by itself, and the drill
/// has passed when the Console has answered over another port. One at a time.
/// Threads: the io_context's.
class FailoverDrill {
 public:
  struct Hooks {
    std::function<std::optional<PathKey>()> active;  ///< The path that carries the tunnel.
    std::function<std::string(const std::string& port_key)> name;
    std::function<void(const std::string& port_key, std::chrono::seconds)>
        drain;                                      ///< 0 s: ends it.
    std::function<void(boost::json::object)> tell;  ///< The event `failover.drill`.
    /// nullopt: it is not drained. Not set: no port ever is.
    std::function<std::optional<MonoTime>(const std::string& port_key)> drained_until{};
  };
  /// The Console's answer over another port; later the drill is ended and has failed.
  /// Four times what a silent cut takes at the slowest heartbeats of a wired port.
  static constexpr std::chrono::seconds patience_default{5};

  FailoverDrill(boost::asio::io_context& io, Hooks hooks, Duration patience = patience_default);

  /// `port_key`: nullopt: the one that carries the tunnel. Says once how it went: in one line who
  /// took over and how fast. Errors: transient (no tunnel, nobody took over), invalid_input (that
  /// port does not carry it). Pre: none is under way.
  void begin(const std::optional<std::string>& port_key, std::chrono::seconds duration,
             std::function<void(Result<std::string>)> done);
  /// The Console has said something, over a path that is up now.
  void heard();
  void stop();

 private:
  void end(Result<std::string> outcome);

  Hooks hooks_;
  Duration patience_;
  boost::asio::steady_timer timer_;
  std::string from_;                ///< Key of the port.
  std::optional<MonoTime> before_;  ///< Until when it was drained already.
  MonoTime began_{};
  std::chrono::seconds duration_{};
  std::function<void(Result<std::string>)> done_;  ///< Set: one is under way.
};

}  // namespace edge::uplink
