#include "console/fleet.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "console/clock.hpp"
#include "console/load.hpp"

namespace edge::console {

Fleet::Fleet(boost::asio::io_context& io, DbWorker& db, Feed& feed, HostOptions options,
             std::uint64_t seed, std::vector<HostRow> hosts, std::vector<CommandRow> unfinished)
    : io_(io),
      db_(db),
      feed_(feed),
      options_(std::move(options)),
      random_(seed),
      doorstep_(
          io,
          [this](std::unique_ptr<Connection> connection, const tunnel::Hello& hello) {
            Host& host = expect(connection->host_id());
            host.attach(std::move(connection), hello);
          },
          [this](const std::string& id) { return later(id); },
          [this](const std::string& id) -> std::optional<std::string> {
            const Host* host = find(id);
            if (host == nullptr || !host->revoked()) { return std::nullopt; }
            return text_of(*host->revoked());
          }) {
  for (HostRow& row : hosts) { make(std::move(row)); }
  for (CommandRow& row : unfinished) {
    Host& host = expect(row.host);  // One whose row the disk never took has its commands too.
    host.submit(std::move(row));
  }
}

Host& Fleet::expect(const std::string& id) {
  if (Host* host = find(id); host != nullptr) { return *host; }
  HostRow row;
  row.id = id;
  row.first_seen = row.changed = wall_now();
  spdlog::info("host.new host={}", row.id);
  return make(std::move(row));
}

Host& Fleet::make(HostRow row) {
  const std::string id = row.id;
  auto host = std::make_unique<Host>(io_, db_, feed_, counters_, pace_, std::move(row), options_,
                                     random_.next());
  Host& made = *hosts_.emplace(id, std::move(host)).first->second;
  set_pace();
  return made;
}

std::size_t Fleet::connection_count() const {
  std::size_t sum = 0;
  for (const auto& [id, host] : hosts_) { sum += host->connection_count(); }
  return sum;
}

void Fleet::set_pace() {
  pace_.heartbeat = timers_for(options_.heartbeat, hosts_.size(), options_.heartbeats_per_s);
  pace_.snapshot_store_period =
      std::max<Duration>(std::chrono::seconds(5),
                         std::chrono::seconds(1) * hosts_.size() / options_.snapshot_stores_per_s);
}

/// Asked before any work for a session. A host that has one may have more paths: that it holds on
/// to what it has matters most when times are bad.
std::optional<tunnel::Goaway> Fleet::later(const std::string& id) {
  const Host* host = find(id);
  // Nor does one wait that comes back for what is held for it: it takes that away.
  if (host != nullptr && (host->online() || host->detached())) { return std::nullopt; }
  if (options_.memory_bytes_max != 0 && memory_bytes_ > options_.memory_bytes_max) {
    return tunnel::Goaway{.reason = "the Console's memory is full",
                          .reconnect_in = std::chrono::seconds(30),
                          .spread = std::chrono::seconds(60),
                          .endpoints = {}};
  }
  if (pace_.crowded) {
    return tunnel::Goaway{.reason = "too much waits for slow hosts",
                          .reconnect_in = std::chrono::seconds(10),
                          .spread = std::chrono::seconds(30),
                          .endpoints = {}};
  }
  if (db_.pending() > options_.db_jobs_max) {
    return tunnel::Goaway{.reason = "the Console's disk is behind",
                          .reconnect_in = std::chrono::seconds(2),
                          .spread = std::chrono::seconds(10),
                          .endpoints = {}};
  }
  return std::nullopt;
}

Host* Fleet::find(std::string_view id) {
  const auto found = hosts_.find(id);
  return found == hosts_.end() ? nullptr : found->second.get();
}

void Fleet::count_queued() {
  queued_bytes_ = 0;
  for (const auto& [id, host] : hosts_) { queued_bytes_ += host->waiting_bytes(); }
  const std::size_t limit = options_.queued_bytes_max;
  const bool crowded = queued_bytes_ > (pace_.crowded ? limit / 4 * 3 : limit);
  if (std::exchange(pace_.crowded, crowded) == crowded) { return; }
  spdlog::warn("fleet.queued bytes={} limit={}: {}", queued_bytes_, limit,
               crowded ? "no new sessions, streams wait" : "all are served again");
  if (crowded) { return; }
  for (const auto& [id, host] : hosts_) { host->wake(); }
}

std::size_t Fleet::send_away(const tunnel::Goaway& goaway) {
  std::size_t told = 0;
  for (const auto& [id, host] : hosts_) {
    if (host->path_count() == 0) { continue; }
    host->send_away(goaway);
    ++told;
  }
  spdlog::info("fleet.goaway hosts={} spread_ms={} endpoints={} reason=\"{}\"", told,
               goaway.spread.count(), goaway.endpoints.size(), goaway.reason);
  return told;
}

void Fleet::stop() {
  doorstep_.clear();
  tunnel::Goaway goaway;
  goaway.reason = "the Console restarts";
  std::size_t paths = 0;
  for (const auto& [id, host] : hosts_) { paths += host->path_count(); }
  goaway.spread = spread_for(paths, options_.handshakes_per_s);
  for (const auto& [id, host] : hosts_) { host->stop(goaway); }
}

}  // namespace edge::console
