// Over what the Console stays reachable: said of a change, or of a cable, before it is touched.
#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "netmodel/core/groups.hpp"
#include "uplink/daemon/daemon.hpp"
#include "uplink/daemon/texts.hpp"

namespace edge::uplink {

namespace json = boost::json;

WaysAfter Daemon::ways_after_change(const netmodel::Model& wanted, const TrialTerms& terms) const {
  const netmodel::Model& model = reconciler_.model();
  WayChange change{.leaving = terms.leaving, .affected = terms.affected};
  for (const auto& item : netmodel::covered_addresses(model, wanted, needed())) {
    if (item.owned) { change.covered.insert(item.needed.address); }
  }
  if (wanted.host.console_endpoints != model.host.console_endpoints) {
    change.endpoints = tunnel_.endpoint_names(wanted.host.console_endpoints);
  }
  return ways_after(tunnel_.ways(), change);
}

/// The engine that judges a command answers here as well: the model stays, one carrier goes.
void Daemon::control_unplug(const json::object& args, std::shared_ptr<ControlClient> client) {
  const auto* arg = args.if_contains("port");
  const std::string name =
      arg != nullptr && arg->is_string() ? std::string(arg->as_string()) : std::string();
  const Port* port = ports_.find_by_name(name);
  if (port == nullptr) {
    client->refuse(fmt::format("there is no port \"{}\"; see \"uplinkctl ports\"", name));
    return;
  }
  const netmodel::Model& model = reconciler_.model();
  const netmodel::RenderFacts before = render_facts();
  netmodel::RenderFacts after = before;
  for (auto& adapter : after.adapters) {
    if (adapter.base_mac == port->base_mac) { adapter.carrier = false; }
  }
  const auto found = netmodel::consequences({model, before}, {model, after}, {});
  const std::string path_of = to_hex(netmodel::leader_of(model, port->base_mac));
  const bool path_ends =
      std::ranges::any_of(found.items, [](const auto& item) { return item.kind == "port.down"; });
  const std::vector<Way> up = tunnel_.ways();
  const bool has_path = std::ranges::find(up, path_of, &Way::port_key) != up.end();
  WayChange change;
  if (path_ends) { change.leaving.insert(path_of); }
  const WaysAfter ways = ways_after(up, change);

  json::array consequences;
  if (std::string line = to_line(ways); !line.empty()) { consequences.emplace_back(line); }
  if (has_path && !path_ends) {
    consequences.emplace_back("its group goes on over another adapter: the path stays");
  }
  for (const auto& line : bounded(netmodel::to_lines(found))) { consequences.emplace_back(line); }
  json::array others;
  for (const Way& way : up) {
    const bool told = std::ranges::find(others, json::value(way.port)) != others.end();
    if (way.port_key != path_of && !told) { others.emplace_back(way.port); }
  }
  // While no path is up nothing can be lost but the last port that could have one.
  const bool unreachable = std::ranges::any_of(
      found.items, [](const auto& item) { return item.kind == "host.unreachable"; });
  const bool safe = up.empty() ? !unreachable : !ways.left.empty();
  client->answer(json::object{{"port", port->name},
                              {"safe", safe},
                              {"consequences", std::move(consequences)},
                              {"console", to_json(ways)},
                              {"other_paths", std::move(others)}},
                 safe ? 0 : 3);
}

}  // namespace edge::uplink
