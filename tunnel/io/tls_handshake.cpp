#include "tunnel/io/tls_handshake.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>

#include "tunnel/io/socket_address.hpp"
#include "tunnel/io/tls_engine.hpp"
#include "tunnel/io/tls_stream_impl.hpp"

namespace edge::tunnel {

using asio::ip::tcp;

class Handshake::Impl : public std::enable_shared_from_this<Handshake::Impl> {
 public:
  Impl(tcp::socket socket, std::shared_ptr<const TlsContext> context, HandshakeLimits limits,
       StreamLimits stream)
      : socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        context_(std::move(context)),
        limits_(limits),
        stream_limits_(stream) {}

  void start(Done done, std::function<void()> drained) {
    done_ = std::move(done);
    drained_ = std::move(drained);
    timer_.expires_after(limits_.deadline);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
      if (!ec && self->phase_ == Phase::shaking) { self->on_deadline(); }
    });
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->begin(); });
  }

  void cancel() {
    if (phase_ == Phase::shaking) { finish_drain(); }
  }

 private:
  enum class Phase : std::uint8_t { shaking, draining, over };

  void begin() {
    if (phase_ != Phase::shaking) { return; }
    auto engine = TlsEngine::create(context_, socket_.native_handle());
    if (!engine) { return refuse({PathFailure::local, engine.error().what}); }
    engine_ = std::move(*engine);
    step();
  }

  void step() {
    switch (engine_->handshake()) {
      case TlsWant::nothing: return succeed();
      case TlsWant::read: return wait(tcp::socket::wait_read);
      case TlsWant::write: return wait(tcp::socket::wait_write);
      case TlsWant::failed: return refuse(engine_->failure());
    }
  }

  void wait(tcp::socket::wait_type type) {
    socket_.async_wait(type, [self = shared_from_this()](const boost::system::error_code& ec) {
      if (!ec && self->phase_ == Phase::shaking) { self->step(); }
    });
  }

  void succeed() {
    phase_ = Phase::over;
    timer_.cancel();
    auto stream = std::make_unique<TlsStream>(
        std::make_shared<TlsStream::Impl>(std::move(socket_), std::move(engine_), stream_limits_));
    const Done done = std::exchange(done_, nullptr);
    drained_ = nullptr;
    done(std::move(stream));
  }

  void on_deadline() {
    const AddressPort peer = remote_address(socket_.native_handle());
    refuse({PathFailure::tls_timeout,
            fmt::format("{} accepts TCP but the TLS handshake was not done within {} ms",
                        to_string(HostPort{to_string(peer.address), peer.port}),
                        std::chrono::floor<std::chrono::milliseconds>(limits_.deadline).count())});
  }

  void refuse(PathError why) {
    phase_ = Phase::draining;
    engine_.reset();
    boost::system::error_code gone;
    socket_.shutdown(tcp::socket::shutdown_send, gone);
    const Done done = std::exchange(done_, nullptr);
    if (gone || why.cause == PathFailure::tls_timeout) {
      finish_drain_later();
    } else {
      timer_.expires_after(limits_.refusal_drain);
      timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
        if (!ec) { self->finish_drain(); }
      });
      drain();
    }
    done(std::unexpected(std::move(why)));
  }

  void drain() {
    socket_.async_wait(tcp::socket::wait_read,
                       [self = shared_from_this()](const boost::system::error_code& ec) {
                         if (ec || self->phase_ != Phase::draining) { return; }
                         if (self->discard()) { return self->drain(); }
                         self->finish_drain();
                       });
  }

  /// False: the peer has ended too.
  bool discard() {
    std::array<char, 4096> waste;
    for (int i = 0; i < 16; ++i) {
      const ssize_t got = ::recv(socket_.native_handle(), waste.data(), waste.size(), MSG_DONTWAIT);
      if (got == 0) { return false; }
      if (got < 0) { return errno == EAGAIN || errno == EINTR; }
    }
    return true;
  }

  void finish_drain_later() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->finish_drain(); });
  }

  void finish_drain() {
    if (phase_ == Phase::over) { return; }
    phase_ = Phase::over;
    timer_.cancel();
    boost::system::error_code ignored;
    socket_.close(ignored);
    engine_.reset();
    done_ = nullptr;
    if (const auto drained = std::exchange(drained_, nullptr)) { drained(); }
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  std::shared_ptr<const TlsContext> context_;
  HandshakeLimits limits_;
  StreamLimits stream_limits_;
  std::unique_ptr<TlsEngine> engine_;
  Phase phase_ = Phase::shaking;
  Done done_;
  std::function<void()> drained_;
};

Handshake::Handshake(tcp::socket socket, std::shared_ptr<const TlsContext> context,
                     HandshakeLimits limits, StreamLimits stream)
    : impl_(std::make_shared<Impl>(std::move(socket), std::move(context), limits, stream)) {}
Handshake::~Handshake() { impl_->cancel(); }
void Handshake::start(Done done, std::function<void()> drained) {
  impl_->start(std::move(done), std::move(drained));
}

}  // namespace edge::tunnel
