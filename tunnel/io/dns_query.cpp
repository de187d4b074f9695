#include "tunnel/io/dns_query.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "tunnel/io/socket_address.hpp"

namespace edge::tunnel {
namespace {

long long milliseconds(Duration duration) {
  return std::chrono::floor<std::chrono::milliseconds>(duration).count();
}

IpAddress address_of(const ares_addrinfo_node& node) {
  sockaddr_storage storage{};
  std::memcpy(&storage, node.ai_addr, std::min<std::size_t>(node.ai_addrlen, sizeof storage));
  return from_socket_address(storage).address;
}

}  // namespace

void initialise_dns_library() {
  static std::once_flag once;
  std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
}

ServerQuery::ServerQuery(asio::any_io_executor executor, DnsServer server, PathBinding binding,
                         ResolveLimits limits, std::function<void()> progress)
    : executor_(executor),
      timer_(executor),
      server_(server),
      binding_(std::move(binding)),
      limits_(limits),
      progress_(std::move(progress)) {}

ServerQuery::~ServerQuery() {
  destroying_ = true;
  if (channel_ != nullptr) { ares_destroy(channel_); }
  for (auto& [fd, watch] : watches_) { watch->descriptor.release(); }
}

void ServerQuery::start(const std::string& host, bool want4, bool want6) {
  want_[0] = want4;
  want_[1] = want6;
  if (!binding_.allows(server_.address.family)) {
    local_problem_ = fmt::format("no {} address on this port to ask it from",
                                 server_.address.family == Family::v4 ? "IPv4" : "IPv6");
    return fail_all(ARES_ECONNREFUSED);
  }
  if (const int status = open_channel(); status != ARES_SUCCESS) { return fail_all(status); }
  // IPv6 first: its answer is the one that is waited for less.
  for (const int index : {1, 0}) {
    if (!want_[static_cast<std::size_t>(index)]) { continue; }
    ares_addrinfo_hints hints{};
    hints.ai_family = index == 0 ? AF_INET : AF_INET6;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = ARES_AI_NOSORT;
    ares_getaddrinfo(channel_, host.c_str(), nullptr, &hints,
                     index == 0 ? &ServerQuery::on_v4 : &ServerQuery::on_v6, this);
  }
  watch_timer();
}

std::string ServerQuery::verdict() const {
  if (has_addresses()) { return "ok"; }
  if (!local_problem_.empty()) { return local_problem_; }
  if (!done()) { return "no answer yet"; }
  if (says(ARES_ENOTFOUND)) { return "the name does not exist (NXDOMAIN)"; }
  if (says(ARES_ENODATA)) { return "the name has no address"; }
  const int status = status_[0].value_or(status_[1].value_or(ARES_ETIMEOUT));
  switch (status) {
    case ARES_ETIMEOUT: return fmt::format("no answer within {} ms", milliseconds(patience()));
    case ARES_ECONNREFUSED: return fmt::format("nothing listens on port {}", server_.port);
    case ARES_ESERVFAIL: return "the server failed (SERVFAIL)";
    case ARES_EREFUSED: return "the server refused to answer (REFUSED)";
    case ARES_EBADRESP:
    case ARES_EFORMERR: return "malformed answer";
    case ARES_EBADNAME: return "not a valid name";
    default: return ares_strerror(status);
  }
}

/// c-ares doubles the wait with each try.
Duration ServerQuery::patience() const { return limits_.try_timeout * ((1 << limits_.tries) - 1); }

int ServerQuery::open_channel() {
  ares_options options{};
  // A SERVFAIL or REFUSED is an answer here: c-ares would hide it behind "connection refused".
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOCHECKRESP;
  options.timeout = static_cast<int>(milliseconds(limits_.try_timeout));
  options.tries = limits_.tries;
  options.sock_state_cb = &ServerQuery::on_socket_state;
  options.sock_state_cb_data = this;
  char lookups[] = "b";  // DNS only, never /etc/hosts.
  options.lookups = lookups;
  options.ndots = 1;
  options.ndomains = 0;  // Nor the search list of /etc/resolv.conf.
  const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                   ARES_OPT_LOOKUPS | ARES_OPT_NDOTS | ARES_OPT_DOMAINS;
  if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return status;
  }
  ares_addr_port_node node{};
  node.family = server_.address.family == Family::v4 ? AF_INET : AF_INET6;
  std::memcpy(&node.addr, server_.address.bytes.data(), server_.address.size_bytes());
  node.udp_port = server_.port;
  node.tcp_port = server_.port;
  ares_set_socket_configure_callback(channel_, &ServerQuery::on_socket_made, this);
  return ares_set_servers_ports(channel_, &node);
}

