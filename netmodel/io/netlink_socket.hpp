// One NETLINK_ROUTE socket: requests with the kernel's own error text, dumps that are whole.
#pragma once

#include <netlink/msg.h>
#include <netlink/socket.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/error.hpp"

namespace edge::netmodel {

struct NlSocketDeleter {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
struct NlMessageDeleter {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using NlMessage = std::unique_ptr<nl_msg, NlMessageDeleter>;

/// Time: none; a request waits at most 10 s for its answer. Threads: one at a time.
class NetlinkSocket {
 public:
  /// One message of a dump, header included.
  using Sink = std::function<void(std::span<const std::byte>)>;

  /// NETLINK_ROUTE with NETLINK_EXT_ACK and NETLINK_GET_STRICT_CHK. Errors: the errno.
  static Result<NetlinkSocket> open();

  /// Sends a write and waits for its acknowledgement. Errors: errc_of_errno of the answer, `what`
  /// is the errno's words and, after "; kernel: ", the extack text.
  Result<void> request(nl_msg& message);
  /// Sends a read of one object. Returns the answer, header included.
  Result<std::vector<std::byte>> get(nl_msg& message);
  /// Sends a dump request and passes each message to `sink`. When the kernel says that the dump was
  /// interrupted (NLM_F_DUMP_INTR), calls `restart` and repeats, 8 times at most.
  Result<void> dump(nl_msg& message, const std::function<void()>& restart, const Sink& sink);

  std::uint32_t port_id() const { return nl_socket_get_local_port(socket_.get()); }
  int fd() const { return nl_socket_get_fd(socket_.get()); }
  nl_sock* native() { return socket_.get(); }

 private:
  explicit NetlinkSocket(std::unique_ptr<nl_sock, NlSocketDeleter> socket);
  Result<void> send(nl_msg& message, int flags);
  Result<std::span<const std::byte>> receive();

  std::unique_ptr<nl_sock, NlSocketDeleter> socket_;
  std::vector<std::byte> buffer_;
};

}  // namespace edge::netmodel
