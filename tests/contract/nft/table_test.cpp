// What a commit leaves in the kernel, what a dump makes of it, and what someone else's hand does to
// both.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "namespaces.hpp"
#include "netmodel/core/nft_table.hpp"
#include "netmodel/io/nft_batch.hpp"
#include "netmodel/io/nft_kernel.hpp"
#include "netmodel/io/nft_reader.hpp"
#include "states.hpp"

namespace edge::netmodel {

void PrintTo(const NftState& state, std::ostream* out) {
  *out << to_text(state);
  for (const auto& line : state.foreign_edits) { *out << "edit: " << line << "\n"; }
}

namespace test {
namespace {

class NftTableTest : public testing::Test {
 protected:
  void SetUp() override { nft = NftKernel::create().value(); }
  NftState dumped() {
    auto state = nft->dump();
    EXPECT_TRUE(state.has_value()) << (state ? "" : state.error().what);
    EXPECT_TRUE(state && *state) << "no table";
    return state && *state ? **state : NftState{};
  }
  void commit(const NftState& state) {
    const auto done = nft->commit(state);
    ASSERT_TRUE(done.has_value()) << done.error().what;
  }
  /// Feeds nft on its standard input.
  void load(const std::string& text) {
    std::ofstream("/proc/self/fd/" + std::to_string(file.get())) << text;
    spaces.run("host", fmt::format("nft -f /proc/{}/fd/{}", ::getpid(), file.get()));
  }

