// Netlink notifications of links, addresses, routes, rules and neighbours, on the daemon's loop.
#include "netmodel/io/link_monitor.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/unique_fd.hpp"
#include "netmodel/io/link.hpp"

namespace edge::netmodel {
namespace {

constexpr int datagrams_per_turn_max = 64;
// A dump's next part is made inside recv() and waits for rtnl, which a bridge being deleted holds
// for 17..60 ms: heartbeats on the same loop get their turn in between.
constexpr std::chrono::milliseconds turn_max{5};
constexpr std::size_t notice_bytes = 64 << 10;

Result<UniqueFd> open_socket(const LinkMonitorOptions& options) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd) { return fail_errno(errno, "open netlink monitor"); }
  const int bytes = options.receive_buffer_bytes;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    // Without CAP_NET_ADMIN: as much as net.core.rmem_max allows; overruns are handled anyway.
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on) != 0) {
    return fail_errno(errno, "set NETLINK_GET_STRICT_CHK");
  }
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) != 0) {
    return fail_errno(errno, "bind netlink monitor");
  }
  std::vector<int> groups{RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                          RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
                          RTNLGRP_IPV6_RULE};
  if (options.neighbours) { groups.push_back(RTNLGRP_NEIGH); }
  for (const int group : groups) {
    if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      return fail_errno(errno, "join netlink group " + std::to_string(group));
    }
  }
  return fd;
}

}  // namespace

/// The reading loop. Handlers run inside drain(), so `stopped` is looked at after each of them.
struct LinkMonitor::State : std::enable_shared_from_this<State> {
  State(const boost::asio::any_io_executor& executor, LinkMonitorHandlers on,
        LinkMonitorOptions with, UniqueFd fd)
      : handlers(std::move(on)),
        options(with),
        socket(executor, fd.release()),
        buffer(notice_bytes) {}

  void request_dump();
  void wait();
  void drain();
  void on_datagram(std::span<const std::byte> bytes);
  void on_event(MonitorEvent event);
  void on_control(const MonitorControl& control);
  void on_lost();

  LinkMonitorHandlers handlers;
  LinkMonitorOptions options;
  boost::asio::posix::stream_descriptor socket;
  std::vector<std::byte> buffer;
  LinkTable table;
  bool dumping = false;
  bool dump_again =
      false;  ///< Something was lost while dumping, or the kernel said it was interrupted.
  bool ready = false;
  bool stopped = false;
  std::uint32_t sequence = 0;
  std::uint64_t overruns = 0;
};

void LinkMonitor::State::request_dump() {
  if (dumping) {
    dump_again = true;
    return;
  }
  dumping = true;
  dump_again = false;
  table.on_dump_begin();
  const NlMessage message = encode_link_dump();
  nlmsghdr* header = nlmsg_hdr(message.get());
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = ++sequence;
  header->nlmsg_pid = 0;
  if (::send(socket.native_handle(), header, header->nlmsg_len, MSG_DONTWAIT) < 0) {
    dumping = false;  // EBUSY, ENOBUFS: the daemon's own dump still tells the truth.
    if (handlers.on_overrun) { handlers.on_overrun(); }
  }
}

void LinkMonitor::State::wait() {
  socket.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [self = shared_from_this()](boost::system::error_code error) {
                      if (error || self->stopped) { return; }
                      self->drain();
                      if (!self->stopped) { self->wait(); }
                    });
}

void LinkMonitor::State::drain() {
  const auto end = std::chrono::steady_clock::now() + turn_max;
  for (int count = 0; count < datagrams_per_turn_max && !stopped; ++count) {
    if (std::chrono::steady_clock::now() >= end) { return; }
    sockaddr_nl sender{};
    socklen_t sender_bytes = sizeof sender;
    const ssize_t size =
        ::recvfrom(socket.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC,
                   reinterpret_cast<sockaddr*>(&sender), &sender_bytes);
    if (size < 0 && errno == EINTR) { continue; }
    if (size < 0 && errno == ENOBUFS) {
      on_lost();
      continue;
    }
    if (size < 0) { return; }
    if (sender.nl_pid != 0) { continue; }  // Only the kernel counts.
    if (static_cast<std::size_t>(size) > buffer.size()) {
      buffer.resize(static_cast<std::size_t>(size) * 2);
      on_lost();
      continue;
    }
    on_datagram(std::span<const std::byte>(buffer).first(static_cast<std::size_t>(size)));
  }
}

void LinkMonitor::State::on_datagram(std::span<const std::byte> bytes) {
  decode_events(bytes, table.names(), options.own_port, [this](MonitorEvent event) {
    if (!stopped) { on_event(std::move(event)); }
  });
}

void LinkMonitor::State::on_event(MonitorEvent event) {
  if (auto* link = std::get_if<LinkEvent>(&event)) {
    const auto known = table.on_link(std::move(*link));
    if (known && handlers.on_link) { handlers.on_link(*known); }
  } else if (const auto* change = std::get_if<KernelChange>(&event)) {
    if (handlers.on_change) { handlers.on_change(*change); }
  } else if (const auto* neighbour = std::get_if<NeighbourEvent>(&event)) {
    if (handlers.on_neighbour) { handlers.on_neighbour(*neighbour); }
  } else if (const auto* control = std::get_if<MonitorControl>(&event)) {
    on_control(*control);
  }
}

void LinkMonitor::State::on_control(const MonitorControl& control) {
  switch (control.what) {
    case MonitorControl::What::overrun: on_lost(); return;
    case MonitorControl::What::error:
      if (!dumping) { return; }
      dumping = false;  // The dump itself failed; the daemon's own one still tells the truth.
      if (handlers.on_overrun) { handlers.on_overrun(); }
      return;
    case MonitorControl::What::dump_interrupted: dump_again = true; [[fallthrough]];
    case MonitorControl::What::dump_done: break;
  }
  dumping = false;
  if (dump_again) {
    request_dump();
    return;
  }
  for (const LinkEvent& gone : table.on_dump_end()) {
    if (!stopped && handlers.on_link) { handlers.on_link(gone); }
  }
  if (!ready && !stopped) {
    ready = true;
    if (handlers.on_ready) { handlers.on_ready(); }
  }
}

void LinkMonitor::State::on_lost() {
  ++overruns;
  request_dump();
  if (handlers.on_overrun && !stopped) { handlers.on_overrun(); }
}

LinkMonitor::LinkMonitor(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<LinkMonitor>> LinkMonitor::open(boost::asio::any_io_executor executor,
                                                       LinkMonitorHandlers handlers,
                                                       LinkMonitorOptions options) {
  EDGE_ASSIGN(UniqueFd fd, open_socket(options));
  auto state =
      std::make_shared<State>(std::move(executor), std::move(handlers), options, std::move(fd));
  return std::unique_ptr<LinkMonitor>(new LinkMonitor(std::move(state)));
}

LinkMonitor::~LinkMonitor() { stop(); }

void LinkMonitor::start() {
  state_->request_dump();
  state_->wait();
}

void LinkMonitor::stop() {
  state_->stopped = true;
  boost::system::error_code ignored;  // Closing a netlink socket has nothing to report.
  state_->socket.close(ignored);
}

std::uint64_t LinkMonitor::overruns() const { return state_->overruns; }

}  // namespace edge::netmodel
