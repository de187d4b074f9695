// A model read back from the kernel: rendered again it changes nothing there.
#include "netmodel/core/rebuild.hpp"

#include <algorithm>

#include <gmock/gmock.h>

#include "netmodel/core/names.hpp"
#include "netmodel/core/nft_text.hpp"
#include "tests/unit/netmodel/random_walk.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Goal: a lost store costs names, never the network. Method: a turn on the fake kernel, the model
/// thrown away, another turn with what is read back.
class RebuildTest : public testing::Test {
 protected:
  RebuildTest() {
    for (const AdapterFacts& adapter : facts.adapters) {
      host.kernel.plug_adapter(adapter.name, adapter.base_mac);
    }
  }
  void show(const Model& model) {
    const Rendered rendered = render(model, facts);
    facts.automatic_subnets = rendered.automatic_subnets;
    host.converge(rendered);
  }
  ObservedState observed() { return host.kernel.dump({}).value(); }
  Rebuilt rebuilt() { return rebuild(observed(), host.kernel.dump_nft().value()); }
  /// What a daemon with a new store and the rebuilt model would write.
  std::string writes_after(const Rebuilt& from) {
    RenderFacts after = facts;
    after.automatic_subnets = from.automatic_subnets;
    return text_of(host.plan(render(from.model, after)).plan);
  }
  RenderFacts facts = two_ports();
  Host host;
};

TEST_F(RebuildTest, AnEmptyKernelSaysThatNothingStands) {
  const Rebuilt found = rebuilt();
  EXPECT_FALSE(found.stands);
  EXPECT_EQ(found.model, Model::defaults());
}

TEST_F(RebuildTest, ANatNetworkItsGuestAndItsPublicationComeBack) {
  show(one_guest());
  const Rebuilt found = rebuilt();
  EXPECT_TRUE(found.stands);
  EXPECT_EQ(writes_after(found), "");
  EXPECT_EQ(found.model.networks.at("default"), Model::defaults().networks.at("default"));
  EXPECT_EQ(found.automatic_subnets.at("default"), prefix("10.200.0.0/24"));
  const Interface& web = found.model.interfaces.at("web");
  EXPECT_EQ(web.mac, mac("52:54:00:00:00:11"));
  EXPECT_EQ(web.host_number, 10U);
  const GatewayRule& rule = found.model.gateway.at("kept-tcp-8080");
  EXPECT_EQ(rule.interface, "web");
  EXPECT_TRUE(rule.adapters.empty()) << "on every port: not named one by one";
}

/// Why: its MAC address is in no rule, only what the tap has of it.
TEST_F(RebuildTest, AnUnfilteredGuestWhoseMacBeginsWithFeComesBack) {
  Model model = one_guest();
  Interface raw{.vm = "vm3", .network = bridge1, .mac = mac("fe:54:00:00:00:13")};
  raw.spoof_filter = false;
  model.interfaces["raw"] = raw;
  show(model);
  const Rebuilt found = rebuilt();
  EXPECT_EQ(writes_after(found), "");
  EXPECT_EQ(found.model.interfaces.at("raw").mac, mac("fe:54:00:00:00:13"));
}

TEST_F(RebuildTest, RoutingTablesAreThoseOfTheRules) {
  facts.adapters[0].table = 20007;
  show(Model::defaults());
  const Rebuilt found = rebuilt();
  EXPECT_EQ(found.tables.at(mac("02:00:00:00:00:01")), 20007U);
  EXPECT_EQ(found.tables.at(mac("02:00:00:00:00:02")), 20002U);
  EXPECT_EQ(found.names.at(mac("02:00:00:00:00:02")), "eth1");
}

