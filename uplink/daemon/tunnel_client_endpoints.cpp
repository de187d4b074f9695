// Where the Console is reached: the list of uplink.toml, or that of a command in its place.
#include <algorithm>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/tunnel_client.hpp"
#include "uplink/daemon/tunnel_connection.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

/// Of a GOAWAY that does not say for how long.
constexpr std::chrono::minutes offer_tried_for{10};
constexpr std::size_t offered_max = 16;  ///< At a time.

}  // namespace

void TunnelClient::use_endpoints(const std::vector<HostPort>& list) {
  commanded_ = !list.empty();
  std::vector<std::size_t> wanted;
  for (const HostPort& endpoint : commanded_ ? list : config_.console.endpoints) {
    const auto known =
        std::ranges::find(endpoints_, endpoint, [](const auto& item) { return item.second; });
    const std::size_t number = known == endpoints_.end() ? number_for(endpoint) : known->first;
    if (std::ranges::find(wanted, number) == wanted.end()) { wanted.push_back(number); }
    if (known != endpoints_.end()) { continue; }
    endpoints_.emplace(number, endpoint);
    for (const auto& [port_key, rank] : ranks_) {
      if (const Port* port = ports_.find(port_key); port != nullptr) {
        memory_.recall_addresses({port_key, number}, port->base_mac, edge::to_string(endpoint));
      }
    }
  }
  if (wanted == in_force_) { return; }
  in_force_ = std::move(wanted);
  std::vector<std::size_t> all = in_force_;
  for (const auto& [number, endpoint] : endpoints_) {
    if (!in_force({"", number})) { all.push_back(number); }
  }
  add_offered(all);
  paths_.set_endpoints(std::move(all), mono_now());
  pump();
}

/// A new one's, or the one that it has as an offered one: its path stays.
std::size_t TunnelClient::number_for(const HostPort& endpoint) {
  const auto offered =
      std::ranges::find(offered_, endpoint, [](const auto& item) { return item.second; });
  if (offered == offered_.end() || !engine().offered(offered->first)) { return next_endpoint_++; }
  const std::size_t number = offered->first;
  engine().adopt(number);
  offered_.erase(offered);
  return number;
}

/// What the Console offered ends as it said, whatever list is in force.
void TunnelClient::add_offered(std::vector<std::size_t>& list) {
  forget_offers();
  for (const auto& [number, endpoint] : offered_) { list.push_back(number); }
}

void TunnelClient::forget_offers() {
  const auto over = [this](std::size_t number) { return !engine().offered(number); };
  for (const auto& [number, endpoint] : offered_) {
    if (!over(number)) { continue; }
    const auto its = [number](const auto& item) { return item.first.endpoint == number; };
    std::erase_if(attempts_, its);
    std::erase_if(barriers_, its);
    std::erase_if(welcomes_, its);
    memory_.forget_addresses([number](const PathKey& key) { return key.endpoint == number; });
  }
  std::erase_if(offered_, [&](const auto& item) { return over(item.first); });
}

bool TunnelClient::retire_endpoints() {
  if (endpoints_.size() != in_force_.size()) {
    std::vector<std::size_t> kept = in_force_;
    add_offered(kept);
    paths_.set_endpoints(std::move(kept), mono_now());
    pump();
    const auto gone = [this](const auto& item) { return !in_force(item.first); };
    std::erase_if(attempts_, gone);
    std::erase_if(barriers_, gone);
    std::erase_if(welcomes_, gone);
    std::erase_if(endpoints_, [this](const auto& item) { return !in_force({"", item.first}); });
    memory_.forget_addresses([this](const PathKey& key) { return !in_force(key); });
    hooks_.on_change();
  }
  return std::exchange(settled_, in_force_) != in_force_;
}

json::object TunnelClient::endpoints_json() const {
  json::array list;
  for (const std::size_t number : in_force_) {
    list.emplace_back(edge::to_string(endpoints_.at(number)));
  }
  return {{"endpoints", std::move(list)},
          {"endpoints_from", commanded_ ? "command" : "uplink.toml"}};
}

std::vector<std::string> TunnelClient::endpoint_names(const std::vector<HostPort>& list) const {
  std::vector<std::string> out;
  for (const HostPort& endpoint : list.empty() ? config_.console.endpoints : list) {
    out.push_back(edge::to_string(endpoint));
  }
  return out;
}

bool TunnelClient::in_force(const PathKey& key) const {
  return std::ranges::find(in_force_, key.endpoint) != in_force_.end() ||
         offered_.contains(key.endpoint);
}

const HostPort* TunnelClient::endpoint_of(const PathKey& key) const {
  for (const auto* list : {&endpoints_, &offered_}) {
    const auto found = list->find(key.endpoint);
    if (found != list->end()) { return &found->second; }
  }
  return nullptr;
}

std::string TunnelClient::endpoint_name(const PathKey& key) const {
  const HostPort* endpoint = endpoint_of(key);
  return endpoint == nullptr ? "gone" : edge::to_string(*endpoint);
}

/// It comes over each path; the first one draws the moments. What it names has to show the
/// Console's certificate like any other address.
void TunnelClient::on_goaway(const tunnel::Goaway& goaway) {
  forget_offers();
  std::vector<std::size_t> numbers;
  json::array fresh;
  for (const std::string& text : goaway.endpoints) {
    const auto endpoint = parse_host_port(text);
    if (!endpoint) {
      spdlog::warn("console.offer_ignored endpoint=\"{}\" reason=\"{}\"", text,
                   endpoint.error().what);
      continue;
    }
    const auto is_it = [&](const auto& item) { return item.second == *endpoint; };
    if (std::ranges::any_of(endpoints_, is_it)) { continue; }  // It has its own moment.
    const auto known = std::ranges::find_if(offered_, is_it);
    if (known == offered_.end() && offered_.size() >= offered_max) { continue; }
    numbers.push_back(known == offered_.end() ? next_endpoint_++ : known->first);
    if (known != offered_.end()) { continue; }
    offered_.emplace(numbers.back(), *endpoint);
    fresh.emplace_back(edge::to_string(*endpoint));
  }
  if (numbers.empty()) { return; }
  const Duration try_for =
      goaway.try_for.count() == 0
          ? Duration(offer_tried_for)
          : std::clamp<Duration>(goaway.try_for, std::chrono::seconds(1), std::chrono::hours(24));
  const MonoTime now = mono_now();
  engine().offer(numbers, goaway.reconnect_in, goaway.spread,
                 now + goaway.reconnect_in + goaway.spread + try_for, now);
  if (!fresh.empty()) {
    events_.add("console.offered", {{"endpoints", std::move(fresh)}, {"reason", goaway.reason}});
  }
}

}  // namespace edge::uplink
