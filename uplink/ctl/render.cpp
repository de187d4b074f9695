// Which command's answer is written how.
#include "uplink/ctl/render.hpp"

#include <array>
#include <boost/json.hpp>
#include <cstddef>
#include <utility>

#include "uplink/ctl/reports.hpp"
#include "uplink/ctl/results.hpp"
#include "uplink/ctl/tables.hpp"

namespace edge::uplink::ctl {

namespace json = boost::json;

namespace {

using ArrayText = std::string (*)(const json::array&, const Style&);
using ObjectText = std::string (*)(const json::object&, const Style&);

constexpr std::array<std::pair<std::string_view, ArrayText>, 8> array_texts{{
    {"ports", ports_text},
    {"paths", paths_text},
    {"leases", leases_text},
    {"groups", groups_text},
    {"networks", networks_text},
    {"interfaces", interfaces_text},
    {"gateway", gateway_text},
    {"doctor", doctor_text},
}};
constexpr std::array<std::pair<std::string_view, ObjectText>, 12> object_texts{{
    {"status", status_text},
    {"recable", recable_text},
    {"unplug", unplug_text},
    {"history", history_text},
    {"watch", watch_text},
    {"apply", result_text},
    {"plan", result_text},
    {"rollback", result_text},
    {"drain", result_text},
    {"drill", result_text},
    {"identify", result_text},
    {"renew", identity_text},
}};

void append_pretty(std::string& out, const json::value& value, std::size_t indent) {
  const std::string pad(indent + 2, ' ');
  if (value.is_object() && !value.get_object().empty()) {
    out += "{\n";
    std::size_t left = value.get_object().size();
    for (const auto& [key, item] : value.get_object()) {
      out += pad + json::serialize(json::string(key)) + ": ";
      append_pretty(out, item, indent + 2);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += std::string(indent, ' ') + "}";
  } else if (value.is_array() && !value.get_array().empty()) {
    out += "[\n";
    std::size_t left = value.get_array().size();
    for (const auto& item : value.get_array()) {
      out += pad;
      append_pretty(out, item, indent + 2);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += std::string(indent, ' ') + "]";
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string pretty_json(const json::value& value) {
  std::string out;
  append_pretty(out, value, 0);
  return out + "\n";
}

std::string render(std::string_view command, const json::value& data, const Style& style) {
  if (command == "events" && (data.is_array() || data.is_object())) {
    return events_text(data, style);
  }
  for (const auto& [name, text] : array_texts) {
    if (name == command && data.is_array()) { return text(data.get_array(), style); }
  }
  for (const auto& [name, text] : object_texts) {
    if (name == command && data.is_object()) { return text(data.get_object(), style); }
  }
  return pretty_json(data);
}

}  // namespace edge::uplink::ctl
