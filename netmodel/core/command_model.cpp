// The whole-model form: an array of objects per kind, each read like its create operation.
#include <fmt/format.h>

#include "netmodel/core/command_operations.hpp"
#include "netmodel/core/json_fields.hpp"

namespace edge::netmodel {
namespace {

namespace json = boost::json;

constexpr std::size_t objects_max = 100'000;

/// Reads each entry of the array `key` with `parse(object, scope)`.
template <class Out, class Parse>
void each(FieldReader& reader, std::string_view key, ParseScope scope, std::vector<Out>& out,
          Parse&& parse) {
  const auto* list = reader.array(key, objects_max);
  if (list == nullptr) { return; }
  out.reserve(list->size());
  const std::string stem = fmt::format("model {}[", key);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const json::value& item = (*list)[i];
    const std::string name = stem + std::to_string(i) + "]";
    if (!item.is_object()) {
      reader.wrong(key, fmt::format("{}[{}] {} is not an object", key, i, described(item)));
      continue;
    }
    scope.name = name;
    out.push_back(parse(item.get_object(), scope));
  }
}

}  // namespace

ModelReplace parse_model_object(const json::object& object, ParseScope scope) {
  ModelReplace out;
  FieldReader reader(object, {scope.op, "model", ""}, scope.problems);
  const auto version = reader.number("schema_version", model_schema_version, model_schema_version);
  static_cast<void>(version);  // The range is the whole check.
  each(reader, "adapters", scope, out.adapters, parse_adapter);
  each(reader, "groups", scope, out.groups,
       [](const json::object& o, ParseScope s) { return parse_group(o, s, Presence::whole); });
  each(reader, "networks", scope, out.networks,
       [](const json::object& o, ParseScope s) { return parse_network(o, s, Presence::whole); });
  each(reader, "interfaces", scope, out.interfaces,
       [](const json::object& o, ParseScope s) { return parse_interface(o, s, Presence::whole); });
  each(reader, "gateway", scope, out.gateway, parse_publish);
  if (const auto* host = reader.object("host")) { out.host = parse_host(*host, scope); }
  reader.finish();
  return out;
}

}  // namespace edge::netmodel
