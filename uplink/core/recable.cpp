// Recabling, guided: what was behind each port, what is now, and what of it is wrong.
#include "uplink/core/recable.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "uplink/core/json_read.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

const PortSight* find(const std::vector<PortSight>& ports, const std::string& key) {
  const auto found = std::ranges::find(ports, key, &PortSight::key);
  return found == ports.end() ? nullptr : &*found;
}

/// Another port that shows this network.
const PortSight* other_with(const std::vector<PortSight>& ports, const std::string& network,
                            const std::string& key) {
  const auto found = std::ranges::find_if(ports, [&](const PortSight& port) {
    return port.key != key && !network.empty() && port.network() == network;
  });
  return found == ports.end() ? nullptr : &*found;
}

std::string describe(const PortSight* port) {
  if (port == nullptr) { return "no adapter"; }
  if (!port->carrier) { return "no cable"; }
  if (port->subnet.empty()) { return "carrier, no lease"; }
  const std::string& by = port->gateway.empty() ? port->server : port->gateway;
  std::string out = port->subnet;
  if (!by.empty()) { out += " by " + by; }
  if (!port->neighbour.empty()) { out += " at " + port->neighbour; }
  return out;
}

/// What happened to a port, and with whom.
void judge_change(RecableRow& row, const PortSight* was, const PortSight* is,
                  const RecableSnapshot& before, const std::vector<PortSight>& now) {
  const bool had = was != nullptr && was->carrier;
  const bool has = is != nullptr && is->carrier;
  if (is == nullptr) {
    row.change = RecableChange::missing;
  } else if (!has) {
    row.change = had ? RecableChange::unplugged : RecableChange::none;
  } else if (is->network().empty()) {
    row.change = had && was->network().empty() ? RecableChange::same : RecableChange::waiting;
  } else if (had && was->network() == is->network()) {
    row.change = RecableChange::same;
  } else if (const PortSight* former = other_with(before.ports, is->network(), is->key)) {
    const PortSight* its = find(now, former->key);
    const bool both = had && its != nullptr && its->network() == was->network();
    row.change = both ? RecableChange::swapped : RecableChange::moved;
    row.with = former->name;
  } else {
    row.change = had ? RecableChange::other : RecableChange::plugged;
  }
}

void judge_wrong(RecableRow& row, const PortSight* was, const PortSight* is,
                 const RecableSnapshot& before, const std::vector<PortSight>& now) {
  const auto wrong = [&row](std::string what, std::string advice) {
    row.wrong = std::move(what);
    row.advice = std::move(advice);
  };
  if (was != nullptr && is == nullptr) {
    return wrong("the adapter is gone", "insert the card again, or check its driver with dmesg");
  }
  if (is == nullptr) { return; }
  if (was != nullptr && was->carrier && !is->carrier) {
    return wrong("no carrier; it had " + describe(was),
                 "plug the cable in at both ends, or check the switch port");
  }
  if (is->carrier && was != nullptr && was->leased && !is->leased) {
    return wrong("carrier, but no lease",
                 "is it the right switch port and VLAN? does a DHCP server answer there?");
  }
  if (const PortSight* twin = other_with(now, is->network(), is->key)) {
    const PortSight* its_past = find(before.ports, twin->key);
    const bool was_so =
        was != nullptr && its_past != nullptr && was->network() == its_past->network();
    if (!was_so) {
      return wrong(fmt::format("the same network as {}: {}", twin->name, describe(is)),
                   fmt::format("{} and {} are in one network now; move one of the cables", is->name,
                               twin->name));
    }
  }
  if (was != nullptr && was->path_up && !is->path_up) {
    wrong("the Console was reached over it and is not any more",
          "see \"uplinkctl doctor " + is->name + "\"");
  }
}

}  // namespace

std::string PortSight::network() const {
  if (!carrier || subnet.empty()) { return {}; }
  return subnet + " " + (gateway_mac.empty() ? gateway + server : gateway_mac);
}

std::string_view to_string(RecableChange change) {
  switch (change) {
    case RecableChange::same: return "same";
    case RecableChange::swapped: return "swapped";
    case RecableChange::moved: return "moved";
    case RecableChange::other: return "another network";
    case RecableChange::unplugged: return "unplugged";
    case RecableChange::plugged: return "plugged";
    case RecableChange::waiting: return "waiting for a lease";
    case RecableChange::missing: return "missing";
    case RecableChange::none: return "no cable";
  }
  return "same";
}

bool RecableReport::degraded() const {
  return std::ranges::any_of(rows, [](const RecableRow& row) { return !row.wrong.empty(); });
}

RecableReport compare(const RecableSnapshot& before, const std::vector<PortSight>& now) {
  std::vector<PortSight> all = now;  // Ports that are gone come last.
  for (const PortSight& port : before.ports) {
    if (find(now, port.key) == nullptr) { all.push_back(port); }
  }
  RecableReport out;
  for (const PortSight& port : all) {
    const PortSight* was = find(before.ports, port.key);
    const PortSight* is = find(now, port.key);
    RecableRow row;
    row.port = port.name;
    row.was = describe(was);
    row.is = describe(is);
    judge_change(row, was, is, before, now);
    judge_wrong(row, was, is, before, now);
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::string to_json_text(const RecableSnapshot& snapshot) {
  json::array ports;
  for (const PortSight& port : snapshot.ports) {
    ports.push_back(json::object{{"key", port.key},
                                 {"name", port.name},
                                 {"carrier", port.carrier},
                                 {"leased", port.leased},
                                 {"path_up", port.path_up},
                                 {"subnet", port.subnet},
                                 {"gateway", port.gateway},
                                 {"gateway_mac", port.gateway_mac},
                                 {"server", port.server},
                                 {"neighbour", port.neighbour}});
  }
  return json::serialize(json::object{{"began", snapshot.began}, {"ports", std::move(ports)}});
}

std::optional<RecableSnapshot> recable_from_json(std::string_view text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  const auto* object = ec ? nullptr : parsed.if_object();
  const auto* ports = object == nullptr ? nullptr : object->if_contains("ports");
  if (ports == nullptr || !ports->is_array()) { return std::nullopt; }
  RecableSnapshot out{.began = text_in(*object, "began"), .ports = {}};
  for (const auto& value : ports->get_array()) {
    const auto* row = value.if_object();
    if (row == nullptr) { return std::nullopt; }
    out.ports.push_back({.key = text_in(*row, "key"),
                         .name = text_in(*row, "name"),
                         .carrier = flag_in(*row, "carrier"),
                         .leased = flag_in(*row, "leased"),
                         .path_up = flag_in(*row, "path_up"),
                         .subnet = text_in(*row, "subnet"),
                         .gateway = text_in(*row, "gateway"),
                         .gateway_mac = text_in(*row, "gateway_mac"),
                         .server = text_in(*row, "server"),
                         .neighbour = text_in(*row, "neighbour")});
  }
  return out;
}

}  // namespace edge::uplink
