// Host: what the API shows of it.
#include <algorithm>
#include <cmath>

#include <boost/json.hpp>

#include "console/clock.hpp"
#include "console/host.hpp"
#include "tunnel/io/tcp_gaps.hpp"

namespace edge::console {

namespace json = boost::json;

namespace {

double to_ms(Duration duration) {
  return static_cast<double>(duration / std::chrono::microseconds(1)) / 1000.0;
}

json::value or_null(const std::optional<WallTime>& time) {
  return time ? json::value(to_iso8601(*time)) : json::value(nullptr);
}

/// What the host says in one line, "tcp: refused", in the form of what this Console saw itself.
json::value failure_of(const json::value& said) {
  if (!said.is_string()) { return nullptr; }
  const std::string_view text = said.get_string();
  const auto colon = text.find(": ");
  const bool whole = colon == std::string_view::npos;
  return json::object{{"cause", text.substr(0, whole ? text.size() : colon)},
                      {"detail", whole ? std::string_view{} : text.substr(colon + 2)},
                      {"time", nullptr},
                      {"seen_by", "host"}};
}

/// The host's own list of paths, by label.
std::map<std::string, json::object> reported_paths(const json::object& snapshot) {
  std::map<std::string, json::object> out;
  const json::value* list = snapshot.if_contains("paths");
  if (list == nullptr || !list->is_array()) { return out; }
  for (const json::value& item : list->get_array()) {
    const json::object* path = item.if_object();
    const json::value* label = path == nullptr ? nullptr : path->if_contains("path");
    if (label != nullptr && label->is_string()) { out[std::string(label->get_string())] = *path; }
  }
  return out;
}

}  // namespace

json::array Host::paths(const json::object& snapshot) const {
  auto known = reported_paths(snapshot);
  const MonoTime now = mono_now();
  const auto live = session_.paths(now);
  // What the host says of a path that we do not hear is out of date at best.
  for (auto& [label, path] : known) {
    const json::value* state = path.if_contains("state");
    const bool claims_up = state != nullptr && state->is_string() &&
                           state->get_string() != "down" && state->get_string() != "dialing";
    if (claims_up) { path["state"] = "down"; }
    if (path.contains("last_failure")) { path["last_failure"] = failure_of(path["last_failure"]); }
  }
  for (const auto& view : live) {
    json::object& path = known[view.facts.label];
    path["path"] = view.facts.label;
    path["port"] = view.facts.port;
    path["endpoint"] = view.facts.endpoint;
    path["state"] = to_string(view.state);
    path["broken_step"] = nullptr;
    path["cause"] = nullptr;
    path["since"] = to_iso8601(
        wall_now() - std::chrono::duration_cast<std::chrono::milliseconds>(now - view.attached_at));
    if (view.srtt) { path["rtt_ms"] = to_ms(*view.srtt); }
    path["last_heard_ms"] = to_ms(view.last_rx_age);
    path["loss_percent"] = loss_percent(view.path);
    path["draining"] = view.draining;
    path["class"] = to_string(view.facts.path_class);
    path["metered"] = view.facts.metered;
  }
  for (const auto& [label, failure] : failures_) {
    const auto found = known.find(label);
    if (found == known.end()) { continue; }
    json::object& path = found->second;
    path["last_failure"] = json::object{{"cause", failure.cause},
                                        {"detail", failure.detail},
                                        {"time", to_iso8601(failure.time)},
                                        {"seen_by", "console"}};
    if (path["state"] == "down" && path["cause"].is_null()) { path["cause"] = failure.cause; }
  }
  json::array out;
  for (auto& [label, path] : known) { out.emplace_back(std::move(path)); }
  return out;
}

/// Of the segments that this Console sent over it.
double Host::loss_percent(PathId path) const {
  const auto found = connections_.find(path);
  if (found == connections_.end()) { return 0; }
  const auto sent = tunnel::segments_sent(found->second->stream().native_handle());
  return sent.data == 0 ? 0 : std::min(100.0, std::round(1e4 * sent.again / sent.data) / 100);
}

json::object Host::summary() const { return summary(snapshot_object()); }

json::object Host::summary(const json::object& snapshot) const {
  json::object out{{"host", row_.id},
                   {"online", online_},
                   {"since", to_iso8601(row_.changed)},
                   {"first_seen", to_iso8601(row_.first_seen)},
                   {"session", session_.established() ? json::value(to_hex(session_.id()))
                                                      : json::value(nullptr)},
                   {"software", row_.software},
                   {"paths", paths(snapshot)},
                   {"commands_pending", pending_.size()},
                   {"last_event", event_stored_}};
  out["revision"] = revision_;
  out["certificate"] = shown_certificate();
  if (const json::value order = renewal_json(); !order.is_null()) { out["renewal"] = order; }
  if (const json::value put_back = put_back_json(); !put_back.is_null()) {
    out["store_put_back"] = put_back;
  }
  if (row_.revoked) {
    out["revoked"] =
        json::object{{"since", to_iso8601(row_.revoked->time)}, {"reason", row_.revoked->reason}};
  }
  if (version_refused_) {
    out["version_refused"] = json::object{{"reason", version_refused_->first},
                                          {"time", to_iso8601(version_refused_->second)}};
  }
  if (clone_) {
    out["clone_refused"] =
        json::object{{"install_id", clone_->first}, {"time", to_iso8601(clone_->second)}};
  }
  return out;
}

/// Of this installation. `after`: the last event that it and the present store have in common.
json::value Host::put_back_json() const {
  const EventLine& line = row_.event_line;
  if (line.branches().empty()) { return nullptr; }
  const EventLine::Branch& last = line.branches().back();
  if (last.from <= row_.event_base) { return nullptr; }
  return json::object{{"time", to_iso8601(last.time)},
                      {"after", line.n_of(last.from - 1)},
                      {"n", last.from + last.shift}};
}

json::object Host::details() const {
  const json::object snapshot = snapshot_object();
  json::object out = summary(snapshot);
  out["install_id"] = row_.install_id;
  out["boot_id"] = row_.boot_id;
  out["snapshot_time"] = or_null(snapshot_time_);
  out["snapshot_gaps"] = snapshot_gaps_;
  for (const auto& [key, value] : snapshot) {
    if (!out.contains(key)) { out[key] = value; }
  }
  for (const char* key : {"ports", "networks", "interfaces", "gateway"}) {
    if (!out.contains(key)) { out[key] = json::array{}; }
  }
  if (!out.contains("model")) { out["model"] = nullptr; }
  const tunnel::SessionStats& stats = session_.stats();
  out["tunnel"] = json::object{{"sent", stats.sent},
                               {"mirrored", stats.mirrored},
                               {"copied", stats.copied},
                               {"resent", stats.resent},
                               {"delivered", stats.delivered},
                               {"duplicates", stats.duplicates},
                               {"violations", stats.violations}};
  return out;
}

}  // namespace edge::console
