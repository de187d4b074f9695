// Hostile command JSON: parse, apply to a model, write the model and read it back.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.hpp"
#include "netmodel/core/apply_operations.hpp"
#include "netmodel/core/render.hpp"

namespace {

using namespace edge;
using namespace edge::netmodel;

ModelFacts model_facts() {
  ModelFacts facts{.host_id = "hv-01"};
  facts.adapters = {{{{2, 0, 0, 0, 0, 1}}, "eth0", 68, 9000},
                    {{{2, 0, 0, 0, 0, 2}}, "eth1", 68, 9000}};
  facts.automatic_subnets["default"] = IpPrefix{IpAddress::v4(10, 200, 0, 0), 24};
  return facts;
}

RenderFacts render_facts() {
  RenderFacts facts{.host_id = "hv-01"};
  for (const KnownAdapter& known : model_facts().adapters) {
    AdapterFacts adapter{.name = known.name, .base_mac = known.base_mac};
    adapter.table = table_first + known.base_mac.bytes[5];
    facts.adapters.push_back(adapter);
  }
  facts.automatic_subnets = model_facts().automatic_subnets;
  return facts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto command = parse_command(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!command) {
    EDGE_ASSERT(!command.error().empty());
    for (const Problem& problem : command.error().items()) {
      EDGE_ASSERT(!problem.what.empty() && problem.what.find('\n') == std::string::npos);
    }
    return 0;
  }
  const ApplyOutcome outcome =
      apply_operations(Model::defaults(), command->operations, model_facts());
  EDGE_ASSERT(outcome.model.has_value() == outcome.problems.empty());
  if (!outcome.model) { return 0; }
  // What was accepted can be stored, read back and rendered.
  const auto back = model_from_json(to_json_text(*outcome.model));
  EDGE_ASSERT(back && *back == *outcome.model);
  static_cast<void>(render(*outcome.model, render_facts()));
  return 0;
}
