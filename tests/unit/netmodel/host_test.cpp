// host.set: the static management address, the virtual address and the cluster that shares it.
#include <gmock/gmock.h>

#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/model.hpp"
#include "netmodel/core/render.hpp"
#include "tests/unit/netmodel/apply_fixture.hpp"

namespace edge::netmodel {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using namespace test;

using HostTest = ApplyFixture;

/// hv-01 with eth0 and a lease on it.
RenderFacts one_port() {
  AdapterFacts eth0{.name = "eth0", .base_mac = mac("02:00:00:00:00:01"), .table = 20001};
  eth0.carrier = true;
  eth0.lease = LeaseFacts{.address = prefix("192.168.1.50/24")};
  RenderFacts facts{.host_id = "hv-01"};
  facts.adapters = {eth0};
  return facts;
}

constexpr std::string_view management =
    R"({"op":"host.set","management":{"adapter":"eth0","address":"192.168.1.11/24",)"
    R"("gateway":"192.168.1.1","dns":["192.168.1.1"]}})";
constexpr std::string_view cluster =
    R"({"op":"host.set","virtual_ip":"192.168.1.100",)"
    R"("cluster":{"id":7,"priority":150,"hosts":["192.168.1.12","192.168.1.11"]}})";

TEST_F(HostTest, TheStaticAddressTakesThePlaceOfTheLease) {
  accept({management});
  RenderFacts given = one_port();
  const Rendered out = render(model, given);
  EXPECT_THAT(out.state.addresses,
              Contains(testing::Field(&Address::prefix, prefix("192.168.1.11/24"))));
  EXPECT_THAT(out.state.addresses,
              Not(Contains(testing::Field(&Address::prefix, prefix("192.168.1.50/24")))));
  given.adapters[0].lease.reset();  // No DHCP server answers: it is there all the same.
  EXPECT_EQ(render(model, given).state.addresses, out.state.addresses);
}

TEST_F(HostTest, NullTakesItAway) {
  accept({management, cluster});
  accept({R"({"op":"host.set","virtual_ip":null,"cluster":null})"});
  accept({R"({"op":"host.set","management":null})"});
  EXPECT_EQ(model.host, HostSettings{});
}

TEST_F(HostTest, TheVirtualAddressIsOnTheManagementPortWithARuleOfItsOwn) {
  accept({management, cluster});
  const Rendered out = render(model, one_port());
  ASSERT_TRUE(out.virtual_address);
  EXPECT_EQ(out.virtual_address->link, "br020000000001");
  EXPECT_EQ(out.virtual_address->carrier, "eth0");
  EXPECT_EQ(out.virtual_address->address, prefix("192.168.1.100/24"));
  const bool ruled = std::ranges::any_of(out.state.rules, [](const Rule& rule) {
    return rule.from == prefix("192.168.1.100/32") && rule.table == 20001;
  });
  EXPECT_TRUE(ruled);
  EXPECT_THAT(out.notes, Contains(testing::Field(&Note::kind, "cluster.adapters")));
}

TEST_F(HostTest, AnInfrastructureGroupOnAMachineWithFewAdaptersIsReported) {
  const auto reported = [&] {
    return std::ranges::any_of(render(model, one_port()).notes,
                               [](const Note& note) { return note.kind == "cluster.adapters"; });
  };
  EXPECT_FALSE(reported());
  accept({R"({"op":"group.create","group":"infra","adapters":["eth0"],"role":"infrastructure",
              "allow_single":true})"});
  EXPECT_TRUE(reported());
  accept({R"({"op":"group.delete","group":"infra"})"});
  EXPECT_FALSE(reported());
}

TEST_F(HostTest, WhatIsSetSurvivesTheStore) {
  accept({management, cluster});
  const auto read = model_from_json(to_json_text(model));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(*read, model);
}

TEST_F(HostTest, EverythingIsInOneSubnet) {
  accept({management});
  EXPECT_THAT(
      refuse({R"({"op":"host.set","virtual_ip":"192.168.2.100","cluster":{"id":7,)"
              R"("hosts":["10.0.0.1"]}})"}),
      ElementsAre(HasSubstr("virtual_ip 192.168.2.100 is not a host address of the management "
                            "subnet 192.168.1.0/24"),
                  HasSubstr("cluster.hosts 10.0.0.1 is not a host address")));
  for (const std::string_view taken : {"192.168.1.0", "192.168.1.255"}) {
    EXPECT_THAT(refuse({fmt::format(R"({{"op":"host.set","virtual_ip":"{}","cluster":{{"id":7}}}})",
                                    taken)}),
                ElementsAre(HasSubstr("is not a host address")));
  }
  for (const std::string_view taken : {"192.168.1.11", "192.168.1.1", "192.168.1.12"}) {
    EXPECT_THAT(
        refuse({fmt::format(
            R"({{"op":"host.set","virtual_ip":"{}","cluster":{{"id":7,"hosts":["192.168.1.12"]}}}})",
            taken)}),
        ElementsAre(HasSubstr("allowed: an address of the management subnet that is nobody's")));
  }
}

TEST_F(HostTest, AVirtualAddressIsNoResolverItsHolderWouldAskItself) {
  accept({R"({"op":"host.set","management":{"adapter":"eth0","address":"192.168.1.11/24",)"
          R"("dns":["192.168.1.53"]}})"});
  EXPECT_THAT(refuse({R"({"op":"host.set","virtual_ip":"192.168.1.53","cluster":{"id":7}})"}),
              ElementsAre(HasSubstr("192.168.1.53 is a resolver")));
}

TEST_F(HostTest, WhatDoesNotGoTogetherIsRefused) {
  EXPECT_THAT(refuse({R"({"op":"host.set","virtual_ip":"192.168.1.100"})"}),
              ElementsAre(HasSubstr("needs \"management\" and \"cluster\"")));
  EXPECT_THAT(refuse({R"({"op":"host.set","cluster":{"id":7}})"}),
              ElementsAre(HasSubstr("a cluster needs \"management\"")));
  EXPECT_THAT(refuse({R"({"op":"host.set","management":{"address":"192.168.1.11/24"}})"}),
              ElementsAre(HasSubstr("not exactly one group with the role infrastructure")));
  EXPECT_THAT(
      refuse({R"({"op":"host.set","management":{"adapter":"eth0","address":"192.168.1.0/24"}})"}),
      ElementsAre(HasSubstr("management.address 192.168.1.0/24 is not a host address")));
  EXPECT_THAT(
      refuse({R"({"op":"network.create","network":"web","kind":"nat","subnet":"192.168.1.0/25"})",
              management}),
      Contains(HasSubstr("overlaps")));
}

TEST_F(HostTest, NumbersOutOfRangeAreAllNamed) {
  const auto parsed = parse_operations(boost::json::parse(
      R"([{"op":"host.set","cluster":{"id":0,"priority":255,"advert_ms":105}}])"));
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().items(), testing::SizeIs(3));
}

