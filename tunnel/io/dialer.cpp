#include "tunnel/io/dialer.hpp"

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

#include "base/assert.hpp"
#include "tunnel/io/http_ask.hpp"
#include "tunnel/io/tcp_race.hpp"
#include "tunnel/io/tls_handshake.hpp"

namespace edge::tunnel {
namespace {

using Clock = std::chrono::steady_clock;

/// What a portal does to a connection that it does not let through.
bool portal_may_be_behind(PathFailure cause) {
  switch (cause) {
    case PathFailure::tcp_refused:
    case PathFailure::tcp_timeout:
    case PathFailure::tcp_unreachable:
    case PathFailure::tls_identity:
    case PathFailure::tls_protocol:
    case PathFailure::tls_timeout:
    case PathFailure::console: return true;
    case PathFailure::carrier:
    case PathFailure::lease:
    case PathFailure::gateway:
    case PathFailure::dns:
    case PathFailure::proxy:
    case PathFailure::proxy_auth:
    case PathFailure::portal:
    case PathFailure::tls_expired:
    case PathFailure::clock:
    case PathFailure::tls_rejected:
    case PathFailure::silence:
    case PathFailure::closed:
    case PathFailure::local: return false;
  }
  return false;
}

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
    if (request_.proxy) { request_.last_good.clear(); }  // Those are the Console's.
  }

  void start() {
    ResolveRequest request{.host = server().host,
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
  /// Whom TCP goes to.
  const HostPort& server() const { return request_.proxy ? request_.proxy->at : request_.endpoint; }
  std::string proxy_word() const { return "the proxy " + to_string(request_.proxy->at); }

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
      if (request_.last_good.empty()) {
        PathError error = std::move(result.error());
        if (request_.proxy) { error.text = fmt::format("{}: {}", proxy_word(), error.text); }
        return fail({std::move(error), std::nullopt, {}});
      }
      addresses = request_.last_good;
      dns_degraded_ = result.error().text;
    }
    connect(usable(std::move(addresses)));
  }