void ServerQuery::fail_all(int status) {
  for (std::size_t i = 0; i < 2; ++i) {
    if (want_[i]) { status_[i] = status; }
  }
}

// ---- callbacks of c-ares ----

int ServerQuery::on_socket_made(ares_socket_t fd, int, void* data) {
  auto& self = *static_cast<ServerQuery*>(data);
  const auto bound = bind_to_path(fd, self.server_.address.family, self.binding_);
  if (bound) { return 0; }
  self.local_problem_ = bound.error().what;
  if (bound.error().os_errno != 0) {
    self.local_cause_ = cause_of_connect_errno(bound.error().os_errno);
  }
  return -1;
}

void ServerQuery::on_v4(void* data, int status, int, ares_addrinfo* info) {
  static_cast<ServerQuery*>(data)->on_answer(0, status, info);
}

void ServerQuery::on_v6(void* data, int status, int, ares_addrinfo* info) {
  static_cast<ServerQuery*>(data)->on_answer(1, status, info);
}

void ServerQuery::on_answer(std::size_t index, int status, ares_addrinfo* info) {
  if (!destroying_) {
    const Family family = index == 0 ? Family::v4 : Family::v6;
    for (const ares_addrinfo_node* node = info != nullptr ? info->nodes : nullptr;
         node != nullptr && found_[index].size() < ResolveLimits::addresses_max;
         node = node->ai_next) {
      const IpAddress address = address_of(*node);
      if (address.family == family && !address.is_unspecified() && !address.is_multicast()) {
        found_[index].push_back(address);
      }
    }
    status_[index] = status == ARES_SUCCESS && found_[index].empty() ? ARES_ENODATA : status;
  }
  if (info != nullptr) { ares_freeaddrinfo(info); }
  if (!destroying_) { progress_(); }
}

void ServerQuery::on_socket_state(void* data, ares_socket_t fd, int readable, int writable) {
  static_cast<ServerQuery*>(data)->watch_socket(fd, readable != 0, writable != 0);
}

// ---- sockets and the timer of c-ares, in the loop ----

void ServerQuery::watch_socket(int fd, bool read, bool write) {
  auto it = watches_.find(fd);
  if (!read && !write) {
    if (it == watches_.end()) { return; }
    it->second->descriptor.release();  // c-ares closes it next.
    watches_.erase(it);
    return;
  }
  if (it == watches_.end()) {
    it = watches_.emplace(fd, std::make_shared<Watch>(executor_)).first;
    boost::system::error_code unwatched;  // Then the server's time-out speaks.
    it->second->descriptor.assign(fd, unwatched);
  }
  it->second->want_read = read;
  it->second->want_write = write;
  arm(fd, it->second);
}

void ServerQuery::arm(int fd, const std::shared_ptr<Watch>& watch) {
  if (watch->want_read && !watch->read_waiting) {
    watch->read_waiting = true;
    watch->descriptor.async_wait(Descriptor::wait_read, ready(fd, watch, true));
  }
  if (watch->want_write && !watch->write_waiting) {
    watch->write_waiting = true;
    watch->descriptor.async_wait(Descriptor::wait_write, ready(fd, watch, false));
  }
}

std::function<void(boost::system::error_code)> ServerQuery::ready(
    int fd, const std::shared_ptr<Watch>& watch, bool for_read) {
  return [this, life = std::weak_ptr<int>(life_), fd, watch,
          for_read](const boost::system::error_code& ec) {
    (for_read ? watch->read_waiting : watch->write_waiting) = false;
    if (ec || life.expired()) { return; }
    ares_process_fd(channel_, for_read ? fd : ARES_SOCKET_BAD, for_read ? ARES_SOCKET_BAD : fd);
    const auto it = watches_.find(fd);
    if (it != watches_.end() && it->second == watch) { arm(fd, watch); }
    watch_timer();
  };
}

void ServerQuery::watch_timer() {
  timeval wait{};
  if (ares_timeout(channel_, nullptr, &wait) == nullptr) {
    timer_.cancel();
    return;
  }
  timer_.expires_after(std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec));
  timer_.async_wait([this, life = std::weak_ptr<int>(life_)](const boost::system::error_code& ec) {
    if (ec || life.expired()) { return; }
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    watch_timer();
  });
}

}  // namespace edge::tunnel
