#include "tunnel/io/listener.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/assert.hpp"
#include "base/unique_fd.hpp"
#include "tunnel/io/socket_address.hpp"
#include "tunnel/io/tls_handshake.hpp"

namespace edge::tunnel {
namespace {

using asio::ip::tcp;

constexpr int accepts_per_turn = 16;
constexpr auto accept_pause = std::chrono::milliseconds(100);  // Out of descriptors or memory.

using Clock = std::chrono::steady_clock;

/// True while the peer has neither ended nor reset the connection.
bool still_there(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         info.tcpi_state == TCP_ESTABLISHED;
}

tcp protocol_of(Family family) { return family == Family::v4 ? tcp::v4() : tcp::v6(); }

Result<UniqueFd> listening_socket(const ListenerOptions& options) {
  const int family = options.address.family == Family::v4 ? AF_INET : AF_INET6;
  const std::string where = to_string(HostPort{to_string(options.address), options.port});
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) { return fail_errno(errno, "listen on " + where); }
  const int on = 1;
  const SocketAddress address = to_socket_address(options.address, options.port);
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (family == AF_INET6 &&
       ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
      ::bind(fd.get(), address.get(), address.size) != 0 ||
      ::listen(fd.get(), options.limits.backlog) != 0) {
    return fail_errno(errno, "listen on " + where);
  }
  return fd;
}

}  // namespace

ListenerLimits share_of(ListenerLimits all, std::size_t doors) {
  doors = std::max<std::size_t>(doors, 1);
  all.handshaking_max = std::max(all.handshaking_max / doors,
                                 std::min(all.handshaking_max, all.handshaking_per_source_max));
  if (all.handshakes_per_s == 0) { return all; }
  all.handshakes_per_s = std::max(1U, all.handshakes_per_s / static_cast<unsigned>(doors));
  all.backlog = static_cast<int>(2 * all.handshakes_per_s);  // Who waits longer has given up.
  return all;
}

class Listener::Impl : public std::enable_shared_from_this<Listener::Impl> {
 public:
  Impl(asio::any_io_executor executor, std::shared_ptr<const TlsContext> tls,
       ListenerOptions options, ListenerCallbacks callbacks)
      : executor_(executor),
        acceptor_(executor),
        pause_(executor),
        stale_timer_(executor),
        tls_(std::move(tls)),
        options_(options),
        callbacks_(std::make_shared<ListenerCallbacks>(std::move(callbacks))) {}

  void take(UniqueFd fd) {
    port_ = local_address(fd.get()).port;
    acceptor_.assign(protocol_of(options_.address.family), fd.release());
    wait();
  }
  void stop() {
    stopped_ = true;
    callbacks_.reset();
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    stale_timer_.cancel();
    handshakes_.clear();
  }
  std::uint16_t port() const { return port_; }
  std::size_t handshaking() const { return busy_; }
  std::uint64_t dropped_stale() const { return dropped_stale_; }
  std::uint64_t left_before_turn() const { return left_before_turn_; }
  void set_context(std::shared_ptr<const TlsContext> tls) { tls_ = std::move(tls); }

 private:
  bool full() const { return busy_ >= options_.limits.handshaking_max; }

