#include "netmodel/core/command.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/json/parse.hpp>

#include "netmodel/core/command_operations.hpp"
#include "netmodel/core/json_fields.hpp"

namespace edge::netmodel {
namespace {

namespace json = boost::json;

using Parser = ModelOperation (*)(const json::object&, ParseScope);

struct OpEntry {
  std::string_view name;
  Parser parse;
};

ModelOperation parse_model_replace(const json::object& object, ParseScope scope) {
  FieldReader reader(object, {scope.op, "model.replace", ""}, scope.problems);
  reader.any("op");
  reader.require("model");
  const auto* model = reader.object("model");
  const bool allow_pending = reader.boolean("allow_pending").value_or(false);
  reader.finish();
  if (model == nullptr) { return ModelReplace{}; }
  scope.in_operation = false;
  ModelReplace out = parse_model_object(*model, scope);
  out.allow_pending = allow_pending;
  return out;
}

/// In the order of the variant ModelOperation.
constexpr std::array<OpEntry, std::variant_size_v<ModelOperation>> op_entries{{
    {"adapter.set",
     [](const json::object& o, ParseScope s) -> ModelOperation { return parse_adapter(o, s); }},
    {"group.create",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return GroupCreate{parse_group(o, s, Presence::whole)};
     }},
    {"group.update",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return GroupUpdate{parse_group(o, s, Presence::part)};
     }},
    {"group.delete",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return GroupDelete{parse_id_only(o, s, "group")};
     }},
    {"network.create",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return NetworkCreate{parse_network(o, s, Presence::whole)};
     }},
    {"network.update",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return NetworkUpdate{parse_network(o, s, Presence::part)};
     }},
    {"network.delete",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return NetworkDelete{parse_id_only(o, s, "network")};
     }},
    {"interface.attach",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return InterfaceAttach{parse_interface(o, s, Presence::whole)};
     }},
    {"interface.update",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return InterfaceUpdate{parse_interface(o, s, Presence::part)};
     }},
    {"interface.detach",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return InterfaceDetach{parse_id_only(o, s, "interface")};
     }},
    {"gateway.publish",
     [](const json::object& o, ParseScope s) -> ModelOperation { return parse_publish(o, s); }},
    {"gateway.withdraw",
     [](const json::object& o, ParseScope s) -> ModelOperation {
       return GatewayWithdraw{parse_id_only(o, s, "rule")};
     }},
    {"host.set",
     [](const json::object& o, ParseScope s) -> ModelOperation { return parse_host(o, s); }},
    {"model.replace", parse_model_replace},
    {"path.drain",
     [](const json::object& o, ParseScope s) -> ModelOperation { return parse_drain(o, s); }},
    {"port.identify",
     [](const json::object& o, ParseScope s) -> ModelOperation { return parse_identify(o, s); }},
    {"failover.drill",
     [](const json::object& o, ParseScope s) -> ModelOperation { return parse_drill(o, s); }},
}};

std::string op_names() {
  std::vector<std::string_view> names;
  names.reserve(op_entries.size());
  for (const OpEntry& entry : op_entries) { names.push_back(entry.name); }
  return fmt::format("{}", fmt::join(names, ", "));
}

void parse_one(const json::value& value, std::size_t index, std::vector<ModelOperation>& out,
               Problems& problems) {
  if (!value.is_object()) {
    problems.add(
        {index, "", fmt::format("operation {}: {} is not an object", index, described(value))});
    return;
  }
  const auto* op = value.get_object().if_contains("op");
  if (op == nullptr) {
    problems.add(
        {index, "op",
         fmt::format("operation {}: field \"op\" is missing; allowed: {}", index, op_names())});
    return;
  }
  const auto entry = std::ranges::find_if(op_entries, [&](const OpEntry& e) {
    return op->is_string() && std::string_view(op->get_string()) == e.name;
  });
  if (entry == op_entries.end()) {
    problems.add({index, "op",
                  fmt::format("operation {}: op {} is unknown; allowed: {}", index, described(*op),
                              op_names())});
    return;
  }
  out.push_back(entry->parse(value.get_object(), {index, entry->name, problems}));
}

void parse_all(const json::value& value, std::vector<ModelOperation>& out, Problems& problems) {
  if (!value.is_array()) {
    problems.add({std::nullopt, "operations",
                  fmt::format("operations: {} is not a list; allowed: a list of 1..{} operations",
                              described(value), operations_max)});
    return;
  }
  const json::array& list = value.get_array();
  if (list.empty() || list.size() > operations_max) {
    problems.add({std::nullopt, "operations",
                  fmt::format("operations: {} entries are out of range 1..{}", list.size(),
                              operations_max)});
    return;
  }
  out.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) { parse_one(list[i], i, out, problems); }
}

/// Lower case, or nullopt. Source: RFC 9562 section 4.
std::optional<std::string> parse_uuid(std::string_view text) {
  if (text.size() != 36) { return std::nullopt; }
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    char& c = out[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') { return std::nullopt; }
      continue;
    }
    if (c >= 'A' && c <= 'F') { c = static_cast<char>(c - 'A' + 'a'); }
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) { return std::nullopt; }
  }
  return out;
}

