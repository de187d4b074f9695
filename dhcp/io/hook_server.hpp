// Receives the messages of one child's hook: a bounded SOCK_SEQPACKET listener.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "dhcp/core/hook_event.hpp"

namespace edge::dhcp {

/// Accepts only processes of our own user. A connection brings one message within 2 s or is closed;
/// one is read at a time, more stay in the backlog of 256. A message above hook_datagram_bytes_max
/// or that is no environment is refused whole. Threads: that of the io_context.
class HookServer {
 public:
  using OnEvent = std::function<void(const HookEvent&)>;
  /// `why` names the size or the entry, and what is allowed. A DHCP server can cause these at will:
  /// 5 at once, then one per 10 s; `held_back` before this one were not told.
  using OnRefused = std::function<void(const std::string& why, std::uint64_t held_back)>;

  /// Replaces what is at `path`. Handlers are called from the io_context, never after destruction.
  /// Errors: invalid_input when the path has more than 107 bytes; as socket(2), bind(2).
  static Result<std::unique_ptr<HookServer>> listen(boost::asio::io_context& io, std::string path,
                                                    OnEvent on_event, OnRefused on_refused);
  ~HookServer();  ///< Removes the socket file.
  HookServer(const HookServer&) = delete;
  HookServer& operator=(const HookServer&) = delete;

 private:
  struct Impl;
  explicit HookServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace edge::dhcp
