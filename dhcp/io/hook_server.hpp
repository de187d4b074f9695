// Receives the messages of one child's hook: a bounded SOCK_SEQPACKET listener.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace edge::dhcp {

/// Accepts only processes of our own user. A connection brings one message within 2 s or is closed;
/// at most 32 wait at a time, more stay in the backlog of 256. Threads: that of the io_context.
class HookServer {
 public:
  using OnMessage = std::function<void(std::string_view datagram)>;

  /// Replaces what is at `path`. on_message is called from the io_context, never after destruction.
  /// Errors: invalid_input when the path has more than 107 bytes; as socket(2), bind(2).
  static Result<std::unique_ptr<HookServer>> listen(boost::asio::io_context& io, std::string path,
                                                    OnMessage on_message);
  ~HookServer();  ///< Removes the socket file.
  HookServer(const HookServer&) = delete;
  HookServer& operator=(const HookServer&) = delete;

 private:
  struct Impl;
  explicit HookServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::dhcp
