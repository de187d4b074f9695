// A host port, its bridge, a switch and servers behind it, in network namespaces of this process.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "dhcp/io/child.hpp"
#include "dhcp/io/dhcp_client.hpp"

namespace edge::dhcp::lab {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

/// A folder below /tmp that goes with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// host: eth0 in bridge br0. net: p0, the other end, in bridge sw, which is switch, router and
/// server. The process itself is in `host`. Interface numbers of the two differ: with equal ones
/// the kernel takes a veth for no urgent link and lets its bridge port forward up to a second late.
class Lab {
 public:
  Lab();

  /// Runs a shell line there. Fails the test when it fails.
  void in_host(const std::string& line);
  void in_net(const std::string& line);
  /// What the line prints.
  std::string output_of_net(const std::string& line);
  /// `work` with the calling thread in `net`.
  void at_net(const std::function<void()>& work);

  /// One more machine on the switch, with that address ("192.168.1.77/24").
  void add_neighbour(const std::string& address);

  void pull() { set_admin(false); }
  void plug() { set_admin(true); }

  const TemporaryFolder& folder() const { return folder_; }
  boost::asio::io_context& io() { return io_; }

  /// Runs the io_context until it is so; false after `patience`.
  bool wait(const std::function<bool()>& condition, Clock::duration patience = seconds(6));

  static constexpr const char* port = "eth0";
  static constexpr const char* bridge = "br0";

 private:
  void run(int net_fd, const std::string& line);
  void set_admin(bool up);

  TemporaryFolder folder_;
  UniqueFd host_;
  UniqueFd net_;
  std::vector<UniqueFd> neighbours_;
  UniqueFd net_control_;  ///< For interface ioctls there.
  boost::asio::io_context io_;
};

/// A DHCP server (dnsmasq) on the switch.
class Server {
 public:
  /// `options`: one per entry, without the leading dashes.
  Server(Lab& lab, const std::vector<std::string>& options);
  void stop() { child_.reset(); }
  bool running() const { return child_ != nullptr; }
  int lines_with(std::string_view text) const;

 private:
  std::vector<std::string> lines_;
  std::unique_ptr<Child> child_;
};

/// What the daemon does around a DhcpClient: watches the adapter, owns the address.
class Port {
 public:
  struct Seen {
    Clock::time_point at;
    LeaseUpdate update;
  };

  Port(Lab& lab, std::string key = "0200000000aa");
  ~Port();
  void start(std::optional<Lease> stored = std::nullopt);
  void stop();

  LeasePhase phase() const { return seen_.empty() ? LeasePhase::none : seen_.back().update.phase; }
  const LeaseUpdate& last() const { return seen_.back().update; }
  const std::vector<Seen>& seen() const { return seen_; }
  DhcpClient& client() { return *client_; }
  bool carrier() const { return carrier_; }
  const std::vector<std::string>& troubles() const { return troubles_; }
  const std::optional<Lease6>& lease6() const { return lease6_; }

  bool wait_phase(LeasePhase phase, Clock::duration patience = seconds(6));
  /// All processes of the child but the keeper; those named dhcpcd, the main one first.
  std::vector<pid_t> dhcpcd_processes() const;

 private:
  void watch_link();
  void take_link_events();
  void set_address(const std::optional<Lease>& lease);

  Lab& lab_;
  boost::asio::posix::stream_descriptor link_events_;
  bool carrier_ = true;
  std::vector<Seen> seen_;
  std::vector<std::string> troubles_;
  std::optional<Lease6> lease6_;
  std::string address_;
  std::unique_ptr<DhcpClient> client_;
};

/// True when none of the processes lives (zombies of others count as gone) before the patience
/// ends.
bool all_gone(const std::vector<pid_t>& processes, milliseconds patience);
milliseconds since(Clock::time_point start);
/// "first lease: min 20 median 24 max 31 ms (n=7)" on standard output.
milliseconds print_figure(std::string_view name, std::vector<milliseconds> values);

}  // namespace edge::dhcp::lab
