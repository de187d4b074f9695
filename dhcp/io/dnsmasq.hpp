// DHCP and DNS for one VM network: a supervised dnsmasq that listens on that bridge only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "dhcp/core/dnsmasq_config.hpp"

namespace spdlog {
class logger;
}

namespace edge::dhcp {

struct DnsmasqOptions {
  std::string runtime_dir;
  std::string state_dir;
  std::string keeper = "uplink-dhcp-keeper";  ///< Absolute path, or a name beside our own program.
  std::string dnsmasq = "/usr/sbin/dnsmasq";
  std::shared_ptr<spdlog::logger> logger;  ///< nullptr: the default logger.
};

/// The child goes on when we die, so that guests keep DHCP and DNS; the next run with the same
/// folders ends it before it starts its own. Destruction kills it, unless leave() was called.
/// Threads: that of the io_context, which must live as long as the child.
class Dnsmasq {
 public:
  /// on_trouble: one line for people ("address already in use"); empty: over.
  Dnsmasq(boost::asio::io_context& io, DnsmasqOptions options,
          std::function<void(const std::string&)> on_trouble = {});
  ~Dnsmasq();
  Dnsmasq(const Dnsmasq&) = delete;
  Dnsmasq& operator=(const Dnsmasq&) = delete;

  /// Starts, reloads (SIGHUP) or restarts, whichever the difference asks for; unchanged: nothing.
  /// The bridge need not exist yet: dnsmasq binds when it appears.
  /// Errors: invalid_input with every problem; no_space and denied as the file system says, then
  /// the running child is as before.
  Result<void> apply(const DnsmasqSettings& settings);
  /// Ends the child, then calls `done`. With `forget`, its files are removed too.
  void stop(bool forget, std::function<void()> done);

  /// Lets the child serve on without us; nothing is called any more.
  void leave();

  /// What it has given out. Errors: as reading the file; a missing file is an empty list.
  Result<std::vector<GuestLease>> leases() const;
  bool running() const;
  int pid() const;
  std::uint32_t restarts() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Ends what an earlier run left for networks that are not in `keep`. Errors: conflict with the
/// network whose child does not end.
Result<void> end_leftovers(const std::string& runtime_dir, const std::vector<std::string>& keep);

}  // namespace edge::dhcp
