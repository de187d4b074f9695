// What a command costs the host's own processor, phase by phase, with a thousand VLAN networks: the
// core alone, on a kernel of values. The kernel's part is measured by bench_links and
// vm_bench_vlan, both together by the scenario vlan_thousand.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "netmodel/core/apply_operations.hpp"
#include "netmodel/core/command.hpp"
#include "netmodel/core/model.hpp"
#include "netmodel/core/plan.hpp"
#include "netmodel/core/render.hpp"
#include "tests/fake/fake_kernel.hpp"

namespace edge::netmodel::bench {
namespace {

constexpr int count = 1000;
constexpr int runs = 21;

void require(bool ok, const std::string& what) {
  if (ok) { return; }
  fmt::print(stderr, "bench_model: {}\n", what);
  std::exit(1);
}

/// Of this process's own time: who else runs does not count.
double processor_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void print(const std::string& figure, const std::function<void()>& work) {
  std::vector<double> took;
  for (int run = 0; run < runs; ++run) {
    const double begin = processor_ms();
    work();
    took.push_back(processor_ms() - begin);
  }
  std::ranges::sort(took);
  fmt::print(
      "{{\"figure\": \"{}\", \"unit\": \"ms\", \"value\": {:.3f}, \"worst\": {:.3f}, \"runs\": "
      "{}}}\n",
      figure, took[runs / 2], took.back(), runs);
}

std::string command(const std::string& operations) {
  return R"({"id":"00000000-0000-4000-8000-000000000001","operations":[)" + operations + "]}";
}

std::string creations() {
  std::string out;
  for (int id = 2; id < count + 2; ++id) {
    out += fmt::format(
        R"({}{{"op":"network.create","network":"v{}","kind":"vlan","adapter":"eth0","vlan_id":{}}})",
        out.empty() ? "" : ",", id, id);
  }
  return command(out);
}

/// One host with one port, which has no network but its own.
struct Machine {
  Machine() {
    const MacAddress mac{{2, 0, 0, 0, 0, 1}};
    known.host_id = wanted.host_id = "hv-01";
    known.vlan_filtering = wanted.vlan_filtering = true;
    known.adapters = {{mac, "eth0", 68, 9000}};
    AdapterFacts port{.name = "eth0", .base_mac = mac, .table = 20001};
    port.carrier = true;
    wanted.adapters = {port};
    kernel.allow_vlan_filtering();
    kernel.plug_adapter("eth0", mac);
  }
  Model after(const std::string& payload) const {
    const auto parsed = parse_command(payload);
    require(parsed.has_value(), parsed ? "" : parsed.error().items().front().what);
    auto outcome = apply_operations(model, parsed->operations, known);
    require(outcome.model.has_value(), outcome.model ? "" : outcome.problems.items().front().what);
    return std::move(*outcome.model);
  }
  Planned plan(const Model& of) {
    const Rendered rendered = render(of, wanted);
    return make_plan(rendered.state, rendered.nft, *kernel.dump(sysctl_paths(rendered.state)),
                     *kernel.dump_nft());
  }
  void show() {
    for (const auto& operation : plan(model).plan) {
      const auto done = kernel.apply(operation);
      require(done.has_value(), done ? "" : done.error().what);
    }
    require(plan(model).plan.empty(), "one turn was not enough");
  }

  ModelFacts known;
  RenderFacts wanted;
  FakeKernel kernel;
  Model model = Model::defaults();
};

int run() {
  Machine machine;
  machine.show();
  const std::string payload = creations();
  const auto parsed = parse_command(payload);
  print("model.parse_1000", [&] { require(parse_command(payload).has_value(), "parse"); });
  print("model.apply_1000",
        [&] { (void)apply_operations(machine.model, parsed->operations, machine.known); });
  const Model made = machine.after(payload);
  print("model.stored_1000", [&] { (void)to_json_text(made); });
  print("model.plan_1000", [&] { (void)machine.plan(made); });
  machine.model = made;
  machine.show();
  const std::string again =
      command(R"({"op":"model.replace","model":)" + to_json_text(machine.model) + "}");
  print("model.noop_1000", [&] {
    require(machine.after(again) == machine.model, "it is another model");
    require(machine.plan(machine.model).plan.empty(), "something is to be written");
  });
  return 0;
}

}  // namespace
}  // namespace edge::netmodel::bench

int main() { return edge::netmodel::bench::run(); }
