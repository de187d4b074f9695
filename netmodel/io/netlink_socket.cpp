// One NETLINK_ROUTE socket: requests with the kernel's own error text, dumps that are whole.
#include "netmodel/io/netlink_socket.hpp"

#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/message_builder.hpp"

namespace edge::netmodel {
namespace {

constexpr int dump_attempts_max = 8;
constexpr std::size_t dump_read_bytes =
    64 << 10;  // The kernel fills at most 32 KiB per read of a dump.
constexpr int socket_buffer_bytes = 1 << 20;
constexpr timeval answer_timeout{.tv_sec = 10, .tv_usec = 0};

/// struct nlmsgerr: int error; struct nlmsghdr of the request [; its payload]; then TLVs.
Result<void> decode_answer(const nlmsghdr& header, Bytes payload) {
  const auto error = read_as<int>(payload);
  if (!error) { return fail(Errc::corrupt, "short netlink answer"); }
  if (*error >= 0) { return {}; }
  std::string kernel_text;
  const auto request = read_as<nlmsghdr>(payload.subspan(sizeof(int)));
  if (request && (header.nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
    const bool capped = (header.nlmsg_flags & NLM_F_CAPPED) != 0;
    const std::size_t skip =
        sizeof(int) + (capped ? sizeof(nlmsghdr) : netlink_align(request->nlmsg_len));
    for_each_attribute(attributes_after(payload, skip), [&](std::uint16_t type, Bytes value) {
      if (type == NLMSGERR_ATTR_MSG) { kernel_text = read_text(value); }
    });
  }
  const int os_errno = errno_of_answer(*error);
  std::string what = std::strerror(os_errno);
  if (!kernel_text.empty()) { what += "; kernel: " + kernel_text; }
  return fail(errc_of_errno(os_errno), what, os_errno);
}

}  // namespace

std::uint8_t address_family(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }

NetlinkSocket::NetlinkSocket(std::unique_ptr<nl_sock, NlSocketDeleter> socket)
    : socket_(std::move(socket)), buffer_(dump_read_bytes) {}

Result<NetlinkSocket> NetlinkSocket::open() {
  std::unique_ptr<nl_sock, NlSocketDeleter> socket(nl_socket_alloc());
  if (!socket) { return fail_errno(ENOMEM, "allocate netlink socket"); }
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0) {
    return fail(Errc::transient, std::string("open netlink socket: ") + nl_geterror(error));
  }
  const int fd = nl_socket_get_fd(socket.get());
  const int on = 1;
  // Without these two the answers lack their text and dumps ignore our filters; both exist
  // since 4.20.
  for (const int option : {NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK}) {
    if (::setsockopt(fd, SOL_NETLINK, option, &on, sizeof on) != 0) {
      return fail_errno(errno, "set netlink socket option");
    }
  }
  // Refused without CAP_NET_ADMIN; the default then suffices for one answer at a time.
  (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &socket_buffer_bytes,
                     sizeof socket_buffer_bytes);
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &answer_timeout, sizeof answer_timeout) != 0) {
    return fail_errno(errno, "set netlink receive timeout");
  }
  return NetlinkSocket(std::move(socket));
}

Result<void> NetlinkSocket::send(nl_msg& message, int flags) {
  nlmsghdr* header = nlmsg_hdr(&message);
  header->nlmsg_flags = static_cast<std::uint16_t>(header->nlmsg_flags | NLM_F_REQUEST | flags);
  header->nlmsg_pid = port_id();
  header->nlmsg_seq = nl_socket_use_seq(socket_.get());
  while (::send(fd(), header, header->nlmsg_len, 0) < 0) {
    if (errno != EINTR) { return fail_errno(errno, "send netlink request"); }
  }
  return {};
}

Result<std::span<const std::byte>> NetlinkSocket::receive() {
  while (true) {
    sockaddr_nl sender{};
    socklen_t sender_bytes = sizeof sender;
    const ssize_t size = ::recvfrom(fd(), buffer_.data(), buffer_.size(), MSG_TRUNC,
                                    reinterpret_cast<sockaddr*>(&sender), &sender_bytes);
    if (size < 0) {
      if (errno == EINTR) { continue; }
      if (errno == EAGAIN) { return fail_errno(ETIMEDOUT, "no netlink answer within 10 s"); }
      return fail_errno(errno, "receive netlink answer");
    }
    if (sender.nl_pid != 0) {
      continue;
    }  // Any process may send to our port; only the kernel counts.
    if (static_cast<std::size_t>(size) > buffer_.size()) {
      buffer_.resize(static_cast<std::size_t>(size) * 2);
      return fail(Errc::transient, "netlink answer larger than the buffer");
    }
    return std::span<const std::byte>(buffer_).first(static_cast<std::size_t>(size));
  }
}

Result<void> NetlinkSocket::request(nl_msg& message) {
  EDGE_TRY(send(message, NLM_F_ACK));
  const std::uint32_t seq = nlmsg_hdr(&message)->nlmsg_seq;
  while (true) {
    EDGE_ASSIGN(const auto bytes, receive());
    std::optional<Result<void>> answer;
    for_each_message(bytes, [&](const MessageView& view) {
      if (view.header.nlmsg_seq == seq && view.header.nlmsg_type == NLMSG_ERROR) {
        answer = decode_answer(view.header, view.payload);
      }
    });
    if (answer) { return *answer; }
  }
}

Result<std::vector<std::byte>> NetlinkSocket::get(nl_msg& message) {
  EDGE_TRY(send(message, 0));
  const std::uint32_t seq = nlmsg_hdr(&message)->nlmsg_seq;
  while (true) {
    EDGE_ASSIGN(const auto bytes, receive());
    std::optional<Result<std::vector<std::byte>>> answer;
    for_each_message(bytes, [&](const MessageView& view) {
      if (view.header.nlmsg_seq != seq || answer) { return; }
      if (view.header.nlmsg_type != NLMSG_ERROR) {
        answer = std::vector<std::byte>(view.whole.begin(), view.whole.end());
      } else if (auto error = decode_answer(view.header, view.payload); !error) {
        answer = std::unexpected(std::move(error).error());
      }
    });
    if (answer) { return std::move(*answer); }
  }
}

Result<void> NetlinkSocket::dump(nl_msg& message, const std::function<void()>& restart,
                                 const Sink& sink) {
  for (int attempt = 0; attempt < dump_attempts_max; ++attempt) {
    restart();
    EDGE_TRY(send(message, NLM_F_DUMP));
    const std::uint32_t seq = nlmsg_hdr(&message)->nlmsg_seq;
    bool interrupted = false;
    std::optional<Result<void>> end;
    while (!end) {
      EDGE_ASSIGN(const auto bytes, receive());
      for_each_message(bytes, [&](const MessageView& view) {
        if (view.header.nlmsg_seq != seq || end) { return; }
        interrupted = interrupted || (view.header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (view.header.nlmsg_type == NLMSG_DONE || view.header.nlmsg_type == NLMSG_ERROR) {
          end = decode_answer(view.header, view.payload);
        } else {
          sink(view.whole);
        }
      });
    }
    if (!*end) { return *end; }
    if (!interrupted) { return {}; }
  }
  return fail(Errc::transient, "dump interrupted by changes 8 times", EINTR);
}

}  // namespace edge::netmodel
