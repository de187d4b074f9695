// A Console under the load of many hosts: who is there, how fast they came, what they answered.
#pragma once

#include <boost/asio/executor_work_guard.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/swarm/api_client.hpp"
#include "tests/bench/swarm/console_process.hpp"
#include "tests/bench/swarm/swarm_host.hpp"

namespace edge::swarm {

/// Raises the limit of open files, beyond the hard one where this process may. Returns the limit.
std::size_t raise_file_limit(std::size_t wanted);

/// WELCOMEs over time, in slices of 100 ms between the first and the last of them.
struct ArrivalRate {
  double per_s = 0;         ///< Mean over all slices.
  double peak_per_s = 0;    ///< Of the fullest second.
  double peak_to_mean = 0;  ///< Of a slice of 100 ms.
  double last_s = 0;        ///< From `since` to the last one.
};
ArrivalRate rate_of(const std::vector<MonoTime>& welcomes, MonoTime since);

struct SwarmOptions {
  unsigned hosts = 50;
  unsigned paths = 2;
  unsigned single = 0;     ///< So many of the hosts have one path only.
  double hosts_per_s = 0;  ///< First dials spread over time; 0: all at once.
  std::uint64_t seed = 1;
};

/// Time: steady timers of its io_context. Threads: the caller's.
class Swarm {
 public:
  Swarm(ConsoleProcess& console, SwarmOptions options);
  ~Swarm();

  /// Runs all hosts until `ready`; false when that took longer than `limit`.
  bool run_until(const std::function<bool()>& ready, Duration limit);
  void run_for(Duration time);
  /// First dials of all hosts; false: not all of their paths were there within `limit`.
  bool connect(Duration limit);
  bool whole() const { return counts_.whole == hosts_.size(); }

  /// One command to each host over the HTTP API; true when all answers are on the Console's disk.
  bool command_all(Duration limit);
  /// A GET; status 0 when it was not answered within `limit`.
  ApiAnswer get(const std::string& target, Duration limit);
  /// Pre: start() was called on the Console. False: it does not answer within `limit`.
  bool wait_for_console(Duration limit);
  /// The signal, the end, a new run; false: it does not answer within `limit`.
  bool restart_console(int signal, Duration limit);

  const SwarmCounts& counts() const { return counts_; }
  std::size_t size() const { return hosts_.size(); }
  std::uint64_t commands_refused() const { return commands_refused_; }
  std::string host_id(unsigned number) const;

 private:
  ConsoleProcess& console_;
  SwarmOptions options_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> busy_;
  SwarmCounts counts_;
  std::vector<std::unique_ptr<SwarmHost>> hosts_;
  ApiClient api_;
  std::uint64_t commands_sent_ = 0;
  std::uint64_t commands_refused_ = 0;
};

}  // namespace edge::swarm
