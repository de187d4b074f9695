// One NETLINK_NETFILTER socket: requests, dumps, and batches with the kernel's own words about each
// failure.
#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace edge::netmodel {

/// What the kernel said about one message of a batch.
struct NetfilterError {
  std::uint32_t sequence = 0;
  int os_errno = 0;
  std::uint32_t offset_bytes = 0;  ///< Of the offending attribute within the message; 0: not told.
  std::string message;             ///< Extended ack; mostly empty.
};

/// Serves nf_tables and ctnetlink. The kernel works on a request inside sendmsg, so answers are
/// there when it returns and nothing here waits for longer than that work takes. Time: none.
/// Threads: one at a time.
class NetfilterSocket {
 public:
  using Sink = std::function<void(const nlmsghdr&)>;

  /// In the calling thread's network namespace. Errors: the errno.
  static Result<NetfilterSocket> open();

  /// Sends one request (its sequence number is set here) and passes each answer to `sink`. With
  /// NLM_F_DUMP until the end of the dump, else until the acknowledgement, which is asked for.
  /// Errors: errc_of_errno with the errno's words; transient with EINTR when a dump was interrupted
  /// by a change of what it reads.
  Result<void> exchange(nlmsghdr& request, const Sink& sink);

  /// Sends a batch in one sendmsg. Pre: its last message before the end marker carries NLM_F_ACK.
  /// Returns what failed, empty: all of it was committed. Errors: the socket itself failed.
  Result<std::vector<NetfilterError>> send_batch(std::span<const char> batch);

  std::uint32_t next_sequence() { return ++sequence_; }
  int fd() const { return fd_.get(); }

 private:
  explicit NetfilterSocket(UniqueFd fd);
  Result<void> send(std::span<const char> bytes);
  /// One datagram. 0 bytes: nothing there.
  Result<std::span<const char>> receive(bool wait);
  void grow_send_buffer(std::size_t bytes);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  std::size_t send_buffer_bytes_ = 0;
  std::vector<char> buffer_;
};

}  // namespace edge::netmodel
