#include "tunnel/io/tcp_race.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/assert.hpp"
#include "base/unique_fd.hpp"
#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel {

using asio::ip::tcp;

bool neighbour_is_silent(const IpAddress& neighbour, const std::string& device) {
  if (neighbour.family != Family::v4) { return false; }
  std::ifstream table("/proc/thread-self/net/arp");
  std::string line;
  std::getline(table, line);  // Column names.
  const std::string wanted = to_string(neighbour);
  while (std::getline(table, line)) {
    std::istringstream columns(line);
    std::string address, type, flags, mac, mask, name;
    columns >> address >> type >> flags >> mac >> mask >> name;
    if (address == wanted && (device.empty() || name == device)) { return flags == "0x0"; }
  }
  return false;
}

namespace {

/// The higher, the more it tells a person about what is broken.
int weight(PathFailure cause) {
  switch (cause) {
    case PathFailure::carrier: return 6;
    case PathFailure::lease: return 5;
    case PathFailure::gateway: return 4;
    case PathFailure::tcp_refused: return 3;
    case PathFailure::tcp_unreachable: return 2;
    default: return 1;
  }
}

}  // namespace

class TcpRace::Impl : public std::enable_shared_from_this<TcpRace::Impl> {
 public:
  Impl(asio::any_io_executor executor, TcpRaceRequest request, Done done)
      : executor_(executor),
        stagger_(executor),
        request_(std::move(request)),
        done_(std::move(done)) {
    EDGE_ASSERT(!request_.addresses.empty());
  }

  void start() {
    asio::post(executor_, [self = shared_from_this()] { self->start_next(); });
  }
  void cancel() {
    over_ = true;
    done_ = nullptr;
    stop();
  }

 private:
  struct Attempt {
    Attempt(const asio::any_io_executor& executor, IpAddress to)
        : socket(executor), timer(executor), address(to) {}
    tcp::socket socket;
    asio::steady_timer timer;
    IpAddress address;
    bool over = false;
  };
  using AttemptPtr = std::shared_ptr<Attempt>;

