#include "uplink/daemon/path_memory.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

namespace json = boost::json;

void PathMemory::recall_addresses(const PathKey& key, const MacAddress& mac,
                                  const std::string& endpoint) {
  asked_.insert(key);
  store_.run([mac, endpoint](store::Store& s) { return s.good_addresses(mac, endpoint); },
             [this, key](Result<std::vector<IpAddress>> known) {
               if (asked_.erase(key) == 0) { return; }  // Forgotten meanwhile.
               if (!known || addresses_.contains(key)) { return; }
               saw(key.endpoint, *known);
               addresses_[key] = std::move(*known);
             });
}

void PathMemory::saw(std::size_t endpoint, const std::vector<IpAddress>& addresses) {
  std::vector<IpAddress>& known = seen_[endpoint];
  for (const IpAddress& address : addresses) {
    std::erase(known, address);
    known.push_back(address);
  }
  if (known.size() <= seen_max) { return; }
  known.erase(known.begin(), known.end() - static_cast<std::ptrdiff_t>(seen_max));
}

std::set<IpAddress> PathMemory::seen() const {
  std::set<IpAddress> out;
  for (const auto& [endpoint, addresses] : seen_) {
    out.insert(addresses.begin(), addresses.end());
  }
  return out;
}

std::vector<IpAddress> PathMemory::own_addresses(const PathKey& key) const {
  const auto known = addresses_.find(key);
  return known == addresses_.end() ? std::vector<IpAddress>{} : known->second;
}

std::vector<IpAddress> PathMemory::addresses(const PathKey& key) const {
  std::vector<const std::vector<IpAddress>*> others;
  std::size_t longest = 0;
  for (const auto& [other, known] : addresses_) {
    if (other.endpoint != key.endpoint || other.port == key.port) { continue; }
    others.push_back(&known);
    longest = std::max(longest, known.size());
  }
  std::vector<IpAddress> out = own_addresses(key);
  for (std::size_t place = 0; place < longest; ++place) {  // The first of each is what answered.
    for (const std::vector<IpAddress>* known : others) {
      if (place >= known->size() || out.size() >= known_max) { continue; }
      const IpAddress& address = (*known)[place];
      if (std::ranges::find(out, address) == out.end()) { out.push_back(address); }
    }
  }
  return out;
}

void PathMemory::keep_addresses(const PathKey& key, const MacAddress& mac,
                                const std::string& endpoint, const IpAddress& answered,
                                std::vector<IpAddress> resolved) {
  // DNS was no help: nothing is forgotten.
  if (resolved.empty()) { resolved = own_addresses(key); }
  std::erase(resolved, answered);
  resolved.insert(resolved.begin(), answered);
  saw(key.endpoint, resolved);
  if (addresses_[key] == resolved) { return; }
  addresses_[key] = resolved;
  store_.run([mac, endpoint, good = std::move(resolved), now = wall_now()](
                 store::Store& s) { return s.put_good_addresses(mac, endpoint, good, now); },
             [](const Result<void>&) {});  // Only a cache: the next WELCOME tries again.
}

void PathMemory::recall_reputation(const std::string& adapter, const MacAddress& mac,
                                   std::function<void(tunnel::Reputation)> known) {
  store_.run([mac](store::Store& s) { return s.reputation(mac); },
             [adapter, known = std::move(known)](const Result<std::optional<std::string>>& text) {
               if (!text || !*text) { return; }
               boost::system::error_code ec;
               const json::value parsed = json::parse(**text, ec);
               const json::object* row = ec ? nullptr : parsed.if_object();
               const auto number = [row](const char* name) -> std::int64_t {
                 const json::value* value = row == nullptr ? nullptr : row->if_contains(name);
                 return value != nullptr && value->is_int64() ? value->as_int64() : 0;
               };
               const auto age = wall_now() - WallTime(std::chrono::milliseconds(number("last_ms")));
               known({.adapter = adapter,
                      .failures = static_cast<int>(std::min<std::int64_t>(number("failures"), 64)),
                      .since_last = age});
             });
}

void PathMemory::keep_reputation(const MacAddress& mac, const tunnel::Reputation& reputation) {
  const auto last = std::chrono::duration_cast<std::chrono::milliseconds>(
      (wall_now() - reputation.since_last).time_since_epoch());
  std::string text =
      json::serialize(json::object{{"failures", reputation.failures}, {"last_ms", last.count()}});
  store_.run(
      [mac, text = std::move(text)](store::Store& s) { return s.put_reputation(mac, text); },
      [](const Result<void>&) {});  // Without it a restart forgives; the next failure tries again.
}

}  // namespace edge::uplink
