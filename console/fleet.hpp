// All hosts of this Console, and the door through which they come.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "console/doorstep.hpp"
#include "console/host.hpp"

namespace edge::console {

/// Time: those of its hosts. Threads: the io_context's.
class Fleet {
 public:
  /// `hosts` and `unfinished` as the database has them; `seed` draws session ids and jitter.
  Fleet(boost::asio::io_context& io, DbWorker& db, Feed& feed, HostOptions options,
        std::uint64_t seed, std::vector<HostRow> hosts, std::vector<CommandRow> unfinished);

  /// An authenticated connection: waits for its HELLO, then joins its host.
  void admit(std::unique_ptr<tunnel::TlsStream> stream) { doorstep_.admit(std::move(stream)); }

  /// nullptr: never seen here.
  Host* find(std::string_view id);
  const std::map<std::string, std::unique_ptr<Host>, std::less<>>& hosts() const { return hosts_; }
  const FleetCounters& counters() const { return counters_; }
  const Doorstep& doorstep() const { return doorstep_; }

  /// Tells every host to come back after a moment, and closes.
  void stop();

 private:
  Host& make(HostRow row);

  boost::asio::io_context& io_;
  DbWorker& db_;
  Feed& feed_;
  HostOptions options_;
  Random random_;
  FleetCounters counters_;
  Doorstep doorstep_;
  std::map<std::string, std::unique_ptr<Host>, std::less<>> hosts_;
};

}  // namespace edge::console