TEST_F(HostTest, WhereTheConsoleIsReachedIsKeptInOrderUntilNullGivesUplinkTomlItsWordBack) {
  accept({R"({"op":"host.set","console":{"endpoints":["b.example:8443","[fd00::7]:443"]}})"});
  EXPECT_THAT(model.host.console_endpoints,
              ElementsAre(HostPort{"b.example", 8443}, HostPort{"fd00::7", 443}));
  const auto read = model_from_json(to_json_text(model));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(*read, model);
  accept({R"({"op":"host.set","uplink_order":["eth0"]})"});
  EXPECT_EQ(model.host.console_endpoints.size(), 2U) << "not named: stays";
  accept({R"({"op":"host.set","console":null})"});
  EXPECT_THAT(model.host.console_endpoints, IsEmpty());
}

TEST_F(HostTest, TheManagementSubnetAndThoseOfNetworksKeepApartBothWays) {
  constexpr std::string_view inside =
      R"({"op":"host.set","management":{"adapter":"eth0","address":"10.200.0.7/24"}})";
  accept({inside});  // The network "default" has that subnet by itself, and nobody on it.
  model = Model::defaults();
  accept({R"({"op":"interface.attach","interface":"i","vm":"v"})"});
  EXPECT_THAT(refuse({inside}),
              ElementsAre("host: management.address 10.200.0.7/24 overlaps subnet "
                          "10.200.0.0/24 of network \"default\""));
  model = Model::defaults();
  accept({management});
  facts.taken = {{prefix("192.168.1.0/24"), "the lease of port \"eth0\""}};  // How it stands.
  EXPECT_THAT(refuse({R"({"op":"network.create","network":"n","kind":"nat",
                          "subnet":"192.168.0.0/23"})"}),
              ElementsAre("network \"n\": subnet 192.168.0.0/23 overlaps the management address "
                          "192.168.1.11/24 of this host"));
}

