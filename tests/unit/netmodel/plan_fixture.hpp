// A host on a kernel of values and what its next turn would write; for the tests of plan.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "netmodel/core/names.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel::test {

/// Adapters are plugged by plug(), after the test has said which there are.
class PlanFixture : public testing::Test {
 protected:
  void plug() {
    for (const AdapterFacts& a : facts.adapters) { host.kernel.plug_adapter(a.name, a.base_mac); }
  }
  void attach(const std::string& id, const std::string& network) {
    Interface guest{.vm = id, .network = network, .mac = generated_mac("hv-01", "interface", id)};
    model.interfaces[id] = guest;
  }
  Rendered rendered() const { return render(model, facts); }
  void converge() { host.converge(rendered()); }
  std::string turn() { return golden_text(host.turn(rendered())); }
  std::vector<std::string> lines() {
    std::vector<std::string> out;
    for (const Operation& operation : host.plan(rendered()).plan) {
      out.push_back(to_text(operation));
    }
    return out;
  }
  /// Where the first line that contains `words` stands; lines().size() when none does.
  static std::size_t at(const std::vector<std::string>& lines, std::string_view words) {
    const auto found = std::ranges::find_if(
        lines, [&](const std::string& line) { return line.find(words) != std::string::npos; });
    EXPECT_NE(found, lines.end()) << words;
    return static_cast<std::size_t>(found - lines.begin());
  }

  Host host;
  RenderFacts facts = two_ports();
  Model model = Model::defaults();
};

/// Two adapters, one guest, one publication.
class OneGuestPlan : public PlanFixture {
 protected:
  OneGuestPlan() {
    model = one_guest();
    plug();
  }
};

}  // namespace edge::netmodel::test