  void start_next() {
    if (over_ || attempts_.size() >= request_.addresses.size()) { return; }
    const IpAddress address = request_.addresses[attempts_.size()];
    auto attempt = std::make_shared<Attempt>(executor_, address);
    attempts_.push_back(attempt);
    ++running_;
    if (attempts_.size() < request_.addresses.size()) {
      stagger_.expires_after(request_.stagger);
      stagger_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
        const auto self = weak.lock();
        if (self && !ec) { self->start_next(); }
      });
    }
    connect(attempt);
  }

  void connect(const AttemptPtr& attempt) {
    const Family family = attempt->address.family;
    UniqueFd fd(::socket(family == Family::v4 ? AF_INET : AF_INET6,
                         SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) { return lose(attempt, PathFailure::local, std::strerror(errno)); }
    auto ready = bind_to_path(fd.get(), family, request_.binding);
    if (ready) { ready = tune_tcp(fd.get(), family, request_.tuning); }
    if (!ready) {
      return lose(attempt, cause_of_connect_errno(ready.error().os_errno), ready.error().what);
    }
    const SocketAddress to = to_socket_address(attempt->address, request_.port);
    const int rc = ::connect(fd.get(), to.get(), to.size);
    const int error = rc == 0 ? 0 : errno;
    if (error != 0 && error != EINPROGRESS) {
      // Said by our own routing table, not by a router on the way.
      const PathFailure cause = error == ENETUNREACH || error == EHOSTUNREACH
                                    ? PathFailure::gateway
                                    : cause_of_connect_errno(error);
      return lose(attempt, cause,
                  cause == PathFailure::gateway ? "no route on this port" : std::strerror(error));
    }
    attempt->socket.assign(family == Family::v4 ? tcp::v4() : tcp::v6(), fd.release());
    wait(attempt);
  }

  void wait(const AttemptPtr& attempt) {
    attempt->timer.expires_after(request_.per_attempt);
    attempt->timer.async_wait(
        [weak = weak_from_this(), attempt](const boost::system::error_code& ec) {
          const auto self = weak.lock();
          if (self && !ec && !attempt->over) { self->on_timeout(attempt); }
        });
    attempt->socket.async_wait(tcp::socket::wait_write, [weak = weak_from_this(), attempt](
                                                            const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (self && !ec && !attempt->over) { self->on_connected(attempt); }
    });
  }

  void on_connected(const AttemptPtr& attempt) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(attempt->socket.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) { return lose(attempt, cause_of_connect_errno(error), std::strerror(error)); }
    over_ = true;
    attempt->over = true;
    TcpWinner winner{.socket = std::move(attempt->socket), .address = attempt->address};
    stop();
    const Done done = std::exchange(done_, nullptr);
    if (done) { done(std::move(winner)); }
  }

  void on_timeout(const AttemptPtr& attempt) {
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(request_.per_attempt).count();
    lose(attempt, PathFailure::tcp_timeout, fmt::format("no answer within {} ms", ms));
  }

  void lose(const AttemptPtr& attempt, PathFailure cause, std::string_view why) {
    close(attempt);
    --running_;
    std::string text =
        fmt::format("TCP to {}{}: {}",
                    to_string(HostPort{to_string(attempt->address), request_.port}), from(), why);
    if (cause == PathFailure::tcp_timeout || cause == PathFailure::tcp_unreachable) {
      cause = look_at_neighbours(attempt->address, cause, text);
    }
    if (!loss_ || weight(cause) > weight(loss_->error.cause)) {
      loss_ = TcpLoss{.error = {cause, std::move(text)}, .address = attempt->address};
    }
    if (attempts_.size() < request_.addresses.size()) {
      stagger_.cancel();
      asio::post(executor_, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) { self->start_next(); }
      });
    } else if (running_ == 0) {
      finish_lost();
    }
  }

  /// ARP tells the link from what is behind it. Without a route for a bound device, the kernel
  /// looks for any address on the link itself (net/ipv4/route.c, "routing tables are wrong").
  PathFailure look_at_neighbours(const IpAddress& address, PathFailure cause,
                                 std::string& text) const {
    const std::string& device = request_.binding.device;
    if (request_.gateway && neighbour_is_silent(*request_.gateway, device)) {
      text += fmt::format("; the gateway {} does not answer ARP", to_string(*request_.gateway));
      return PathFailure::gateway;
    }
    if (neighbour_is_silent(address, device)) {
      text += "; it is looked for on the link itself and does not answer ARP";
      return PathFailure::tcp_unreachable;
    }
    return cause;
  }

  /// " over br001122334455 from 192.168.1.50": which way it was tried.
  std::string from() const {
    std::string text;
    if (!request_.binding.device.empty()) { text += " over " + request_.binding.device; }
    const auto& source =
        request_.binding.source4 ? request_.binding.source4 : request_.binding.source6;
    if (source) { text += " from " + to_string(*source); }
    return text;
  }

  void finish_lost() {
    over_ = true;
    stop();
    // Posted: the first attempt may fail within the first turn.
    asio::post(executor_, [self = shared_from_this()] {
      const Done done = std::exchange(self->done_, nullptr);
      if (done) { done(std::unexpected(std::move(*self->loss_))); }
    });
  }

  static void close(const AttemptPtr& attempt) {
    attempt->over = true;
    attempt->timer.cancel();
    boost::system::error_code ignored;
    attempt->socket.close(ignored);
  }

  void stop() {
    stagger_.cancel();
    for (const AttemptPtr& attempt : attempts_) {
      attempt->timer.cancel();
      if (!attempt->over) { close(attempt); }
    }
  }

  asio::any_io_executor executor_;
  asio::steady_timer stagger_;
  TcpRaceRequest request_;
  Done done_;
  std::vector<AttemptPtr> attempts_;
  std::size_t running_ = 0;
  std::optional<TcpLoss> loss_;
  bool over_ = false;
};

TcpRace::TcpRace(asio::any_io_executor executor, TcpRaceRequest request, Done done)
    : impl_(std::make_shared<Impl>(executor, std::move(request), std::move(done))) {
  impl_->start();
}
TcpRace::~TcpRace() { impl_->cancel(); }

}  // namespace edge::tunnel
