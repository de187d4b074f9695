// `uplinkctl recable begin|status|finish`.
#include <fmt/format.h>
#include <boost/json.hpp>

#include "uplink/core/recable.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/daemon.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

constexpr const char* setting_name = "recable";

PortSight sight_of(const Port& port, const std::string& path_state) {
  PortSight out;
  out.key = port.key;
  out.name = port.name;
  out.carrier = port.carrier;
  out.leased = port.lease_usable();
  out.path_up = path_state == "active" || path_state == "standby";
  if (!port.lease || !port.lease_usable()) { return out; }
  out.subnet = edge::to_string(port.lease->address.network());
  if (const auto gateway = port.lease->default_gateway()) {
    out.gateway = edge::to_string(*gateway);
  }
  if (port.lease->gateway_mac) { out.gateway_mac = edge::to_string(*port.lease->gateway_mac); }
  if (port.lease->server) { out.server = edge::to_string(*port.lease->server); }
  return out;
}

json::object report_json(const RecableSnapshot& snapshot, const RecableReport& report) {
  json::array rows;
  json::array advice;
  for (const RecableRow& row : report.rows) {
    json::object out{{"port", row.port},
                     {"change", std::string(to_string(row.change))},
                     {"was", row.was},
                     {"is", row.is}};
    if (!row.with.empty()) { out["with"] = row.with; }
    if (!row.wrong.empty()) {
      out["wrong"] = row.wrong;
      advice.emplace_back(fmt::format("{}: {}; {}", row.port, row.wrong, row.advice));
    }
    rows.push_back(std::move(out));
  }
  return {{"began", snapshot.began},
          {"degraded", report.degraded()},
          {"ports", std::move(rows)},
          {"advice", std::move(advice)}};
}

}  // namespace

std::vector<PortSight> Daemon::port_sights() const {
  std::vector<PortSight> out;
  for (const auto& [key, port] : ports_.all()) {
    if (port.leads() && port.live) { out.push_back(sight_of(port, tunnel_.path_state(key))); }
  }
  return out;
}

void Daemon::control_recable(const std::string& action, std::shared_ptr<ControlClient> client) {
  if (action == "begin") {
    recable_begin(std::move(client));
    return;
  }
  if (action != "status" && action != "finish") {
    client->refuse(fmt::format("recable \"{}\": expected begin, status or finish", action), 2);
    return;
  }
  store_.run([](store::Store& s) { return s.setting(setting_name); },
             [this, action, client](const Result<std::optional<std::string>>& text) {
               const auto snapshot = text && *text ? recable_from_json(**text) : std::nullopt;
               if (!snapshot) {
                 client->refuse(text ? "no recabling has begun; see \"uplinkctl recable begin\""
                                     : text.error().what);
                 return;
               }
               const RecableReport report = compare(*snapshot, port_sights());
               json::object data = report_json(*snapshot, report);
               data["state"] = action == "finish" ? "finished" : "running";
               if (action == "finish") { recable_end(report.degraded()); }
               client->answer(std::move(data), report.degraded() ? 3 : 0);
             });
}

void Daemon::recable_begin(std::shared_ptr<ControlClient> client) {
  const RecableSnapshot snapshot{.began = to_iso8601(wall_now()), .ports = port_sights()};
  store_.run([text = to_json_text(snapshot)](
                 store::Store& s) { return s.put_setting(setting_name, text); },
             [this, snapshot, client](const Result<void>& stored) {
               if (!stored) {
                 client->refuse(stored.error().what);
                 return;
               }
               events_.add("recable.begun", {{"ports", snapshot.ports.size()}});
               json::object data = report_json(snapshot, compare(snapshot, snapshot.ports));
               data["state"] = "begun";
               client->answer(std::move(data));
             });
}

void Daemon::recable_end(bool degraded) {
  events_.add("recable.finished", {{"degraded", degraded}});
  store_.run([](store::Store& s) { return s.put_setting(setting_name, ""); },
             [](const Result<void>&) {});  // Not stored: it goes on, and can be finished again.
}

}  // namespace edge::uplink