  /// DNS may lie, or name addresses that are no longer, or not yet, the Console's: what worked
  /// before gets its turn, once. Returns false when there is nothing else to try.
  bool turn_to_last_good(const PathError& why, const std::optional<IpAddress>& tried) {
    std::vector<IpAddress> known = request_.last_good;
    std::erase_if(known, [this](const IpAddress& a) {
      return std::ranges::find(resolved_, a) != resolved_.end();
    });
    known = usable(std::move(known));
    if (resolved_.empty() || known.empty()) { return false; }
    resolved_.clear();
    dns_degraded_ = "what DNS names does not work: " + why.text;
    misled_ = DialFailure{why, tried, dns_degraded_};
    connect(std::move(known));
    return true;
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
          {{PathFailure::lease,
            fmt::format("\"{}\" has no address of a family that this port has", server().host)},
           std::nullopt,
           dns_degraded_});
    }
    TcpRaceRequest race{.addresses = std::move(addresses),
                        .port = server().port,
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
    // Not destroyed here: we may be inside its callback.
    finished_race_ = std::move(race_);
    if (!result) {
      if (turn_to_last_good(result.error().error, result.error().address)) { return; }
      PathError error = std::move(result.error().error);
      if (request_.proxy && classify(error.cause) == "tcp" && error.cause != PathFailure::local) {
        error = {PathFailure::proxy,
                 fmt::format("{} is out of reach: {}", proxy_word(), error.text)};
      }
      return fail({std::move(error), result.error().address, dns_degraded_});
    }
    address_ = result->address;
    if (request_.proxy) { return ask_proxy(std::move(result->socket)); }
    shake_hands(std::move(result->socket));
  }

  void ask_proxy(asio::ip::tcp::socket socket) {
    HttpQuestion question{
        .request = connect_request(request_.endpoint, request_.proxy->credentials),
        .whom = proxy_word(),
        .otherwise = PathFailure::proxy,
        .deadline = request_.limits.proxy};
    const auto weak = weak_from_this();
    ask_ = std::make_unique<HttpAsk>(std::move(socket), std::move(question),
                                     [weak](PathResult<HttpAnswer> answer) {
                                       if (const auto self = weak.lock()) {
                                         self->on_proxy_answer(std::move(answer));
                                       }
                                     });
  }

  void on_proxy_answer(PathResult<HttpAnswer> answer) {
    times_.connect += lap();
    finished_ask_ = std::move(ask_);
    if (!answer) { return fail({std::move(answer.error()), address_, dns_degraded_}); }
    if (const auto refusal = proxy_refusal(answer->head, request_.proxy->credentials.user)) {
      return fail({{refusal->credentials ? PathFailure::proxy_auth : PathFailure::proxy,
                    fmt::format("{}: {}", proxy_word(), refusal->text)},
                   address_,
                   dns_degraded_});
    }
    if (answer->surplus > 0) {  // In TLS the client speaks first.
      return fail({{PathFailure::proxy,
                    fmt::format("{}: {} bytes came behind its answer, before we said anything",
                                proxy_word(), answer->surplus)},
                   address_,
                   dns_degraded_});
    }
    shake_hands(std::move(answer->socket));
  }

  void shake_hands(asio::ip::tcp::socket socket) {
    const HandshakeLimits limits{.deadline = request_.limits.tls};
    handshake_ = std::make_unique<Handshake>(std::move(socket), tls_, limits, request_.stream);
    const auto weak = weak_from_this();
    handshake_->start([weak](PathResult<std::unique_ptr<TlsStream>> stream) {
      if (const auto self = weak.lock()) { self->on_shaken(std::move(stream)); }
    });
  }

  void on_shaken(PathResult<std::unique_ptr<TlsStream>> stream) {
    times_.tls = lap();
    if (!stream) {
      PathError error = std::move(stream.error());
      const std::string whom =
          request_.proxy ? fmt::format("{} through {}", to_string(request_.endpoint), proxy_word())
                         : to_string(HostPort{to_string(address_), request_.endpoint.port});
      error.text = fmt::format("{}: {}", whom, error.text);
      finished_handshake_ = std::move(handshake_);
      if (turn_to_last_good(error, address_)) { return; }
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
    if (misled_) { failure = *std::move(misled_); }  // It says more than that the old one is gone.
    const bool ask = request_.portal_check && !request_.proxy;
    if (ask && portal_may_be_behind(failure.error.cause)) {
      return look_for_portal(std::move(failure));
    }
    finish_failed(std::move(failure));
  }

  void look_for_portal(DialFailure failure) {
    PortalProbeRequest request{.check = *request_.portal_check,
                               .binding = request_.binding,
                               .dns_servers = request_.dns_servers,
                               .resolve = request_.resolve};
    probe_ = std::make_unique<PortalProbe>(
        executor_, std::move(request),
        [weak = weak_from_this(),
         why = std::move(failure)](const std::optional<std::string>& sign) mutable {
          const auto self = weak.lock();
          if (!self) { return; }
          if (sign) {
            why.error = {PathFailure::portal, fmt::format("a captive portal: {}; the Console: {}",
                                                          *sign, why.error.text)};
          }
          self->finish_failed(std::move(why));
        });
  }

  void finish_failed(DialFailure failure) {
    const Done done = std::exchange(done_, nullptr);
    if (done) { done(std::unexpected(std::move(failure))); }
  }

  void stop() {
    dns_timer_.cancel();
    resolve_.reset();
    race_.reset();
    ask_.reset();
    handshake_.reset();
    probe_.reset();
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
  std::unique_ptr<TcpRace> finished_race_;
  std::unique_ptr<HttpAsk> ask_;
  std::unique_ptr<HttpAsk> finished_ask_;
  std::unique_ptr<PortalProbe> probe_;
  std::unique_ptr<Handshake> handshake_;
  std::unique_ptr<Handshake> finished_handshake_;
  std::optional<DialFailure> misled_;  ///< By DNS: how its addresses failed.
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
