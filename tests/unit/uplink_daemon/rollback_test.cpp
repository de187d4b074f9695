// A person goes back to a revision by its number, however large its model is.
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using test::Life;
using test::Machine;
using testing::HasSubstr;

constexpr std::size_t command_bytes_allowed = 500;
constexpr int networks_made = 12;

/// Revisions 1 to `networks_made`, each with one more network, and one without the first of them.
netmodel::Model leave_a_large_revision(Machine& machine) {
  Life life(machine);
  for (int n = 1; n <= networks_made; ++n) {
    life.send(Life::command(
        n,
        fmt::format(
            R"({{"op":"network.create","network":"n{0}","kind":"nat","subnet":"10.60.{0}.0/24"}})",
            n)));
    EXPECT_EQ(life.result_of(n), "done");
  }
  netmodel::Model large = life.model();
  EXPECT_GT(netmodel::to_json_text(large).size(), command_bytes_allowed);
  life.send(Life::command(networks_made + 1, R"({"op":"network.delete","network":"n1"})"));
  EXPECT_EQ(life.result_of(networks_made + 1), "done");
  return large;
}

/// Command n, as Daemon::roll_back_to makes it.
std::string back_to(int n, int revision) {
  return Life::command(
      n, fmt::format(R"({{"op":"model.replace","revision":{},"allow_pending":true}})", revision));
}

boost::json::object run_here(Life& life, const std::string& command) {
  std::optional<boost::json::object> out;
  life.commands().run_local(boost::json::parse(command).as_object(),
                            [&](boost::json::object result) { out = std::move(result); });
  EXPECT_TRUE(life.until([&] { return out.has_value(); }));
  return out.value_or(boost::json::object{{"state", "none"}});
}

TEST(RollbackTest, ARevisionThatIsLargerThanACommandMayBeIsGoneBackTo) {
  Machine machine;
  machine.limits.payload_bytes_max = command_bytes_allowed;
  const netmodel::Model large = leave_a_large_revision(machine);
  Life life(machine);
  const auto result = run_here(life, back_to(20, networks_made));
  EXPECT_EQ(result.at("state").as_string(), "done") << boost::json::serialize(result);
  EXPECT_EQ(life.model(), large);
  EXPECT_TRUE(machine.has_link("n-n1"));
  EXPECT_EQ(life.commands().revision(), networks_made + 2);
}

TEST(RollbackTest, ADaemonThatIsKilledBeforeItLooksItUpDoesSoInItsNextLife) {
  Machine machine;
  machine.limits.payload_bytes_max = command_bytes_allowed;
  const netmodel::Model large = leave_a_large_revision(machine);
  {
    Life life(machine);
    life.commands().run_local(boost::json::parse(back_to(20, networks_made)).as_object(),
                              [](const boost::json::object&) {});
    ASSERT_TRUE(life.until([&] { return life.heard("stored", 20).has_value(); }));
  }
  Life life(machine);
  ASSERT_TRUE(life.start());
  EXPECT_EQ(life.result_of(20), "done");
  EXPECT_EQ(life.model(), large);
}

TEST(RollbackTest, OneThatIsNotKeptAnyMoreIsRefusedByItsNumber) {
  Machine machine;
  machine.limits.revisions_max = 2;
  const netmodel::Model large = leave_a_large_revision(machine);
  Life life(machine);
  const auto result = run_here(life, back_to(20, 1));
  EXPECT_EQ(result.at("state").as_string(), "refused");
  EXPECT_THAT(boost::json::serialize(result), HasSubstr("revision 1 is not kept any more"));
  EXPECT_EQ(life.commands().revision(), networks_made + 1);
}

/// Why: PROTOCOL.md says what a Console may ask for.
TEST(RollbackTest, TheConsolesCommandIsTakenAsItIs) {
  Machine machine;
  const netmodel::Model large = leave_a_large_revision(machine);
  Life life(machine);
  life.send(back_to(20, networks_made));
  EXPECT_EQ(life.result_of(20), "refused");
  EXPECT_NE(life.model(), large);
}

}  // namespace
}  // namespace edge::uplink
