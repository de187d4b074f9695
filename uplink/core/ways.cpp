#include "uplink/core/ways.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/json/array.hpp>

namespace edge::uplink {
namespace {

namespace json = boost::json;

bool listed(const std::vector<std::string>& endpoints, const std::string& endpoint) {
  return std::ranges::find(endpoints, endpoint) != endpoints.end();
}

bool ends(const Way& way, const WayChange& change) {
  return change.leaving.contains(way.port_key) || change.covered.contains(way.address) ||
         (change.endpoints && !listed(*change.endpoints, way.endpoint));
}

/// What each port that reaches the Console today will dial besides.
void add_new_endpoints(const std::vector<Way>& up, const WayChange& change, WaysAfter& out) {
  std::set<std::string> seen;
  for (const Way& way : up) { seen.insert(way.endpoint); }
  std::set<std::string> ports;
  for (const Way& way : up) {
    if (change.leaving.contains(way.port_key) || !ports.insert(way.port_key).second) { continue; }
    for (const std::string& endpoint : *change.endpoints) {
      if (seen.contains(endpoint)) { continue; }
      out.left.push_back({{way.port_key, way.port, endpoint}, Dialled::first});
    }
  }
}

json::object row_of(const Way& way) {
  return {{"path", way.name()}, {"port", way.port}, {"endpoint", way.endpoint}};
}

}  // namespace

std::string_view to_string(Dialled dialled) {
  switch (dialled) {
    case Dialled::stays: return "stays";
    case Dialled::anew: return "anew";
    case Dialled::first: return "first";
  }
  return "unknown";
}

WaysAfter ways_after(const std::vector<Way>& up, const WayChange& change) {
  WaysAfter out;
  if (!up.empty()) { out.was_active = up.front().name(); }
  for (const Way& way : up) {
    if (ends(way, change)) {
      out.ended.push_back(way);
    } else {
      const bool anew = change.affected.contains(way.port_key);
      out.left.push_back({way, anew ? Dialled::anew : Dialled::stays});
    }
  }
  if (change.endpoints) { add_new_endpoints(up, change, out); }
  return out;
}

std::string to_line(const WaysAfter& ways) {
  if (!ways.was_active) { return {}; }
  if (ways.left.empty()) { return "the Console loses this host: no other path to it is up"; }
  std::vector<std::string> names;
  for (const WayAfter& left : ways.left) {
    std::vector<std::string> notes;
    if (&left == &ways.left.front()) {
      notes.emplace_back(left.way.name() == ways.was_active ? "active" : "becomes active");
    }
    if (left.dialled == Dialled::anew) { notes.emplace_back("dialled anew"); }
    if (left.dialled == Dialled::first) { notes.emplace_back("not dialled yet"); }
    names.push_back(left.way.name());
    if (!notes.empty()) { names.back() += fmt::format(" ({})", fmt::join(notes, ", ")); }
  }
  return fmt::format("the Console {} over {}",
                     ways.reachable() ? "stays reachable" : "is to be reached",
                     fmt::join(names, ", "));
}

json::object to_json(const WaysAfter& ways) {
  json::array paths;
  for (const WayAfter& left : ways.left) {
    json::object row = row_of(left.way);
    row["role"] = &left == &ways.left.front() ? "active" : "standby";
    row["dialled"] = to_string(left.dialled);
    paths.push_back(std::move(row));
  }
  json::array ended;
  for (const Way& way : ways.ended) { ended.push_back(row_of(way)); }
  const auto text = [](const std::optional<std::string>& name) {
    return name ? json::value(*name) : json::value(nullptr);
  };
  return {{"reachable", ways.reachable()},
          {"was_active", text(ways.was_active)},
          {"active",
           ways.left.empty() ? json::value(nullptr) : json::value(ways.left.front().way.name())},
          {"paths", std::move(paths)},
          {"ended", std::move(ended)}};
}

}  // namespace edge::uplink
