// What people and other parts are shown of the paths and of the session.
#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "tunnel/io/socket_address.hpp"
#include "tunnel/io/tcp_gaps.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/tunnel_client.hpp"
#include "uplink/daemon/tunnel_connection.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

/// Worst first.
constexpr std::array<std::string_view, 6> path_states{"none",    "down",    "dialing",
                                                      "suspect", "standby", "active"};

/// `view`: of the path, while it is attached.
std::string_view state_text(const PathStatus& status, const tunnel::PathView* view) {
  if (view != nullptr) { return to_string(view->state); }
  return status.state == PathState::dialing ? "dialing" : "down";
}

const tunnel::PathView* view_of(const std::map<PathKey, tunnel::PathView>& views,
                                const PathKey& key) {
  const auto found = views.find(key);
  return found == views.end() ? nullptr : &found->second;
}

bool is_worse(const PathStatus& status, const PathStatus& than) {
  return status.broken != Step::none && (than.broken == Step::none || status.broken < than.broken);
}

/// Of the segments that this host sent over the connection, with two decimals.
double loss_percent(const tunnel::TlsStream& stream) {
  const tunnel::SegmentsSent sent = tunnel::segments_sent(stream.native_handle());
  if (sent.data == 0) { return 0; }
  return std::min(100.0, std::round(1e4 * sent.again / sent.data) / 100);
}

}  // namespace

std::set<IpAddress> TunnelClient::console_addresses() const {
  std::set<IpAddress> out;
  for (const auto* list : {&endpoints_, &offered_}) {
    for (const auto& [number, endpoint] : *list) {
      if (const auto address = parse_ip(endpoint.host)) { out.insert(*address); }
    }
  }
  for (const PathStatus& status : engine().status()) {
    const std::vector<IpAddress> good = memory_.addresses(status.key);
    out.insert(good.begin(), good.end());
  }
  for (const auto& [id, connection] : connections_) {
    if (!connection->stream) { continue; }
    out.insert(connection->address);
    out.insert(connection->resolved.begin(), connection->resolved.end());
  }
  return out;
}

std::set<std::uint16_t> TunnelClient::local_ports() const {
  std::set<std::uint16_t> out;
  for (const auto& [id, connection] : connections_) {
    if (connection->stream) {
      out.insert(tunnel::local_address(connection->stream->native_handle()).port);
    }
  }
  return out;
}

std::set<IpAddress> TunnelClient::console_addresses_seen() const {
  std::set<IpAddress> out = console_addresses();
  out.merge(memory_.seen());
  return out;
}

std::map<PathKey, tunnel::PathView> TunnelClient::attached_views(MonoTime now) const {
  std::map<PathKey, tunnel::PathView> out;
  for (const auto& view : session().paths(now)) {
    const auto found = connections_.find(view.path);
    if (found != connections_.end()) { out.emplace(found->second->key, view); }
  }
  return out;
}

json::array TunnelClient::paths_json() const {
  const MonoTime now = mono_now();
  const auto views = attached_views(now);
  const auto active = active_path();
  json::array out;
  for (const PathStatus& status : engine().status()) {
    const Port* port = ports_.find(status.key.port);
    json::object row{{"path", path_name(status.key)},
                     {"port", port == nullptr ? status.key.port : port->name},
                     {"endpoint", endpoint_name(status.key)},
                     {"active", active == status.key}};  // Also while its state is "suspect".
    if (!in_force(status.key)) { row["replaced"] = true; }
    if (port != nullptr && config_.is_metered(port->name)) { row["metered"] = true; }
    if (const HttpUrl* proxy = port == nullptr ? nullptr : config_.proxy_of(port->name)) {
      row["proxy"] = edge::to_string(proxy->at);
    }
    const tunnel::PathView* view = view_of(views, status.key);
    row["state"] = std::string(state_text(status, view));
    if (view != nullptr) {
      row["broken_step"] = nullptr;
      row["cause"] = "";
      if (view->srtt) {
        row["rtt_ms"] = std::floor(static_cast<double>(view->srtt->count()) / 1e4) / 100.0;
      }
      row["last_heard_ms"] = view->last_rx_age / std::chrono::milliseconds(1);
      const Connection* c = main_connection(status.key);
      const double loss = c == nullptr ? 0 : loss_percent(*c->stream);
      if (loss > 0) { row["loss_percent"] = loss; }
      row["class"] = std::string(to_string(view->facts.path_class));
      row["heartbeat_ms"] = view->heartbeat / std::chrono::milliseconds(1);
    } else {
      row["broken_step"] = std::string(to_string(status.broken));
      row["cause"] = status.cause;
      row["advice"] = std::string(advice(status.broken));
      if (status.next_dial) {
        row["retry_in_ms"] = (*status.next_dial - now) / std::chrono::milliseconds(1);
      }
    }
    row["since"] = to_iso8601(
        wall_now() - std::chrono::duration_cast<std::chrono::milliseconds>(now - status.since));
    row["dials"] = status.dials;
    if (status.last_failure) {
      row["last_failure"] =
          fmt::format("{}: {}", to_string(status.last_failure->step), status.last_failure->text);
    }
    out.push_back(std::move(row));
  }
  return out;
}