  void wait() {
    if (stopped_ || waiting_ || pausing_) { return; }
    if (full() && !oldest_is_stale()) { return wait_for_stale(); }
    waiting_ = true;
    acceptor_.async_wait(tcp::acceptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& ec) {
                           self->waiting_ = false;
                           if (!ec && !self->stopped_) { self->accept_some(); }
                         });
  }

  void accept_some() {
    for (int i = 0; i < accepts_per_turn && !stopped_; ++i) {
      // Only for the first one it is known that it waits.
      if (full() && (i > 0 || !drop_stale())) { break; }
      if (const auto early = before_next_turn(); early > Clock::duration::zero()) {
        return pause(early);
      }
      sockaddr_storage storage{};
      socklen_t size = sizeof storage;
      UniqueFd fd(::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&storage), &size,
                            SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          return pause(accept_pause);
        }
        if (errno == ECONNABORTED || errno == EINTR) { continue; }
        break;  // EAGAIN, and pending network errors of the new socket: accept(2).
      }
      if (!still_there(fd.get())) {
        ++left_before_turn_;
        continue;
      }
      welcome(std::move(fd), from_socket_address(storage).address);
    }
    wait();
  }

  /// How much too early it is for one more handshake; a tenth of a second's worth may come at once.
  Clock::duration before_next_turn() {
    const unsigned rate = options_.limits.handshakes_per_s;
    if (rate == 0) { return Clock::duration::zero(); }
    const auto now = Clock::now();
    next_turn_ = std::max(next_turn_, now - std::chrono::milliseconds(100));
    return next_turn_ - now;
  }
  void take_turn() {
    const unsigned rate = options_.limits.handshakes_per_s;
    if (rate != 0) { next_turn_ += Clock::duration(std::chrono::seconds(1)) / rate; }
  }

  bool oldest_is_stale() const {
    return !handshakes_.empty() &&
           Clock::now() >= handshakes_.begin()->second.began + options_.limits.stale_after;
  }
  /// Room for one more, if the oldest handshake has had its time.
  bool drop_stale() {
    if (!oldest_is_stale()) { return false; }
    ++dropped_stale_;
    const auto dropped = handshakes_.extract(handshakes_.begin());  // Its end calls settle().
    return true;
  }
  /// Pre: full(). One that ends comes first, mostly.
  void wait_for_stale() {
    if (handshakes_.empty()) { return; }  // All of them drain, which is short.
    stale_timer_.expires_at(handshakes_.begin()->second.began + options_.limits.stale_after);
    stale_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
      if (!ec) { self->wait(); }
    });
  }

  void pause(Clock::duration time) {
    pausing_ = true;
    pause_.expires_after(time);
    pause_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
      self->pausing_ = false;
      if (!ec) { self->wait(); }
    });
  }

  void refuse(UniqueFd fd, const IpAddress& source, const PathError& why) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    fd.reset();
    const auto keep = callbacks_;
    if (keep && keep->on_refused) { keep->on_refused(source, why); }
  }

  void welcome(UniqueFd fd, const IpAddress& source) {
    const auto keep = callbacks_;
    if (keep->admit && !keep->admit(source)) {
      return refuse(std::move(fd), source, {PathFailure::console, "not admitted now"});
    }
    if (stopped_) { return; }
    if (const auto it = per_source_.find(source);
        it != per_source_.end() && it->second >= options_.limits.handshaking_per_source_max) {
      return refuse(
          std::move(fd), source,
          {PathFailure::console,
           fmt::format("{} unfinished handshakes from {}, at most {} are allowed", it->second,
                       to_string(source), options_.limits.handshaking_per_source_max)});
    }
    if (const auto tuned = tune_tcp(fd.get(), source.family, options_.tcp); !tuned) {
      return refuse(std::move(fd), source, {PathFailure::local, tuned.error().what});
    }
    shake(std::move(fd), source);
  }

  void shake(UniqueFd fd, const IpAddress& source) {
    tcp::socket socket(executor_);
    socket.assign(protocol_of(source.family), fd.release());
    const std::uint64_t id = next_id_++;
    ++busy_;
    ++per_source_[source];
    const HandshakeLimits limits{.deadline = options_.limits.tls,
                                 .refusal_drain = options_.limits.refusal_drain};
    auto handshake = std::make_unique<Handshake>(std::move(socket), tls_, limits, options_.stream);
    Handshake& running = *handshake;
    handshakes_.emplace(id, Running{std::move(handshake), Clock::now()});
    take_turn();
    const auto weak = weak_from_this();
    running.start(
        [weak, id, source](PathResult<std::unique_ptr<TlsStream>> result) {
          if (const auto self = weak.lock()) { self->on_done(id, source, std::move(result)); }
        },
        [weak, source] {
          if (const auto self = weak.lock()) { self->settle(source); }
        });
  }

  void on_done(std::uint64_t id, const IpAddress& source,
               PathResult<std::unique_ptr<TlsStream>> result) {
    handshakes_.erase(id);
    const auto keep = callbacks_;
    if (result) { settle(source); }  // A refused one still drains.
    if (!keep) { return; }
    if (result) {
      if (keep->on_stream) { keep->on_stream(std::move(*result)); }
    } else if (keep->on_refused) {
      keep->on_refused(source, result.error());
    }
  }

  void settle(const IpAddress& source) {
    --busy_;
    if (const auto it = per_source_.find(source); it != per_source_.end() && --it->second == 0) {
      per_source_.erase(it);
    }
    wait();
  }

  struct Running {
    std::unique_ptr<Handshake> handshake;
    Clock::time_point began;
  };

  asio::any_io_executor executor_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;        ///< Until the next turn, or until there are descriptors again.
  asio::steady_timer stale_timer_;  ///< When the oldest handshake may be dropped.
  std::shared_ptr<const TlsContext> tls_;
  ListenerOptions options_;
  std::shared_ptr<ListenerCallbacks> callbacks_;
  std::map<std::uint64_t, Running> handshakes_;  ///< In order of age.
  std::map<IpAddress, std::size_t> per_source_;
  std::size_t busy_ = 0;
  std::uint64_t next_id_ = 0;
  std::uint16_t port_ = 0;
  Clock::time_point next_turn_{};
  std::uint64_t dropped_stale_ = 0;
  std::uint64_t left_before_turn_ = 0;
  bool waiting_ = false;
  bool pausing_ = false;
  bool stopped_ = false;
};

Result<std::unique_ptr<Listener>> Listener::open(asio::any_io_executor executor,
                                                 std::shared_ptr<const TlsContext> tls,
                                                 ListenerOptions options,
                                                 ListenerCallbacks callbacks) {
  EDGE_ASSERT(tls && tls->role() == TlsRole::server);
  EDGE_ASSIGN(UniqueFd fd, listening_socket(options));
  auto impl = std::make_shared<Impl>(executor, std::move(tls), options, std::move(callbacks));
  impl->take(std::move(fd));
  return std::unique_ptr<Listener>(new Listener(std::move(impl)));
}

Listener::Listener(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() { impl_->stop(); }
std::uint16_t Listener::port() const { return impl_->port(); }
std::size_t Listener::handshaking() const { return impl_->handshaking(); }
std::uint64_t Listener::dropped_stale() const { return impl_->dropped_stale(); }
std::uint64_t Listener::left_before_turn() const { return impl_->left_before_turn(); }
void Listener::set_context(std::shared_ptr<const TlsContext> tls) {
  impl_->set_context(std::move(tls));
}

}  // namespace edge::tunnel
