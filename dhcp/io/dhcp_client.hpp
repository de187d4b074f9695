// DHCP on one layer-3 interface: a supervised dhcpcd, its events, and the lease that follows.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "dhcp/core/lease.hpp"
#include "dhcp/core/lease_engine.hpp"

namespace spdlog {
class logger;
}

namespace edge::dhcp {

struct DhcpClientOptions {
  std::string interface;    ///< The port's bridge, never an enslaved adapter. Must exist at start.
  std::string key;          ///< Names files: twelve hex digits of the base MAC.
  std::string runtime_dir;  ///< "/run/uplink": hook socket, lock, configuration.
  std::string state_dir;    ///< "/var/lib/uplink": dhcpcd's own lease file.
  std::string keeper = "uplink-dhcp-keeper";  ///< Absolute paths, or names beside our own program.
  std::string hook = "uplink-dhcp-hook";
  std::string dhcpcd = "/usr/sbin/dhcpcd";
  LeaseLimits limits;
  std::shared_ptr<spdlog::logger> logger;  ///< nullptr: the default logger.
};

/// DHCPv6's result; nullopt: nothing held any more.
struct Lease6Update {
  std::optional<Lease6> lease;
};

struct DhcpClientHandlers {
  std::function<void(const LeaseUpdate&)> on_lease;
  std::function<void(const Lease6Update&)> on_lease6;
  /// A person should know: another DHCP client runs on this machine, the program is missing, an
  /// address is used twice, values of the server were dropped. One line. Empty: the trouble is
  /// over.
  std::function<void(const std::string&)> on_trouble;
};

struct DhcpClientStatus {
  LeasePhase phase = LeasePhase::none;
  int pid = 0;  ///< The keeper's; 0: none runs.
  std::uint32_t restarts = 0;
  std::string last_event;  ///< Of the running child: "RENEW".
  std::string last_exit;   ///< "status 137: ..."; empty: never ended.
};

/// Handlers are called from the io_context, never from inside a call of the owner, and never after
/// destruction, which kills the child and all of its processes.
/// Threads: that of the io_context, which must live as long as the child.
class DhcpClient {
 public:
  /// Makes folders and the hook socket.
  /// Errors: invalid_input (empty or too long names), conflict, denied, no_space as the file system
  /// says.
  static Result<std::unique_ptr<DhcpClient>> create(boost::asio::io_context& io,
                                                    DhcpClientOptions options,
                                                    DhcpClientHandlers handlers);
  ~DhcpClient();
  DhcpClient(const DhcpClient&) = delete;
  DhcpClient& operator=(const DhcpClient&) = delete;

  /// `stored` of the store, if any. Starts the child whatever the carrier. Call once.
  void start_with(std::optional<Lease> stored, bool carrier);
  /// Of the adapter, not of the bridge (a bridge with a tap stays up).
  void carrier_changed(bool up);
  /// carrier_down_count moved without a carrier event.
  void short_pull();
  /// The path died while the carrier stayed; the gateway's MAC changed; a person asks.
  void revalidate(std::string_view reason);
  /// Flags of the last router advertisement; both false ends the DHCPv6 child.
  void renew_v6(bool managed, bool other);
  /// Ends the children (SIGTERM, then SIGKILL within 2.5 s), then calls `done`. Nothing is
  /// released: the lease stays valid in the store.
  void stop(std::function<void()> done);

  DhcpClientStatus status() const;

 private:
  struct Impl;
  explicit DhcpClient(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// Other DHCP clients of the machine that see this interface: "dhcpcd (pid 812, all interfaces)
/// ...", with what to do. Empty: none. Ours do not count.
std::string foreign_dhcp_client(const std::string& interface);

/// --purge: kills what still holds a lock below `runtime_dir` and removes our files there and below
/// `state_dir`. Errors: denied and the like, first of all met.
Result<void> purge(const std::string& runtime_dir, const std::string& state_dir);

}  // namespace edge::dhcp
