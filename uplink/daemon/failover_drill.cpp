#include "uplink/daemon/failover_drill.hpp"

#include <fmt/format.h>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

FailoverDrill::FailoverDrill(boost::asio::io_context& io, Hooks hooks, Duration patience)
    : hooks_(std::move(hooks)), patience_(patience), timer_(io) {}

void FailoverDrill::begin(const std::optional<std::string>& port_key, std::chrono::seconds duration,
                          std::function<void(Result<std::string>)> done) {
  const auto active = hooks_.active();
  if (!active) {
    done(fail(Errc::transient, "no path carries the tunnel now: there is nothing to fail over"));
    return;
  }
  if (port_key && *port_key != active->port) {
    done(fail(Errc::invalid_input,
              fmt::format("port {} does not carry the tunnel, {} does: a drill there would show "
                          "nothing",
                          hooks_.name(*port_key), hooks_.name(active->port))));
    return;
  }
  from_ = active->port;
  before_ = hooks_.drained_until ? hooks_.drained_until(from_) : std::nullopt;
  began_ = mono_now();
  duration_ = duration;
  done_ = std::move(done);
  timer_.expires_after(patience_);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec || !done_) { return; }
    hooks_.drain(from_, seconds_until(before_, mono_now()));
    hooks_.tell({{"from", hooks_.name(from_)}, {"to", nullptr}, {"ms", nullptr}});
    end(fail(Errc::transient,
             fmt::format("the Console answered over no other port within {} ms; the drill is "
                         "ended, "
                         "{} carries on",
                         patience_ / std::chrono::milliseconds(1), hooks_.name(from_))));
  });
  hooks_.drain(from_, duration);
}

void FailoverDrill::heard() {
  if (!done_) { return; }
  const auto active = hooks_.active();
  if (!active || active->port == from_) { return; }
  const auto ms = (mono_now() - began_) / std::chrono::milliseconds(1);
  const std::string from = hooks_.name(from_);
  const std::string to = hooks_.name(active->port);
  hooks_.tell({{"from", from}, {"to", to}, {"ms", ms}, {"seconds", duration_.count()}});
  end(
      fmt::format("{} works: the Console answered over it {} ms after the tunnel was taken off {}, "
                  "which is left out for {} s",
                  to, ms, from, duration_.count()));
}

void FailoverDrill::stop() { timer_.cancel(); }

void FailoverDrill::end(Result<std::string> outcome) {
  timer_.cancel();
  std::exchange(done_, nullptr)(std::move(outcome));
}

}  // namespace edge::uplink
