#include "console/fleet.hpp"

#include <spdlog/spdlog.h>

#include "console/clock.hpp"

namespace edge::console {

Fleet::Fleet(boost::asio::io_context& io, DbWorker& db, Feed& feed, HostOptions options,
             std::uint64_t seed, std::vector<HostRow> hosts, std::vector<CommandRow> unfinished)
    : io_(io),
      db_(db),
      feed_(feed),
      options_(options),
      random_(seed),
      doorstep_(io, [this](std::unique_ptr<Connection> connection, const tunnel::Hello& hello) {
        Host* host = find(connection->host_id());
        if (host == nullptr) {
          const WallTime now = wall_now();
          HostRow row;
          row.id = connection->host_id();
          row.first_seen = now;
          row.changed = now;
          spdlog::info("host.new host={}", row.id);
          host = &make(std::move(row));
        }
        host->attach(std::move(connection), hello);
      }) {
  for (HostRow& row : hosts) { make(std::move(row)); }
  for (CommandRow& row : unfinished) {
    if (Host* host = find(row.host); host != nullptr) { host->submit(std::move(row)); }
  }
}

Host& Fleet::make(HostRow row) {
  const std::string id = row.id;
  auto host =
      std::make_unique<Host>(io_, db_, feed_, counters_, std::move(row), options_, random_.next());
  return *hosts_.emplace(id, std::move(host)).first->second;
}

Host* Fleet::find(std::string_view id) {
  const auto found = hosts_.find(id);
  return found == hosts_.end() ? nullptr : found->second.get();
}

void Fleet::stop() {
  doorstep_.clear();
  tunnel::Goaway goaway;
  goaway.reason = "the Console restarts";
  // 200 handshakes/s and core: the fleet comes back spread over the time that it takes.
  goaway.spread = std::chrono::milliseconds(5 * hosts_.size());
  for (const auto& [id, host] : hosts_) { host->stop(goaway); }
}

}  // namespace edge::console
