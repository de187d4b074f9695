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
  /// `hosts` and `unfinished` as the database has them: a command may be there and its host's row
  /// not. `seed` draws session ids and jitter.
  Fleet(boost::asio::io_context& io, DbWorker& db, Feed& feed, HostOptions options,
        std::uint64_t seed, std::vector<HostRow> hosts, std::vector<CommandRow> unfinished);

  /// An authenticated connection: waits for its HELLO, then joins its host.
  void admit(std::unique_ptr<tunnel::TlsStream> stream) { doorstep_.admit(std::move(stream)); }

  /// nullptr: never seen here.
  Host* find(std::string_view id);
  /// Known from now on, seen or not.
  Host& expect(const std::string& id);
  const std::map<std::string, std::unique_ptr<Host>, std::less<>>& hosts() const { return hosts_; }
  const FleetCounters& counters() const { return counters_; }
  const Doorstep& doorstep() const { return doorstep_; }
  /// For the metrics: a door turned somebody away before there was a connection.
  void handshake_refused() { ++counters_.handshakes_refused; }
  /// Connections of hosts, those included that are being closed.
  std::size_t connection_count() const;
  const FleetPace& pace() const { return pace_; }
  /// Resident memory of this process, once a second: above HostOptions::memory_bytes_max there are
  /// no new sessions.
  void set_memory(std::size_t bytes) { memory_bytes_ = bytes; }
  /// Counts what waits for all hosts, once a second: above HostOptions::queued_bytes_max there are
  /// no new sessions and streams wait, until it is below three quarters of that.
  void count_queued();
  std::size_t queued_bytes() const { return queued_bytes_; }

  /// Tells every host to come back after a moment, spread over the time that the handshakes of all
  /// take, and closes.
  void stop();
  /// Tells all that are connected. Result: how many they are.
  std::size_t send_away(const tunnel::Goaway& goaway);

 private:
  Host& make(HostRow row);
  void set_pace();
  std::optional<tunnel::Goaway> later(const std::string& id);

  boost::asio::io_context& io_;
  DbWorker& db_;
  Feed& feed_;
  HostOptions options_;
  Random random_;
  FleetCounters counters_;
  FleetPace pace_;
  std::size_t memory_bytes_ = 0;
  std::size_t queued_bytes_ = 0;
  Doorstep doorstep_;
  std::map<std::string, std::unique_ptr<Host>, std::less<>> hosts_;
};

}  // namespace edge::console
