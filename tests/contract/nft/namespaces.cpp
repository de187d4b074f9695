#include "namespaces.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace edge::netmodel::test {
namespace {

void require(bool ok, const std::string& what) {
  if (ok) { return; }
  std::fprintf(stderr, "test set-up failed: %s: %s\n", what.c_str(), std::strerror(errno));
  std::abort();
}

UniqueFd current_namespace() {
  UniqueFd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  require(static_cast<bool>(fd), "open own network namespace");
  return fd;
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const std::string& text, std::uint16_t port) {
  SocketAddress out;
  const IpAddress address = parse_ip(text).value();
  if (address.family == Family::v4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    std::memcpy(&v4->sin_addr, address.bytes.data(), 4);
    out.size = sizeof(sockaddr_in);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    std::memcpy(&v6->sin6_addr, address.bytes.data(), 16);
    out.size = sizeof(sockaddr_in6);
  }
  return out;
}

std::string text_of(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
  } else {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
  }
  return text.data();
}

int type_of(Kind kind) {
  return (kind == Kind::tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
}

bool wait_for(int fd, short events, milliseconds deadline) {
  pollfd one{.fd = fd, .events = events, .revents = 0};
  return ::poll(&one, 1, static_cast<int>(deadline.count())) == 1;
}

UniqueFd client_socket(Namespaces& spaces, const std::string& space, Kind kind,
                       const std::string& to, std::uint16_t port, const std::string& source,
                       std::uint16_t from_port) {
  SocketAddress target = socket_address(to, port);
  UniqueFd fd;
  spaces.inside(space, [&] { fd.reset(::socket(target.storage.ss_family, type_of(kind), 0)); });
  require(static_cast<bool>(fd), "client socket");
  if (!source.empty() || from_port != 0) {
    const int on = 1;
    require(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "reuse address");
    SocketAddress from = socket_address(source.empty() ? "0.0.0.0" : source, from_port);
    require(::bind(fd.get(), from.raw(), from.size) == 0, "bind client to " + source);
  }
  const int connected = ::connect(fd.get(), target.raw(), target.size);
  if (connected != 0 && errno != EINPROGRESS) { fd.reset(); }
  return fd;
}

bool tcp_established(int fd, milliseconds deadline) {
  if (!wait_for(fd, POLLOUT, deadline)) { return false; }
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

std::optional<Seen> answer_tcp(Server& server, int client, milliseconds deadline) {
  if (!tcp_established(client, deadline) || !wait_for(server.fd(), POLLIN, deadline)) {
    return std::nullopt;
  }
  SocketAddress peer{.storage = {}, .size = sizeof(sockaddr_storage)};
  const UniqueFd accepted(::accept4(server.fd(), peer.raw(), &peer.size, SOCK_CLOEXEC));
  if (!accepted || ::send(accepted.get(), "hello", 5, MSG_NOSIGNAL) != 5) { return std::nullopt; }
  std::array<char, 16> data{};
  if (!wait_for(client, POLLIN, deadline)) { return std::nullopt; }
  const auto size = ::recv(client, data.data(), data.size(), 0);
  if (size <= 0) { return std::nullopt; }
  return Seen{text_of(peer), std::string(data.data(), static_cast<std::size_t>(size))};
}

std::optional<Seen> answer_udp(Server& server, int client, milliseconds deadline) {
  if (::send(client, "ask", 3, 0) != 3 || !wait_for(server.fd(), POLLIN, deadline)) {
    return std::nullopt;
  }
  std::array<char, 16> data{};
  SocketAddress peer{.storage = {}, .size = sizeof(sockaddr_storage)};
  if (::recvfrom(server.fd(), data.data(), data.size(), 0, peer.raw(), &peer.size) != 3) {
    return std::nullopt;
  }
  if (::sendto(server.fd(), "hello", 5, 0, peer.raw(), peer.size) != 5) { return std::nullopt; }
  if (!wait_for(client, POLLIN, deadline)) { return std::nullopt; }
  const auto size = ::recv(client, data.data(), data.size(), 0);
  if (size <= 0) { return std::nullopt; }
  return Seen{text_of(peer), std::string(data.data(), static_cast<std::size_t>(size))};
}

}  // namespace

Namespaces::Namespaces() : home_(current_namespace()) {
  add("host");
  require(::setns(fds_.at("host").get(), CLONE_NEWNET) == 0, "enter host namespace");
}

Namespaces::~Namespaces() { require(::setns(home_.get(), CLONE_NEWNET) == 0, "return home"); }

void Namespaces::add(const std::string& name) {
  const UniqueFd here = current_namespace();
  require(::unshare(CLONE_NEWNET) == 0, "unshare (the test needs root or CAP_SYS_ADMIN)");
  fds_[name] = current_namespace();
  require(std::system("ip link set lo up") == 0, "lo up");
  require(::setns(here.get(), CLONE_NEWNET) == 0, "setns back");
}

void Namespaces::inside(const std::string& name, const std::function<void()>& work) {
  require(::setns(fds_.at(name).get(), CLONE_NEWNET) == 0, "enter " + name);
  work();
  require(::setns(fds_.at("host").get(), CLONE_NEWNET) == 0, "return to host");
}

void Namespaces::run(const std::string& name, const std::string& line) {
  inside(name, [&] { require(std::system(line.c_str()) == 0, name + ": " + line); });
}

std::string Namespaces::output(const std::string& line) {
  std::FILE* pipe = ::popen(line.c_str(), "r");
  require(pipe != nullptr, line);
  std::string out;
  std::array<char, 4096> buffer{};
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), size);
  }
  const int status = ::pclose(pipe);
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, line);
  return out;
}