std::vector<PathSight> TunnelClient::sights() const {
  std::vector<PathSight> out;
  for (const PathStatus& status : engine().status()) {
    out.push_back({.key = status.key,
                   .name = path_name(status.key),
                   .broken = status.broken,
                   .cause = status.cause,
                   .answered = status.answered,
                   .refused = status.refused,
                   .dialing = status.state == PathState::dialing,
                   .replaced = !in_force(status.key),
                   .welcomes = welcomes_.contains(status.key) ? welcomes_.at(status.key) : 0});
  }
  return out;
}

std::vector<Way> TunnelClient::ways() const {
  std::vector<Way> out;
  for (const PathId id : session().succession()) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || !in_force(found->second->key)) { continue; }
    const PathKey& key = found->second->key;
    const Port* port = ports_.find(key.port);
    out.push_back({.port_key = key.port,
                   .port = port == nullptr ? key.port : port->name,
                   .endpoint = endpoint_name(key),
                   .address = found->second->address});
  }
  return out;
}

json::object TunnelClient::console_json() const {
  json::object out{{"state", online() ? "online" : "offline"},
                   {"session", tunnel::to_hex(session().id())},
                   {"server_side", engine().server_side()},
                   {"active_path", nullptr}};
  if (const auto active = active_path()) { out["active_path"] = path_name(*active); }
  for (auto& [name, value] : endpoints_json()) { out[name] = std::move(value); }
  const auto& stats = session().stats();
  out["frames"] = json::object{{"sent", stats.sent},           {"mirrored", stats.mirrored},
                               {"copied", stats.copied},       {"resent", stats.resent},
                               {"delivered", stats.delivered}, {"duplicates", stats.duplicates}};
  out["streams"] = streams_.json();
  return out;
}

std::map<std::string, PortPaths> TunnelClient::paths_by_port() const {
  const auto views = attached_views(mono_now());
  std::map<std::string, PortPaths> out;
  for (const PathStatus& status : engine().status()) {
    PortPaths& paths = out[status.key.port];
    const std::string_view state = state_text(status, view_of(views, status.key));
    paths.state = *std::max(std::ranges::find(path_states, paths.state),
                            std::ranges::find(path_states, state));
    if (!paths.worst || is_worse(status, *paths.worst)) { paths.worst = status; }
  }
  return out;
}

std::string TunnelClient::path_state(const std::string& port_key) const {
  const auto all = paths_by_port();
  const auto found = all.find(port_key);
  return std::string(found == all.end() ? PortPaths{}.state : found->second.state);
}

std::optional<PathStatus> TunnelClient::worst_status(const std::string& port_key) const {
  std::optional<PathStatus> worst;
  for (const PathStatus& status : engine().status()) {
    if (status.key.port != port_key) { continue; }
    if (!worst || is_worse(status, *worst)) { worst = status; }
  }
  return worst;
}

}  // namespace edge::uplink
