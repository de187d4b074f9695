// What a path has taught this host, kept over restarts: addresses that worked, failures of an
// adapter.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "store/io/store_worker.hpp"
#include "tunnel/core/session.hpp"
#include "uplink/core/path_engine.hpp"

namespace edge::uplink {

/// Role: a cache of the store's rows. What the store cannot say or take is missing, never an error:
/// the next WELCOME or failure writes it again. Time: the wall clock, for ages that outlive a
/// restart. Threads: the store worker's results arrive in the io_context.
class PathMemory {
 public:
  explicit PathMemory(store::StoreWorker& store) : store_(store) {}

  /// Reads the good addresses of a path, unless a WELCOME taught newer ones meanwhile.
  void recall_addresses(const PathKey& key, const MacAddress& mac, const std::string& endpoint);
  /// The address that answered last comes first; empty: none is known.
  std::vector<IpAddress> own_addresses(const PathKey& key) const;
  /// Its own, and behind them, up to known_max in all, where other ports found the same endpoint:
  /// what answered them before what only their resolvers named.
  static constexpr std::size_t known_max = 16;
  std::vector<IpAddress> addresses(const PathKey& key) const;
  /// The path got its WELCOME from one of the resolved addresses; none: DNS was no help.
  void keep_addresses(const PathKey& key, const MacAddress& mac, const std::string& endpoint,
                      const IpAddress& answered, std::vector<IpAddress> resolved);

  /// Of the Console's names, by endpoint: each address that one of them had while it is in force.
  /// A resolver that answers with another one of ten each time has one Console behind it, and what
  /// is said of its addresses must not come and go with the answers.
  static constexpr std::size_t seen_max = 64;  ///< Of an endpoint; the longest unheard of goes.
  void saw(std::size_t endpoint, const std::vector<IpAddress>& addresses);
  std::set<IpAddress> seen() const;

  /// Of paths that are not dialled any more; the store keeps them. `gone` looks at the endpoint.
  template <class Gone>
  void forget_addresses(Gone&& gone) {
    std::erase_if(addresses_, [&](const auto& item) { return gone(item.first); });
    std::erase_if(asked_, gone);
    std::erase_if(seen_, [&](const auto& item) { return gone(PathKey{"", item.first}); });
  }
  /// Paths of which something is known or asked.
  std::size_t path_count() const { return addresses_.size() + asked_.size(); }

  /// A restart of the daemon forgives an adapter nothing. Calls back only if something is known.
  void recall_reputation(const std::string& adapter, const MacAddress& mac,
                         std::function<void(tunnel::Reputation)> known);
  void keep_reputation(const MacAddress& mac, const tunnel::Reputation& reputation);

 private:
  store::StoreWorker& store_;
  std::map<PathKey, std::vector<IpAddress>> addresses_;
  std::map<std::size_t, std::vector<IpAddress>> seen_;  ///< The last seen one at the end.
  std::set<PathKey> asked_;                             ///< The store has not answered yet.
};

}  // namespace edge::uplink
