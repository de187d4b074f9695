#include "tunnel/io/portal_probe.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>

#include <utility>

#include "tunnel/io/http_ask.hpp"
#include "tunnel/io/tcp_race.hpp"

namespace edge::tunnel {

class PortalProbe::Impl : public std::enable_shared_from_this<PortalProbe::Impl> {
 public:
  Impl(asio::any_io_executor executor, PortalProbeRequest request, Done done)
      : executor_(executor),
        timer_(executor),
        request_(std::move(request)),
        done_(std::move(done)) {}

  void start() {
    const auto weak = weak_from_this();
    timer_.expires_after(request_.deadline);
    timer_.async_wait([weak](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (self && !ec) { self->finish(std::nullopt); }
    });
    ResolveRequest name{.host = request_.check.at.host,
                        .servers = request_.dns_servers,
                        .binding = request_.binding,
                        .limits = request_.resolve};
    resolve_ = std::make_unique<Resolve>(executor_, std::move(name),
                                         [weak](const PathResult<Resolved>& result) {
                                           if (const auto self = weak.lock()) {
                                             self->on_resolved(result);
                                           }
                                         });
  }

  void cancel() {
    done_ = nullptr;
    timer_.cancel();
    resolve_.reset();
    race_.reset();
    ask_.reset();
  }

 private:
  void on_resolved(const PathResult<Resolved>& result) {
    if (!done_ || !result) { return finish(std::nullopt); }
    TcpRaceRequest race{.port = request_.check.at.port, .binding = request_.binding};
    for (const IpAddress& address : result->addresses) {
      const bool fits = request_.binding.allows(address.family);
      if (fits && race.addresses.size() < 2) { race.addresses.push_back(address); }
    }
    if (race.addresses.empty()) { return finish(std::nullopt); }
    race_ = std::make_unique<TcpRace>(
        executor_, std::move(race),
        [weak = weak_from_this()](std::expected<TcpWinner, TcpLoss> connected) {
          if (const auto self = weak.lock()) { self->on_connected(std::move(connected)); }
        });
  }

  void on_connected(std::expected<TcpWinner, TcpLoss> result) {
    if (!done_ || !result) { return finish(std::nullopt); }
    HttpQuestion question{.request = get_request(request_.check.at, request_.check.path),
                          .whom = {},
                          .otherwise = PathFailure::portal,
                          .deadline = request_.deadline};
    ask_ = std::make_unique<HttpAsk>(std::move(result->socket), std::move(question),
                                     [weak = weak_from_this()](PathResult<HttpAnswer> answer) {
                                       const auto self = weak.lock();
                                       if (self) { self->on_answer(answer); }
                                     });
  }

  void on_answer(const PathResult<HttpAnswer>& answer) {
    finish(answer ? portal_sign(answer->head, request_.check.at.host) : std::nullopt);
  }

  void finish(std::optional<std::string> sign) {
    timer_.cancel();
    if (sign) {
      sign = fmt::format("asked for http://{}{}, {}", to_string(request_.check.at),
                         request_.check.path, *sign);
    }
    const Done done = std::exchange(done_, nullptr);
    if (done) { done(std::move(sign)); }
  }

  asio::any_io_executor executor_;
  asio::steady_timer timer_;
  PortalProbeRequest request_;
  Done done_;
  // Kept until the end: each is still inside its callback when the next one begins.
  std::unique_ptr<Resolve> resolve_;
  std::unique_ptr<TcpRace> race_;
  std::unique_ptr<HttpAsk> ask_;
};

PortalProbe::PortalProbe(asio::any_io_executor executor, PortalProbeRequest request, Done done)
    : impl_(std::make_shared<Impl>(executor, std::move(request), std::move(done))) {
  impl_->start();
}
PortalProbe::~PortalProbe() { impl_->cancel(); }

}  // namespace edge::tunnel