  Namespaces spaces;
  std::unique_ptr<NftKernel> nft;
  UniqueFd file{::memfd_create("rules", MFD_CLOEXEC)};
};

TEST_F(NftTableTest, WithoutATableTheDumpIsEmptyAndRemoveSucceeds) {
  EXPECT_EQ(nft->dump().value(), std::nullopt);
  EXPECT_TRUE(nft->remove().has_value());
}

TEST_F(NftTableTest, ADumpIsWhatWasCommitted) {
  commit(sample());
  EXPECT_EQ(dumped(), sample());
  commit(NftState{});
  EXPECT_EQ(dumped(), NftState{});
}

TEST_F(NftTableTest, AnotherProcessSeesTheSame) {
  commit(sample());
  EXPECT_EQ(NftKernel::create().value()->dump().value(), sample());
}

TEST_F(NftTableTest, RemoveLeavesNoTable) {
  commit(sample());
  ASSERT_TRUE(nft->remove().has_value());
  EXPECT_EQ(spaces.output("nft list ruleset"), "");
  commit(sample());
  EXPECT_EQ(dumped(), sample());
}

TEST_F(NftTableTest, AnUnchangedCommitWritesNothing) {
  commit(sample());
  EXPECT_TRUE(nft->last_commit().wrote);
  const auto fresh = NftKernel::create().value();
  auto socket = NetfilterSocket::open().value();
  const auto before = nft::read_generation(socket).value();
  commit(sample());
  EXPECT_FALSE(nft->last_commit().wrote);
  ASSERT_TRUE(fresh->commit(sample()).has_value());
  EXPECT_FALSE(fresh->last_commit().wrote);
  EXPECT_EQ(nft::read_generation(socket).value(), before);
}

TEST_F(NftTableTest, OnlyElementsThatDifferAreWritten) {
  NftState state = sample();
  commit(state);
  state.publications[0].target_port = 8081;                  // One element replaced,
  state.publications.erase(state.publications.begin() + 4);  // one removed,
  state.uplinks[1].addresses = {ip("198.51.100.9")};         // one address moved.
  commit(state);
  EXPECT_FALSE(nft->last_commit().rebuilt);
  EXPECT_EQ(nft->last_commit().elements_added, 2U);
  EXPECT_EQ(nft->last_commit().elements_removed, 3U);
  EXPECT_EQ(dumped(), state);
}

TEST_F(NftTableTest, ANewMarkOfAnUplinkMovesItsPublications) {
  NftState state = sample();
  commit(state);
  state.uplinks[0].mark = 20007;
  commit(state);
  EXPECT_FALSE(nft->last_commit().rebuilt);
  EXPECT_EQ(dumped(), state);
}

TEST_F(NftTableTest, UplinksWithTheSameAddressBothShowIt) {
  NftState state = sample();
  state.uplinks[1].addresses = {ip("192.0.2.1"), ip("2001:db8:1::1")};
  commit(state);
  EXPECT_EQ(dumped(), state);
  state.uplinks[0].addresses.clear();  // The twin becomes the only one.
  commit(state);
  EXPECT_EQ(dumped(), state);
}

TEST_F(NftTableTest, TheRuleAgainstUnicastRenewalsIsAChoice) {
  NftState state = sample();
  state.drop_dhcp_unicast_renewals = false;
  commit(state);
  EXPECT_EQ(dumped(), state);
  commit(sample());
  EXPECT_TRUE(nft->last_commit().rebuilt);
  EXPECT_EQ(dumped(), sample());
}

/// Goal: the text that people read is what the kernel runs.
TEST_F(NftTableTest, TheTextLoadedByNftIsTheSameTable) {
  load(to_text(sample()));
  const std::string listed = spaces.output("nft list ruleset");
  EXPECT_EQ(dumped().publications, sample().publications);
  const auto edits = dumped().foreign_edits;
  EXPECT_TRUE(edits.empty()) << testing::PrintToString(edits);
  ASSERT_TRUE(nft->remove().has_value());
  commit(sample());
  EXPECT_EQ(spaces.output("nft list ruleset"), listed);
}

TEST_F(NftTableTest, ForeignTablesStayAsTheyAre) {
  load(R"(
      table ip docker {
        chain nat {
          type nat hook prerouting priority -100
          tcp dport 80 dnat to 172.17.0.2
        }
      }
      table inet other {
        set s {
          type ipv4_addr
          elements = { 1.2.3.4 }
        }
        chain f {
          type filter hook forward priority 0; policy drop
          ct state established accept
        }
      })");
  const std::string before = spaces.output("nft list ruleset");
  commit(sample());
  commit(NftState{});
  ASSERT_TRUE(nft->remove().has_value());
  EXPECT_EQ(spaces.output("nft list ruleset"), before);
}

/// Method: a batch that removes good elements and then adds one that the kernel refuses.
TEST_F(NftTableTest, ARefusedElementLeavesTheTableAsItWasAndIsNamed) {
  commit(sample());
  auto socket = NetfilterSocket::open().value();
  const nft::Elements present = nft::elements_of(sample());
  const auto& publish = present[static_cast<std::size_t>(nft::SetId::publish)];
  nft::Batch batch(socket, nft::read_generation(socket).value());
  batch.remove_elements(nft::SetId::publish, publish);
  std::vector<nft::Element> wrong{{publish[0].key, {}, publish[0].data},
                                  {publish[0].key.substr(0, 8), {}, {}}};
  wrong[1].key += std::string("\x1f\x90\0\0", 4);
  batch.add_elements(nft::SetId::publish, wrong);
  const auto done = batch.commit();
  ASSERT_FALSE(done.has_value());
  EXPECT_THAT(done.error().what,
              testing::HasSubstr("add element inet uplink publish { 0x00004e21 . tcp . 8080"));
  EXPECT_EQ(done.error().code, Errc::invalid_input);
  EXPECT_EQ(dumped(), sample());
}

TEST_F(NftTableTest, ABatchForAnotherGenerationIsRefused) {
  commit(sample());
  auto socket = NetfilterSocket::open().value();
  nft::Batch batch(socket, nft::read_generation(socket).value() - 1);
  batch.remove_table(nft::TableId::inet);
  const auto done = batch.commit();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, Errc::transient);
  EXPECT_EQ(dumped(), sample());
}

TEST_F(NftTableTest, AForeignTransactionBetweenTwoCommitsIsSeen) {
  commit(sample());
  load("delete element inet uplink publish { 20001 . tcp . 80 }");
  commit(sample());  // Nothing new is wanted, and yet one element is missing.
  EXPECT_EQ(nft->last_commit().elements_added, 1U);
  EXPECT_EQ(dumped(), sample());
}

TEST_F(NftTableTest, TenThousandPublicationsComeBackAndOneMoreIsOneElement) {
  NftState state = sample();
  state.publications.clear();
  for (std::uint16_t i = 0; i < 10'000; ++i) {
    const auto port = static_cast<std::uint16_t>(10'000 + i);
    state.publications.push_back(
        publish(i % 2 == 0 ? "bru1" : "bru2", Transport::udp, port, "10.200.0.10", port));
  }
  state = canonical(state).value();
  commit(state);
  EXPECT_EQ(dumped(), state);
  state.publications.push_back(publish("bru2", Transport::udp, 40'000, "10.200.0.11", 1));
  commit(state);
  EXPECT_EQ(nft->last_commit().elements_added, 1U);
  EXPECT_EQ(nft->last_commit().elements_removed, 0U);
  EXPECT_EQ(dumped(), state);
}

TEST_F(NftTableTest, AThousandRestrictedPublicationsComeBack) {
  NftState state = sample();
  state.publications.clear();
  for (std::uint16_t i = 0; i < 1'000; ++i) {
    state.publications.push_back(publish("bru1", Transport::tcp,
                                         static_cast<std::uint16_t>(1'000 + i), "10.200.0.10", 80,
                                         {prefix("10.0.0.0/8"), prefix("192.0.2.0/24")}));
  }
  commit(state);
  EXPECT_EQ(dumped(), state);
}

/// Someone else's edit: seen in the dump, named, and gone after the next commit.
struct Edit {
  const char* name;
  const char* script;  ///< nft input; HANDLE is that of the first rule of `chain`.
  const char* chain;
  const char* told;  ///< Part of a line of foreign_edits; nullptr: the values alone differ.
};
/// The listing names the chain's own handle first; rules follow.
std::string first_rule_handle(const std::string& listing) {
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.find("# handle ");
    if (at != std::string::npos && line.find("chain ") == std::string::npos) {
      return line.substr(at + 9);
    }
  }
  return "no rule with a handle";
}

class NftDriftTest : public NftTableTest, public testing::WithParamInterface<Edit> {};

TEST_P(NftDriftTest, IsSeenNamedAndRepaired) {
  commit(sample());
  std::string script = GetParam().script;
  if (const auto at = script.find("HANDLE"); at != std::string::npos) {
    const std::string listed =
        spaces.output(fmt::format("nft -a list chain inet uplink {}", GetParam().chain));
    script.replace(at, 6, first_rule_handle(listed));
  }
  load(script);
  const NftState edited = dumped();
  EXPECT_NE(edited, sample());
  if (GetParam().told != nullptr) {
    EXPECT_THAT(edited.foreign_edits, testing::Contains(testing::HasSubstr(GetParam().told)));
  } else {
    EXPECT_THAT(edited.foreign_edits, testing::IsEmpty());
  }
  commit(sample());
  EXPECT_EQ(dumped(), sample());
}

INSTANTIATE_TEST_SUITE_P(
    Foreign, NftDriftTest,
    testing::Values(
        Edit{"RuleDeleted", "delete rule inet uplink forward handle HANDLE", "forward",
             "rule missing in chain forward: iifname . oifname @within_bridge accept"},
        Edit{"RuleAdded", "insert rule inet uplink forward tcp dport 22 accept", "forward",
             "foreign rule in chain forward: [ meta load l4proto"},
        Edit{"RuleEdited",
             "replace rule inet uplink forward handle HANDLE ct state established accept",
             "forward", "rule missing in chain forward"},
        Edit{"RuleMoved",
             "delete rule inet uplink publications handle HANDLE\n"
             "add rule inet uplink publications fib daddr type != local return",
             "publications", "rules of chain publications are in another order"},
        Edit{"ChainAdded", "add chain inet uplink theirs", "", "foreign chain theirs"},
        Edit{"ChainFlushed", "flush chain inet uplink srcnat", "", "rule missing in chain srcnat"},
        Edit{"PolicyChanged", "chain inet uplink forward { policy drop; }", "",
             "chain forward has another"},
        Edit{"SetAdded", "add set inet uplink theirs { type ipv4_addr; }", "",
             "foreign set theirs"},
        Edit{"TableDormant", "table inet uplink { flags dormant; }", "", "table flags"},
        Edit{"PortFilterFlushed", "flush chain bridge uplink guest_arp", "",
             "rule missing in chain guest_arp"},
        Edit{"PortOpened", "delete element bridge uplink filtered_ports { \"t-one\" }", "",
             "element missing in filtered_ports: \"t-one\""},
        Edit{"MacAdded", "add element bridge uplink port_macs { \"t-one\" . 02:00:00:00:00:99 }",
             "", "foreign element in port_macs"},
        Edit{"IsolationLost", "delete element inet uplink isolated_bridges { \"n-iso\" }", "",
             "foreign element in within_bridge: \"n-iso\" . \"n-iso\""},
        Edit{"MembershipLost", "delete element inet uplink uplink_bridges { \"bru1\" }", "",
             "element missing in uplink_bridges: \"bru1\""},
        Edit{"BridgeAdded", "add element inet uplink nat_bridges { \"docker0\" }", "",
             "foreign element in nat_bridges: \"docker0\""},
        Edit{"PublicationOfUnknownMark",
             "add element inet uplink publish { 7 . tcp . 1 : 10.0.0.1 . 1 }", "",
             "foreign element in publish: 0x00000007 . tcp . 1 : 10.0.0.1 . 1"},
        Edit{"PublicationRemoved", "delete element inet uplink publish { 20001 . tcp . 80 }", "",
             nullptr},
        Edit{"PublicationAdded",
             "add element inet uplink publish { 20001 . tcp . 8 : 10.200.0.10 . 8 }", "", nullptr},
        Edit{"SourceRemoved",
             "delete element inet uplink publish_from { 20001 . tcp . 81 . 203.0.113.0/24 }", "",
             nullptr},
        Edit{"SetFlushed", "flush set inet uplink nat_sources", "",
             "foreign element in nat_bridges"},
        Edit{"RenewalRuleFlushed", "flush chain inet uplink output", "", nullptr},
        Edit{"TableEmptied", "flush table inet uplink", "", "rule missing in chain mark_in"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_F(NftTableTest, ADeletedTableAndAFlushedRulesetComeBack) {
  for (const char* script :
       {"delete table inet uplink\ndelete table bridge uplink", "flush ruleset"}) {
    commit(sample());
    load(script);
    EXPECT_EQ(nft->dump().value(), std::nullopt);
    commit(sample());
    EXPECT_EQ(dumped(), sample());
  }
}

TEST_F(NftTableTest, OneTableOfTheTwoMissingIsAnEditAndRebuilt) {
  for (const char* family : {"inet", "bridge"}) {
    commit(sample());
    load(fmt::format("delete table {} uplink", family));
    EXPECT_THAT(dumped().foreign_edits,
                testing::Contains(fmt::format("table {} uplink is missing", family)));
    commit(sample());
    EXPECT_TRUE(nft->last_commit().rebuilt);
    EXPECT_EQ(dumped(), sample());
    load(fmt::format("delete table {} uplink", family));
    ASSERT_TRUE(nft->remove().has_value());
    EXPECT_EQ(spaces.output("nft list ruleset"), "");
  }
}

}  // namespace
}  // namespace test
}  // namespace edge::netmodel
