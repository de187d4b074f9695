#include "uplink/core/machine_before.hpp"

#include <boost/json.hpp>

namespace edge::uplink {

namespace json = boost::json;

namespace {

json::array texts(const std::vector<std::string>& items) {
  json::array out;
  for (const auto& item : items) { out.emplace_back(item); }
  return out;
}

std::vector<std::string> texts_of(const json::object& row, std::string_view key) {
  std::vector<std::string> out;
  const auto* list = row.if_contains(key);
  if (list == nullptr || !list->is_array()) { return out; }
  for (const auto& item : list->get_array()) {
    if (item.is_string()) { out.emplace_back(item.get_string()); }
  }
  return out;
}

std::uint32_t number_of(const json::object& row, std::string_view key) {
  const auto* value = row.if_contains(key);
  const bool fits = value != nullptr && value->is_int64() && value->get_int64() >= 0 &&
                    value->get_int64() <= UINT32_MAX;
  return fits ? static_cast<std::uint32_t>(value->get_int64()) : 0;
}

}  // namespace

std::string MachineBefore::to_json() const {
  json::object rows;
  for (const auto& [name, link] : links) {
    rows[name] = json::object{{"index", link.index},
                              {"mtu", link.mtu},
                              {"up", link.up},
                              {"addresses", texts(link.addresses)},
                              {"routes", texts(link.routes)}};
  }
  json::object values;
  for (const auto& [path, value] : sysctls) { values[path] = value; }
  return json::serialize(json::object{
             {"boot_id", boot_id}, {"links", std::move(rows)}, {"sysctls", std::move(values)}}) +
         "\n";
}

MachineBefore MachineBefore::from_json(std::string_view text, std::string boot_id) {
  MachineBefore out{.boot_id = std::move(boot_id), .links = {}, .sysctls = {}};
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec);
  const auto* file = ec ? nullptr : parsed.if_object();
  if (file == nullptr) { return out; }
  const auto* boot = file->if_contains("boot_id");
  if (boot == nullptr || !boot->is_string() || boot->get_string() != out.boot_id) { return out; }
  if (const auto* links = file->if_contains("links"); links != nullptr && links->is_object()) {
    for (const auto& [name, value] : links->get_object()) {
      const auto* row = value.if_object();
      if (row == nullptr) { continue; }
      const auto* up = row->if_contains("up");
      out.links[std::string(name)] = {.index = number_of(*row, "index"),
                                      .mtu = number_of(*row, "mtu"),
                                      .up = up != nullptr && up->is_bool() && up->get_bool(),
                                      .addresses = texts_of(*row, "addresses"),
                                      .routes = texts_of(*row, "routes")};
    }
  }
  if (const auto* values = file->if_contains("sysctls"); values != nullptr && values->is_object()) {
    for (const auto& [path, value] : values->get_object()) {
      if (value.is_string()) { out.sysctls[std::string(path)] = std::string(value.get_string()); }
    }
  }
  return out;
}

}  // namespace edge::uplink
