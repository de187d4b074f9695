// One DNS server asked over one c-ares channel, bound to a path: the inside of Resolve.
#pragma once

#include <ares.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tunnel/io/resolver.hpp"

namespace edge::tunnel {

/// c-ares wants this once per process, before the first channel. Idempotent.
void initialise_dns_library();

/// One server asked over one c-ares channel of its own: c-ares does not tell which of several
/// servers failed, and a person at the machine has to know.
///
/// Time: executor's timers. Threads: the executor's one thread. Not to be destroyed from inside
/// `progress`, which runs within c-ares.
class ServerQuery {
 public:
  ServerQuery(asio::any_io_executor executor, DnsServer server, PathBinding binding,
              ResolveLimits limits, std::function<void()> progress);
  ~ServerQuery();
  ServerQuery(const ServerQuery&) = delete;
  ServerQuery& operator=(const ServerQuery&) = delete;

  /// Pre: called once. Results may be there when it returns; `progress` tells of later ones.
  void start(const std::string& host, bool want4, bool want6);

  bool done() const { return settled(0) && settled(1); }
  /// Index 0: IPv4, 1: IPv6.
  const std::vector<IpAddress>& addresses(std::size_t index) const { return found_[index]; }
  bool has_addresses() const { return !found_[0].empty() || !found_[1].empty(); }
  /// Set when the socket could not be bound to the path.
  std::optional<PathFailure> local_cause() const { return local_cause_; }
  DnsServerReport report() const { return {server_, verdict()}; }

 private:
  using Descriptor = asio::posix::stream_descriptor;
  /// What c-ares said for one family; nullopt: not yet.
  using Status = std::optional<int>;
  struct Watch {
    explicit Watch(const asio::any_io_executor& executor) : descriptor(executor) {}
    Descriptor descriptor;
    bool want_read = false;
    bool want_write = false;
    bool read_waiting = false;
    bool write_waiting = false;
  };

  bool settled(std::size_t index) const { return !want_[index] || status_[index]; }
  bool says(int status) const { return status_[0] == status || status_[1] == status; }
  std::string verdict() const;
  Duration patience() const;
  int open_channel();
  void fail_all(int status);

  static int on_socket_made(ares_socket_t fd, int type, void* data);
  static void on_v4(void* data, int status, int timeouts, ares_addrinfo* info);
  static void on_v6(void* data, int status, int timeouts, ares_addrinfo* info);
  static void on_socket_state(void* data, ares_socket_t fd, int readable, int writable);
  void on_answer(std::size_t index, int status, ares_addrinfo* info);

  void watch_socket(int fd, bool read, bool write);
  void arm(int fd, const std::shared_ptr<Watch>& watch);
  std::function<void(boost::system::error_code)> ready(int fd, const std::shared_ptr<Watch>& watch,
                                                       bool for_read);
  void watch_timer();

  asio::any_io_executor executor_;
  asio::steady_timer timer_;
  DnsServer server_;
  PathBinding binding_;
  ResolveLimits limits_;
  std::function<void()> progress_;
  ares_channel channel_ = nullptr;
  std::map<int, std::shared_ptr<Watch>> watches_;
  std::shared_ptr<int> life_ = std::make_shared<int>(0);  ///< Handlers look whether we still are.
  std::array<bool, 2> want_{};
  std::array<Status, 2> status_;
  std::array<std::vector<IpAddress>, 2> found_;
  std::string local_problem_;
  std::optional<PathFailure> local_cause_;
  bool destroying_ = false;
};

}  // namespace edge::tunnel