TEST_F(RebuildTest, EveryKindOfNetworkAndEveryFormOfPublication) {
  Model model = one_guest();
  const auto add = [&](const char* id, NetworkKind kind, const char* subnet) {
    Network network{.kind = kind};
    network.subnet = prefix(subnet);
    model.networks[id] = network;
  };
  add("routed-lan", NetworkKind::routed, "10.50.0.0/24");
  add("alone", NetworkKind::isolated, "10.51.0.0/24");
  add("wide-open", NetworkKind::open, "10.52.0.0/24");
  model.networks["routed-lan"].subnet6 = prefix("fd00:1::/64");
  Interface db{.vm = "vm2", .network = "default", .mac = mac("52:54:00:00:00:12")};
  db.host_number = 20;
  model.interfaces["db"] = db;
  Interface raw{.vm = "vm3", .network = bridge1, .mac = mac("52:54:00:00:00:13")};
  raw.hardware = Hardware::e1000;
  raw.spoof_filter = false;
  model.interfaces["raw"] = raw;
  GatewayRule range{.interface = "db", .port_first = 9000, .port_last = 9009, .to_port = 1000};
  range.protocol = Transport::udp;
  range.adapters = {mac("02:00:00:00:00:02")};
  model.gateway["range"] = range;
  GatewayRule guarded{.port_first = 2222, .port_last = 2222, .to_port = 22};
  guarded.address = ip("10.200.0.77");
  guarded.sources = {prefix("198.51.100.0/24")};
  model.gateway["guarded"] = guarded;
  show(model);
  const Rebuilt found = rebuilt();
  EXPECT_EQ(writes_after(found), "");
  EXPECT_EQ(found.model.networks.at("alone").kind, NetworkKind::isolated);
  EXPECT_EQ(found.model.networks.at("wide-open").kind, NetworkKind::open);
  EXPECT_EQ(found.model.networks.at("routed-lan").subnet6, prefix("fd00:1::/64"));
  EXPECT_EQ(found.model.interfaces.at("raw").network, bridge1);
  EXPECT_EQ(found.model.gateway.at("kept-udp-9000").port_last, 9009);
  EXPECT_EQ(found.model.gateway.at("kept-udp-9000").interface, "db");
  EXPECT_EQ(found.model.gateway.at("kept-tcp-2222").sources, guarded.sources);
  EXPECT_EQ(found.model.gateway.size(), 3U);
  // What is written to the store must be readable from it.
  const auto read = model_from_json(to_json_text(found.model));
  ASSERT_TRUE(read) << read.error().what;
  EXPECT_EQ(*read, found.model);
}

TEST_F(RebuildTest, WhatTheModelDoesNotExplainIsLeftAloneAndKeepsItsRules) {
  Model model = one_guest();
  Network lan{.kind = NetworkKind::nat};
  lan.subnet = prefix("10.60.0.0/24");
  model.networks["lan"] = lan;
  Interface app{.vm = "vm2", .network = "lan", .mac = mac("52:54:00:00:00:12")};
  app.host_number = 20;
  model.interfaces["app"] = app;
  model.gateway["app"] =
      GatewayRule{.interface = "app", .port_first = 7000, .port_last = 7000, .to_port = 70};
  show(model);
  const auto kept = unexplained_links(observed(), one_guest());
  EXPECT_THAT(kept, ElementsAre("n-lan", "t-app"));

  const Rendered known = render(one_guest(), facts);
  const auto table = host.kernel.dump_nft().value();
  const NftState wanted = with_kept(known.nft, *table, kept);
  EXPECT_EQ(wanted, *table) << "its subnet, its guest and its publication stay in the table";
  const ObservedState seen = host.kernel.dump(sysctl_paths(known.state)).value();
  const Planned plan = make_plan(known.state, wanted, disowned(seen, kept), table);
  EXPECT_EQ(text_of(plan.plan), "");
  EXPECT_THAT(plan.conflicts, IsEmpty());
  // Without that it would all go.
  EXPECT_THAT(text_of(host.plan(known).plan), HasSubstr("ip link delete dev n-lan"));
}

TEST_F(RebuildTest, NothingIsUnexplainedByTheModelThatMadeIt) {
  show(one_guest());
  EXPECT_THAT(unexplained_links(observed(), one_guest()), IsEmpty());
  const NftState table = *host.kernel.dump_nft().value();
  EXPECT_EQ(with_kept(table, table, {}), table);
  EXPECT_EQ(disowned(observed(), {}), observed());
}

}  // namespace
}  // namespace edge::netmodel
