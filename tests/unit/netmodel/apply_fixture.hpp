// Operations on a model as a Console sends them, against a host with two adapters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "netmodel/core/apply_operations.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel::test {

inline constexpr std::string_view web_network =
    R"({"op":"network.create","network":"web","kind":"nat","subnet":"10.5.0.0/24"})";
inline constexpr std::string_view web_interface =
    R"({"op":"interface.attach","interface":"i","vm":"v","network":"web"})";

/// Goal: each rule of the model from both sides. Method: JSON in, as a Console sends it; problems
/// or the model out.
class ApplyFixture : public testing::Test {
 protected:
  ApplyFixture() {
    facts.host_id = "hv-01";
    facts.adapters = {{mac("02:00:00:00:00:01"), "eth0", 68, 9000},
                      {mac("02:00:00:00:00:02"), "eth1", 68, 1500}};
    facts.taken = {{prefix("192.168.1.0/24"), "the lease of port \"eth0\""}};
    facts.reserved_ports = {{Transport::tcp, 8480, "the status page"}};
    facts.automatic_subnets = {{"default", prefix("10.200.0.0/24")}};
  }

  ApplyOutcome outcome(std::initializer_list<std::string_view> operations) {
    std::string list;
    for (const auto operation : operations) {
      list += list.empty() ? "" : ",";
      list += operation;
    }
    const auto parsed = parse_operations(boost::json::parse("[" + list + "]"));
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().items().front().what);
    return parsed ? apply_operations(model, *parsed, facts) : ApplyOutcome{};
  }
  /// Expects success and goes on from there.
  void accept(std::initializer_list<std::string_view> operations) {
    auto result = outcome(operations);
    ASSERT_TRUE(result.model) << result.problems.items().front().what;
    EXPECT_TRUE(result.problems.empty());
    model = *result.model;
    actions = result.actions;
  }
  std::vector<std::string> refuse(std::initializer_list<std::string_view> operations) {
    const auto result = outcome(operations);
    EXPECT_FALSE(result.model);
    EXPECT_TRUE(result.actions.empty());
    std::vector<std::string> out;
    for (const Problem& problem : result.problems.items()) { out.push_back(problem.what); }
    return out;
  }

  ModelFacts facts;
  Model model = Model::defaults();
  std::vector<HostAction> actions;
};

}  // namespace edge::netmodel::test
