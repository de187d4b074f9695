// NETLINK_NETFILTER transport.
#include "netmodel/io/nft_socket.hpp"

#include <libmnl/libmnl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "netmodel/io/nft_attributes.hpp"

namespace edge::netmodel {
namespace {

constexpr std::size_t receive_bytes = 128 * 1024;  // Above the 32 KiB skb of a dump.
constexpr int receive_queue_bytes =
    4 * 1024 * 1024;  // Errors of a large batch queue up before we read.

NetfilterError parse_error(const nlmsghdr& header) {
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&header));
  NetfilterError parsed{
      .sequence = header.nlmsg_seq, .os_errno = -error->error, .offset_bytes = 0, .message = {}};
  if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) { return parsed; }
  // Attributes follow the copy of the request: its header only when NLM_F_CAPPED is set.
  std::size_t skip = sizeof(nlmsgerr);
  if ((header.nlmsg_flags & NLM_F_CAPPED) == 0) { skip += error->msg.nlmsg_len - sizeof(nlmsghdr); }
  for_each_attribute(attributes_of(header, skip), [&](const NetlinkAttribute& attribute) {
    // Both in host byte order: the netlink core writes them, not netfilter.
    if (attribute.type == NLMSGERR_ATTR_MSG) { parsed.message = attribute.text(); }
    if (attribute.type == NLMSGERR_ATTR_OFFS && attribute.payload.size() == 4) {
      std::memcpy(&parsed.offset_bytes, attribute.payload.data(), 4);
    }
  });
  return parsed;
}

/// Calls `each` for the messages of one datagram until it returns false. Returns whether to go on.
template <class Each>
bool for_each_message(std::span<const char> datagram, Each each) {
  int left = static_cast<int>(datagram.size());
  const auto* header = reinterpret_cast<const nlmsghdr*>(datagram.data());
  while (mnl_nlmsg_ok(header, left)) {
    if (!each(*header)) { return false; }
    header = mnl_nlmsg_next(header, &left);
  }
  return true;
}

}  // namespace

NetfilterSocket::NetfilterSocket(UniqueFd fd) : fd_(std::move(fd)), buffer_(receive_bytes) {}

Result<NetfilterSocket> NetfilterSocket::open() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) { return fail_errno(errno, "open netfilter netlink socket"); }
  const sockaddr_nl any{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) {
    return fail_errno(errno, "bind netfilter netlink socket");
  }
  const int on = 1;
  // Kernels without either answer less precisely, nothing else changes.
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_queue_bytes,
                     sizeof receive_queue_bytes);
  return NetfilterSocket(std::move(fd));
}

void NetfilterSocket::grow_send_buffer(std::size_t bytes) {
  const std::size_t wanted = bytes + 4096;  // netlink_sendmsg refuses above sk_sndbuf - 32.
  if (wanted <= send_buffer_bytes_) { return; }
  const int value = static_cast<int>(wanted);
  if (::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &value, sizeof value) != 0) {
    (void)::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &value,
                       sizeof value);  // Then sendmsg says EMSGSIZE.
  }
  send_buffer_bytes_ = wanted;
}

Result<void> NetfilterSocket::send(std::span<const char> bytes) {
  const sockaddr_nl kernel{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  const auto sent = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                             reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
  if (sent < 0) { return fail_errno(errno, "send to netfilter"); }
  return {};
}

Result<std::span<const char>> NetfilterSocket::receive(bool wait) {
  while (true) {
    const auto size =
        ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC | (wait ? 0 : MSG_DONTWAIT));
    if (size < 0 && errno == EINTR) { continue; }
    if (size < 0 && !wait && errno == EAGAIN) { return std::span<const char>{}; }
    if (size < 0) { return fail_errno(errno, "receive from netfilter"); }
    if (static_cast<std::size_t>(size) > buffer_.size()) {
      return fail_errno(EMSGSIZE, "receive from netfilter");
    }
    return std::span<const char>(buffer_.data(), static_cast<std::size_t>(size));
  }
}

Result<void> NetfilterSocket::exchange(nlmsghdr& request, const Sink& sink) {
  request.nlmsg_seq = next_sequence();
  if ((request.nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) { request.nlmsg_flags |= NLM_F_ACK; }
  EDGE_TRY(send({reinterpret_cast<const char*>(&request), request.nlmsg_len}));
  int os_errno = 0;
  bool interrupted = false;
  const auto each = [&](const nlmsghdr& header) {
    if (header.nlmsg_seq != request.nlmsg_seq) {
      return true;
    }  // Left over from a request that failed.
    interrupted = interrupted || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (header.nlmsg_type == NLMSG_ERROR) {
      os_errno = parse_error(header).os_errno;
      return false;
    }
    if (header.nlmsg_type == NLMSG_DONE) { return false; }
    sink(header);
    return true;
  };
  while (true) {
    EDGE_ASSIGN(const auto datagram, receive(true));
    if (!for_each_message(datagram, each)) { break; }
  }
  if (os_errno != 0) { return fail_errno(os_errno, "netfilter"); }
  if (interrupted) {
    return fail(Errc::transient, "netfilter: the dump was interrupted by a change", EINTR);
  }
  return {};
}

Result<std::vector<NetfilterError>> NetfilterSocket::send_batch(std::span<const char> batch) {
  grow_send_buffer(batch.size());
  EDGE_TRY(send(batch));
  std::vector<NetfilterError> errors;
  bool acknowledged = false;
  while (true) {
    EDGE_ASSIGN(const auto datagram, receive(false));
    if (datagram.empty()) { break; }
    for_each_message(datagram, [&](const nlmsghdr& header) {
      if (header.nlmsg_type != NLMSG_ERROR) { return true; }
      NetfilterError error = parse_error(header);
      if (error.os_errno == 0) {
        acknowledged = true;
      } else {
        errors.push_back(std::move(error));
      }
      return true;
    });
  }
  if (errors.empty() && !acknowledged) {
    return fail(Errc::transient, "netfilter did not acknowledge the batch");
  }
  return errors;
}

}  // namespace edge::netmodel