/// Why: a cable that is plugged later may lead to a slow switch.
TEST_F(HostTest, ALinkOfTheInfrastructureThatIsSlowOrUnknownIsNotedWhileItIs) {
  accept(
      {R"({"op":"group.create","group":"g","adapters":["eth0","eth1"],"role":"infrastructure"})"});
  RenderFacts given = one_port();
  const auto notes = [&] {
    std::vector<std::string> out;
    for (const Note& note : render(model, given).notes) {
      if (note.kind == "group.speed") { out.push_back(note.what); }
    }
    return out;
  };
  EXPECT_THAT(notes(),
              ElementsAre(HasSubstr("group \"g\": the speed of port \"eth0\" is not known")));
  given.adapters[0].speed_mbps = 1'000;
  EXPECT_THAT(notes(),
              ElementsAre("group \"g\": port \"eth0\" runs at 1000 Mbit/s; an infrastructure "
                          "group needs 10000 Mbit/s or more on each link"));
  given.adapters[0].speed_mbps = infrastructure_mbps;
  EXPECT_THAT(notes(), IsEmpty());
}

TEST_F(HostTest, AListOfConsoleAddressesThatNobodyCouldDialIsRefused) {
  const auto problems_of = [](std::string_view console) {
    const auto parsed = parse_command(
        fmt::format(R"({{"operations":[{{"op":"host.set","console":{}}}]}})", console));
    std::vector<std::string> lines;
    for (const Problem& problem : parsed ? std::vector<Problem>{} : parsed.error().items()) {
      lines.push_back(problem.what);
    }
    return lines;
  };
  const auto refused = [&](std::string_view list) {
    return problems_of(fmt::format(R"({{"endpoints":{}}})", list));
  };
  EXPECT_THAT(refused("[]"), ElementsAre(HasSubstr("endpoints is empty; allowed: 1..8")));
  EXPECT_THAT(refused(R"(["a:1","a:1"])"), ElementsAre(HasSubstr("names a:1 twice")));
  for (const std::string_view bad :
       {R"(["a"])", R"(["a:0"])", R"(["a:70000"])", R"([7])", R"(["a b:1"])", R"(["fd00::7:1"])"}) {
    EXPECT_THAT(refused(bad), ElementsAre(HasSubstr("is not HOST:PORT"))) << bad;
  }
  EXPECT_THAT(refused(R"(["a:1","a:2","a:3","a:4","a:5","a:6","a:7","a:8","a:9"])"),
              ElementsAre(HasSubstr("allowed: at most 8")));
  EXPECT_THAT(problems_of("{}"), ElementsAre(HasSubstr("\"console.endpoints\" is missing")));
}

}  // namespace
}  // namespace edge::netmodel
