#include "uplink/core/last_known.hpp"

#include <boost/json.hpp>

#include "uplink/core/json_read.hpp"

namespace edge::uplink {

namespace json = boost::json;

namespace {

Result<LastKnown::Adapter> adapter_of(const json::value& value) {
  const auto* row = value.if_object();
  if (row == nullptr) { return fail(Errc::corrupt, "an adapter is no object"); }
  EDGE_ASSIGN(const MacAddress mac, parse_mac(text_in(*row, "mac")));
  const std::int64_t number = number_in(*row, "number");
  constexpr std::int64_t number_max = 999;
  if (number < 1 || number > number_max) { return fail(Errc::corrupt, "an adapter's number"); }
  return LastKnown::Adapter{mac, static_cast<std::uint32_t>(number), text_in(*row, "name")};
}

}  // namespace

std::string to_json_text(const LastKnown& known) {
  json::array adapters;
  for (const auto& adapter : known.adapters) {
    adapters.push_back(json::object{{"mac", edge::to_string(adapter.base_mac)},
                                    {"number", adapter.number},
                                    {"name", adapter.name}});
  }
  json::object subnets;
  for (const auto& [network, prefix] : known.automatic_subnets) {
    subnets[network] = edge::to_string(prefix);
  }
  return json::serialize(json::object{{"host", known.host_id},
                                      {"revision", known.revision},
                                      {"model", netmodel::to_json(known.model)},
                                      {"adapters", std::move(adapters)},
                                      {"automatic_subnets", std::move(subnets)}}) +
         "\n";
}

Result<LastKnown> last_known_from_json(std::string_view text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec, {}, {.max_depth = 32});
  const auto* file = ec ? nullptr : parsed.if_object();
  if (file == nullptr) { return fail(Errc::corrupt, "not a JSON object"); }
  LastKnown out{.host_id = text_in(*file, "host"), .revision = number_in(*file, "revision")};
  const auto* model = file->if_contains("model");
  if (out.revision < 1 || model == nullptr) { return fail(Errc::corrupt, "no model, no revision"); }
  EDGE_ASSIGN(out.model, netmodel::model_from_json(json::serialize(*model)));
  if (const auto* adapters = file->if_contains("adapters");
      adapters != nullptr && adapters->is_array()) {
    for (const auto& value : adapters->get_array()) {
      EDGE_ASSIGN(auto adapter, adapter_of(value));
      out.adapters.push_back(std::move(adapter));
    }
  }
  const auto* subnets = file->if_contains("automatic_subnets");
  if (subnets == nullptr || !subnets->is_object()) { return out; }
  for (const auto& [network, value] : subnets->get_object()) {
    if (!value.is_string()) { return fail(Errc::corrupt, "an automatic subnet is no text"); }
    EDGE_ASSIGN(const IpPrefix prefix, parse_prefix(std::string_view(value.get_string())));
    out.automatic_subnets[network] = prefix;
  }
  return out;
}

}  // namespace edge::uplink
