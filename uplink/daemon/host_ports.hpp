// Which ports of this host its own programs use: read on a thread of its own, known on the loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/ids.hpp"
#include "netmodel/io/listeners.hpp"
#include "store/io/store_worker.hpp"

namespace edge::uplink {

/// A reading costs 0.1 ms on a quiet host, but a program that is new costs a walk of /proc: 10 to
/// 28 ms on a machine with 300 processes, and heartbeats must not wait for that. Nor may anything
/// else of this machine (a pulled cable brings new programs, and on two cores the walk held up
/// commands and their answers for 20 ms): it rests between its pieces, as long as nobody waits.
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

 private:
  struct Box {
    netmodel::ListenerReader reader;
    template <class Body>
    auto together(Body&& body) {
      return body();
    }
  };
  /// Between the loop, which says whether somebody waits, and the worker, which rests if nobody
  /// does.
  class Rests {
   public:
    static constexpr std::chrono::microseconds work{500}, rest{2000};
    void hurry(bool somebody_waits);
    void begin();
    void breathe();

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool somebody_waits_ = false;
    std::chrono::steady_clock::time_point since_;  ///< The worker's alone.
  };
  void read(const std::vector<IpAddress>& uplink_addresses);
  bool older_than(std::chrono::milliseconds age) const;

  std::vector<netmodel::ReservedPort> known_;
  std::optional<MonoTime> known_at_;  ///< When its reading began.
  bool reading_ = false;
  std::vector<std::function<void()>> waiting_;
  Rests rests_;
  store::Worker<Box> worker_;
};

}  // namespace edge::uplink
