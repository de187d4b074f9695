#include "tunnel/io/dialer.hpp"

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

#include "base/assert.hpp"
#include "tunnel/io/tcp_race.hpp"
#include "tunnel/io/tls_handshake.hpp"

namespace edge::tunnel {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

class Dial::Impl : public std::enable_shared_from_this<Dial::Impl> {
 public:
  Impl(asio::any_io_executor executor, std::shared_ptr<const TlsContext> tls, DialRequest request,
       Done done)
      : executor_(executor),
        dns_timer_(executor),
        tls_(std::move(tls)),
        request_(std::move(request)),
        done_(std::move(done)),
        step_began_(Clock::now()) {
    EDGE_ASSERT(tls_ && tls_->role() == TlsRole::client);
  }

  void start() {
    ResolveRequest request{.host = request_.endpoint.host,
                           .servers = request_.dns_servers,
                           .binding = request_.binding,
                           .limits = request_.resolve};
    const auto weak = weak_from_this();
    resolve_ = std::make_unique<Resolve>(executor_, std::move(request),
                                         [weak](PathResult<Resolved> result) {
                                           if (const auto self = weak.lock()) {
                                             self->on_resolved(std::move(result));
                                           }
                                         });
    if (request_.last_good.empty()) { return; }
    dns_timer_.expires_after(request_.limits.dns_with_last_good);
    dns_timer_.async_wait([weak](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (self && !ec && self->resolve_) { self->on_dns_too_slow(); }
    });
  }

  void cancel() {
    done_ = nullptr;
    stop();
  }

 private:
  Duration lap() {
    const auto now = Clock::now();
    return now - std::exchange(step_began_, now);
  }

  void on_dns_too_slow() {
    const auto ms =
        std::chrono::floor<std::chrono::milliseconds>(request_.limits.dns_with_last_good).count();
    resolve_.reset();
    on_resolved(path_fail(PathFailure::dns, fmt::format("\"{}\": no DNS answer within {} ms",
                                                        request_.endpoint.host, ms)));
  }

  void on_resolved(PathResult<Resolved> result) {
    dns_timer_.cancel();
    // Not destroyed here: we may be inside its callback.
    finished_resolve_ = std::move(resolve_);
    times_.resolve = lap();
    std::vector<IpAddress> addresses;
    if (result) {
      addresses = result->addresses;
      resolved_ = std::move(result->addresses);
    } else {
      if (request_.last_good.empty()) { return fail({result.error(), std::nullopt, {}}); }
      addresses = request_.last_good;
      dns_degraded_ = result.error().text;
    }
    connect(usable(std::move(addresses)));
  }

  /// Families this path has, rotated by the attempt, bounded.
  std::vector<IpAddress> usable(std::vector<IpAddress> addresses) const {
    std::erase_if(addresses,
                  [this](const IpAddress& a) { return !request_.binding.allows(a.family); });
    if (!addresses.empty()) {
      const auto shift = static_cast<std::ptrdiff_t>(request_.attempt % addresses.size());
      std::rotate(addresses.begin(), addresses.begin() + shift, addresses.end());
    }
    if (addresses.size() > DialLimits::addresses_max) {
      addresses.resize(DialLimits::addresses_max);
    }
    return addresses;
  }

  void connect(std::vector<IpAddress> addresses) {
    if (addresses.empty()) {
      return fail(
          {{PathFailure::lease, fmt::format("\"{}\" has no address of a family that this port has",
                                            request_.endpoint.host)},
           std::nullopt,
           dns_degraded_});
    }
    TcpRaceRequest race{.addresses = std::move(addresses),
                        .port = request_.endpoint.port,
                        .binding = request_.binding,
                        .tuning = request_.tcp,
                        .gateway = request_.gateway,
                        .per_attempt = request_.limits.connect,
                        .stagger = request_.limits.happy_eyeballs};
    const auto weak = weak_from_this();
    race_ = std::make_unique<TcpRace>(executor_, std::move(race),
                                      [weak](std::expected<TcpWinner, TcpLoss> result) {
                                        if (const auto self = weak.lock()) {
                                          self->on_connected(std::move(result));
                                        }
                                      });
  }

  void on_connected(std::expected<TcpWinner, TcpLoss> result) {
    times_.connect = lap();
    if (!result) {
      return fail({std::move(result.error().error), result.error().address, dns_degraded_});
    }
    address_ = result->address;
    const HandshakeLimits limits{.deadline = request_.limits.tls};
    handshake_ =
        std::make_unique<Handshake>(std::move(result->socket), tls_, limits, request_.stream);
    const auto weak = weak_from_this();
    handshake_->start([weak](PathResult<std::unique_ptr<TlsStream>> stream) {
      if (const auto self = weak.lock()) { self->on_shaken(std::move(stream)); }
    });
  }

  void on_shaken(PathResult<std::unique_ptr<TlsStream>> stream) {
    times_.tls = lap();
    if (!stream) {
      PathError error = std::move(stream.error());
      error.text = fmt::format(
          "{}: {}", to_string(HostPort{to_string(address_), request_.endpoint.port}), error.text);
      return fail({std::move(error), address_, dns_degraded_});
    }
    const Done done = std::exchange(done_, nullptr);
    if (done) {
      done(DialSuccess{.stream = std::move(*stream),
                       .address = address_,
                       .resolved = resolved_,
                       .dns_degraded = dns_degraded_,
                       .times = times_});
    }
  }

  void fail(DialFailure failure) {
    const Done done = std::exchange(done_, nullptr);
    if (done) { done(std::unexpected(std::move(failure))); }
  }

  void stop() {
    dns_timer_.cancel();
    resolve_.reset();
    race_.reset();
    handshake_.reset();
  }

  asio::any_io_executor executor_;
  asio::steady_timer dns_timer_;
  std::shared_ptr<const TlsContext> tls_;
  DialRequest request_;
  Done done_;
  Clock::time_point step_began_;
  std::unique_ptr<Resolve> resolve_;
  std::unique_ptr<Resolve> finished_resolve_;
  std::unique_ptr<TcpRace> race_;
  std::unique_ptr<Handshake> handshake_;
  std::vector<IpAddress> resolved_;
  std::string dns_degraded_;
  IpAddress address_;
  DialTimes times_;
};

Dial::Dial(asio::any_io_executor executor, std::shared_ptr<const TlsContext> tls,
           DialRequest request, Done done)
    : impl_(std::make_shared<Impl>(executor, std::move(tls), std::move(request), std::move(done))) {
  impl_->start();
}
Dial::~Dial() { impl_->cancel(); }

asio::awaitable<DialResult> dial(std::shared_ptr<const TlsContext> tls, DialRequest request) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer finished(executor, Clock::time_point::max());
  std::optional<DialResult> result;
  const Dial running(executor, std::move(tls), std::move(request), [&](DialResult outcome) {
    result = std::move(outcome);
    finished.cancel();
  });
  co_await finished.async_wait(asio::as_tuple(asio::use_awaitable));
  if (result) { co_return std::move(*result); }
  co_return std::unexpected(DialFailure{{PathFailure::local, "the dial was cancelled"}, {}, {}});
}

}  // namespace edge::tunnel