void parse_envelope(FieldReader& reader, Command& out) {
  if (const auto* type = reader.any("type"); type != nullptr && *type != "command") {
    reader.wrong("type", fmt::format("type {} is unknown; allowed: \"command\"", described(*type)));
  }
  if (const auto* id = reader.any("id"); id != nullptr) {
    const auto uuid = id->is_string() ? parse_uuid(id->get_string()) : std::nullopt;
    if (uuid) {
      out.id = *uuid;
    } else {
      reader.wrong("id",
                   fmt::format("id {} is not a UUID; allowed: 01234567-89ab-cdef-0123-456789abcdef",
                               described(*id)));
    }
  }
  if (const auto* deadline = reader.any("deadline"); deadline != nullptr) {
    const auto time =
        deadline->is_string() ? parse_time(deadline->get_string()) : fail(Errc::invalid_input, "");
    if (time) {
      out.deadline = *time;
    } else {
      reader.wrong("deadline",
                   fmt::format("deadline {} is not a time; allowed: 2026-03-04T05:06:07Z",
                               described(*deadline)));
    }
  }
  if (const auto seconds = reader.number("confirm_within_s", 1, 86'400)) {
    out.confirm_within = std::chrono::seconds(static_cast<std::int64_t>(*seconds));
  }
  // Who confirms is the Console's matter; here it only has to be one of the two.
  reader.choice("confirm", std::array<Choice<bool>, 2>{{{"auto", true}, {"manual", false}}});
  out.dry_run = reader.boolean("dry_run").value_or(false);
  out.force = reader.boolean("force").value_or(false);
  out.accept_regression = reader.boolean("accept_regression").value_or(false);
  if (const auto revision = reader.number("revision", 0, 1ULL << 53)) {
    out.revision = static_cast<std::int64_t>(*revision);
  }
}

/// The things that an operation names: networks, interfaces, groups, rules, adapters.
void add_names(const json::value& operation, std::set<std::string_view>& out) {
  if (!operation.is_object()) { return; }
  const auto add = [&out](const json::value& value) {
    if (value.is_string()) { out.insert(std::string_view(value.get_string())); }
  };
  for (const char* key : {"network", "interface", "group", "rule", "adapter", "adapters"}) {
    const auto* value = operation.get_object().if_contains(key);
    if (value == nullptr) { continue; }
    add(*value);
    if (value->is_array()) { std::ranges::for_each(value->get_array(), add); }
  }
}

}  // namespace

std::vector<SoundOperation> sound_operations(std::string_view text) {
  std::vector<SoundOperation> out;
  if (text.size() > command_bytes_max) { return out; }
  boost::system::error_code error;
  const json::value value = json::parse(text, error, {}, {.max_depth = command_depth_max});
  const auto* list =
      error || !value.is_object() ? nullptr : value.get_object().if_contains("operations");
  if (list == nullptr || !list->is_array() || list->get_array().size() > operations_max) {
    return out;
  }
  std::set<std::string_view> bad_names;
  std::vector<SoundOperation> parsed;
  for (std::size_t i = 0; i < list->get_array().size(); ++i) {
    Problems problems;
    std::vector<ModelOperation> one;
    parse_one(list->get_array()[i], i, one, problems);
    if (problems.empty()) {
      parsed.push_back({i, std::move(one.front())});
    } else {
      add_names(list->get_array()[i], bad_names);
    }
  }
  for (SoundOperation& candidate : parsed) {
    std::set<std::string_view> names;
    add_names(list->get_array()[candidate.index], names);
    const bool follows = std::ranges::any_of(
        names, [&bad_names](std::string_view name) { return bad_names.contains(name); });
    if (!follows) { out.push_back(std::move(candidate)); }
  }
  return out;
}

std::string_view op_name(const ModelOperation& operation) {
  return op_entries[operation.index()].name;
}

std::expected<Command, Problems> parse_command_value(const json::value& value) {
  Problems problems;
  Command out;
  if (!value.is_object()) {
    problems.add({std::nullopt, "", fmt::format("command: {} is not an object", described(value))});
    return std::unexpected(std::move(problems));
  }
  FieldReader reader(value.get_object(), {std::nullopt, "command", ""}, problems);
  parse_envelope(reader, out);
  reader.require("operations");
  if (const auto* operations = reader.any("operations")) {
    parse_all(*operations, out.operations, problems);
  }
  reader.finish();
  if (!problems.empty()) { return std::unexpected(std::move(problems)); }
  return out;
}

std::expected<Command, Problems> parse_command(std::string_view text) {
  Problems problems;
  if (text.size() > command_bytes_max) {
    problems.add(
        {std::nullopt, "",
         fmt::format("command: {} bytes; allowed: at most {}", text.size(), command_bytes_max)});
    return std::unexpected(std::move(problems));
  }
  json::parse_options options;
  options.max_depth = command_depth_max;
  boost::system::error_code error;
  const json::value value = json::parse(text, error, {}, options);
  if (error) {
    const std::string what =
        error == json::error::too_deep
            ? fmt::format("command: nested deeper than the allowed {}", command_depth_max)
            : fmt::format("command: not JSON: {}", error.message());
    problems.add({std::nullopt, "", what});
    return std::unexpected(std::move(problems));
  }
  return parse_command_value(value);
}

std::expected<std::vector<ModelOperation>, Problems> parse_operations(const json::value& value) {
  Problems problems;
  std::vector<ModelOperation> out;
  parse_all(value, out, problems);
  if (!problems.empty()) { return std::unexpected(std::move(problems)); }
  return out;
}

std::expected<ModelReplace, Problems> parse_model(const json::value& value) {
  Problems problems;
  if (!value.is_object()) {
    problems.add(
        {std::nullopt, "model", fmt::format("model: {} is not an object", described(value))});
    return std::unexpected(std::move(problems));
  }
  ModelReplace out =
      parse_model_object(value.get_object(), {std::nullopt, "model", problems, false});
  if (!problems.empty()) { return std::unexpected(std::move(problems)); }
  return out;
}

}  // namespace edge::netmodel
