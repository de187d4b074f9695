// Receives the messages of one child's hook.
#include "dhcp/io/hook_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstring>
#include <vector>

#include "base/throttle.hpp"
#include "base/unique_fd.hpp"
#include "dhcp/io/clock.hpp"

namespace edge::dhcp {
namespace asio = boost::asio;

namespace {
constexpr int backlog = 256;
constexpr std::chrono::seconds message_patience{2};
constexpr std::uint32_t refusals_burst = 5;
constexpr std::chrono::seconds refusals_period{10};

bool is_our_user(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == geteuid();
}
}  // namespace

struct HookServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& io, std::string socket_path, OnEvent event_handler,
       OnRefused refused_handler)
      : path(std::move(socket_path)),
        on_event(std::move(event_handler)),
        on_refused(std::move(refused_handler)),
        listener(io),
        connection(io),
        patience(io) {}

  void accept_next() {
    listener.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](boost::system::error_code error) {
                          if (!error && !self->closed) { self->accept_one(); }
                        });
  }

  void accept_one() {
    UniqueFd fd(accept4(listener.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd || !is_our_user(fd.get())) {
      accept_next();
      return;
    }
    connection.assign(fd.release());
    patience.expires_after(message_patience);
    patience.async_wait([self = shared_from_this()](boost::system::error_code error) {
      // A timer that lost the race against its message may cut the next one short: 2 s are plenty.
      if (!error && !self->closed && self->connection.is_open()) { self->connection.cancel(); }
    });
    connection.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (!self->closed) { self->receive(error); }
                          });
  }

  void receive(boost::system::error_code error) {
    ssize_t length = -1;
    if (!error) {
      // MSG_TRUNC: the true length, so that a message above the limit is seen as such and refused.
      length = recv(connection.native_handle(), buffer.data(), buffer.size(), MSG_TRUNC);
    }
    patience.cancel();
    connection.close();
    accept_next();
    if (length <= 0) { return; }  // Nobody said anything.
    const auto size_bytes = static_cast<std::size_t>(length);
    if (size_bytes > buffer.size()) {
      refuse(fmt::format("hook datagram: {} bytes; at most {} are allowed", size_bytes,
                         hook_datagram_bytes_max));
      return;
    }
    const auto event = parse_hook_event(std::string_view(buffer.data(), size_bytes));
    if (!event) {
      refuse(event.error().what);
      return;
    }
    on_event(*event);
  }

  void refuse(const std::string& why) {
    if (const auto held_back = refusals.pass(mono_now())) { on_refused(why, *held_back); }
  }

  std::string path;
  OnEvent on_event;
  OnRefused on_refused;
  Throttle refusals{refusals_burst, refusals_period};
  asio::posix::stream_descriptor listener;
  asio::posix::stream_descriptor connection;  ///< The one being read.
  asio::steady_timer patience;
  std::vector<char> buffer = std::vector<char>(hook_datagram_bytes_max);
  bool closed = false;
};

HookServer::HookServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

HookServer::~HookServer() {
  impl_->closed = true;
  impl_->listener.close();
  if (impl_->connection.is_open()) { impl_->connection.close(); }
  impl_->patience.cancel();
  unlink(impl_->path.c_str());
}

Result<std::unique_ptr<HookServer>> HookServer::listen(asio::io_context& io, std::string path,
                                                       OnEvent on_event, OnRefused on_refused) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(
        Errc::invalid_input,
        fmt::format("hook socket \"{}\": {} bytes, 1..{} are allowed; choose a shorter runtime "
                    "folder",
                    path, path.size(), sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) { return fail_errno(errno, "make hook socket"); }
  unlink(path.c_str());
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(errno, "bind hook socket " + path);
  }
  if (::listen(fd.get(), backlog) != 0) { return fail_errno(errno, "listen on " + path); }
  auto impl =
      std::make_shared<Impl>(io, std::move(path), std::move(on_event), std::move(on_refused));
  impl->listener.assign(fd.release());
  impl->accept_next();
  return std::unique_ptr<HookServer>(new HookServer(std::move(impl)));
}

}  // namespace edge::dhcp