void Namespaces::link(const std::string& host_end, const std::string& name,
                      const std::string& end) {
  run("host",
      fmt::format("ip link add {} type veth peer name {} netns /proc/{}/fd/{} && ip link set {} up",
                  host_end, end, ::getpid(), fds_.at(name).get(), host_end));
  run(name, fmt::format("ip link set {} up", end));
}

Server::Server(Namespaces& spaces, const std::string& space, Kind kind, const std::string& address,
               std::uint16_t port)
    : kind_(kind) {
  SocketAddress local = socket_address(address, port);
  spaces.inside(space, [&] { fd_.reset(::socket(local.storage.ss_family, type_of(kind), 0)); });
  const int on = 1;
  require(::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "reuse address");
  require(::bind(fd_.get(), local.raw(), local.size) == 0,
          fmt::format("bind server to {}:{}", address, port));
  require(kind == Kind::udp || ::listen(fd_.get(), 16) == 0, "listen");
}

std::optional<Seen> exchange(Namespaces& spaces, const std::string& client_space,
                             const std::string& to, std::uint16_t port, Server& server,
                             const std::string& source, milliseconds deadline) {
  const UniqueFd client = client_socket(spaces, client_space, server.kind(), to, port, source, 0);
  if (!client) { return std::nullopt; }
  return server.kind() == Kind::tcp ? answer_tcp(server, client.get(), deadline)
                                    : answer_udp(server, client.get(), deadline);
}

Flow::Flow(Namespaces& spaces, const std::string& space, Kind kind, const std::string& to,
           std::uint16_t port, std::uint16_t from_port)
    : fd_(client_socket(spaces, space, kind, to, port, {}, from_port)) {}

std::optional<std::string> Flow::send(Server& server, milliseconds deadline) {
  if (::send(fd_.get(), "ask", 3, 0) != 3 || !wait_for(server.fd(), POLLIN, deadline)) {
    return std::nullopt;
  }
  std::array<char, 16> data{};
  SocketAddress peer{.storage = {}, .size = sizeof(sockaddr_storage)};
  if (::recvfrom(server.fd(), data.data(), data.size(), 0, peer.raw(), &peer.size) != 3) {
    return std::nullopt;
  }
  return text_of(peer);
}

}  // namespace edge::netmodel::test
