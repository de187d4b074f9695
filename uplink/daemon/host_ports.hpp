// Which ports of this host its own programs use: read on a thread of its own, known on the loop.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/ids.hpp"
#include "netmodel/io/listeners.hpp"
#include "store/io/store_worker.hpp"

namespace edge::uplink {

/// A reading costs 0.1 ms on a quiet host, but a program that is new costs a walk of /proc: 10 to
/// 28 ms on a machine with 300 processes, and heartbeats must not wait for that.
///
/// Time: monotonic clock. Threads: the io_context's; the tables are read on a worker.
class HostPorts {
 public:
  /// A list this young is not read again; one that is not older than `usable` decides while the
  /// next is being read.
  static constexpr std::chrono::milliseconds fresh{250}, usable{2000};

  explicit HostPorts(boost::asio::io_context& io) : worker_(io, Box{}) {}

  /// As far as known: of the last reading that ended.
  const std::vector<netmodel::ReservedPort>& known() const { return known_; }
  /// Reads them again, unless the list is fresh or being read.
  void refresh(const std::vector<IpAddress>& uplink_addresses);
  /// Calls back when the list is usable: at once, or after a reading.
  void when_usable(const std::vector<IpAddress>& uplink_addresses, std::function<void()> done);
  /// Something of ours listens or is connected anew: the list is too old, whatever its age.
  void outdate() {
    known_at_.reset();
    outdated_ = true;
  }

 private:
  struct Box {
    netmodel::ListenerReader reader;
    template <class Body>
    auto together(Body&& body) {
      return body();
    }
  };
  void read(const std::vector<IpAddress>& uplink_addresses);
  bool older_than(std::chrono::milliseconds age) const;

  std::vector<netmodel::ReservedPort> known_;
  std::optional<MonoTime> known_at_;  ///< When its reading began.
  bool reading_ = false;
  bool outdated_ = false;  ///< Since the reading under way began.
  std::vector<std::function<void()>> waiting_;
  store::Worker<Box> worker_;
};

}  // namespace edge::uplink
