// Models with groups, VLANs and guests drawn at random, one after the other; a seed names the walk.
#pragma once

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "tests/unit/netmodel/scene.hpp"

namespace edge::netmodel::test {

class RandomWalk {
 public:
  RandomWalk(unsigned seed, unsigned adapters) : random_(seed) {
    facts.host_id = "hv-01";
    for (unsigned i = 0; i < adapters; ++i) {
      facts.adapters.push_back(
          adapter(fmt::format("eth{}", i), fmt::format("02:00:00:00:00:{:02x}", i + 1), 20001 + i));
    }
  }

  /// Another model and other leases.
  void step() {
    model = Model::defaults();
    for (AdapterFacts& a : facts.adapters) {
      a.lease.reset();
      const unsigned where = draw(3);
      if (where != 0) { model.groups[where == 1 ? "a" : "b"].adapters.push_back(a.base_mac); }
      if (draw(4) == 0) { model.adapters[a.base_mac].enabled = false; }
    }
    for (auto& [id, group] : model.groups) { fill(id, group); }
    const MacAddress first = leader_of(model, facts.adapters[0].base_mac);
    model.interfaces["u"] = {
        .vm = "v", .network = port_bridge_name(first), .mac = mac("52:54:00:00:00:77")};
    for (const GroupPort& port : ports_of(model, facts.adapters)) {
      if (draw(2) == 0) { continue; }
      const auto leads = std::ranges::find(facts.adapters, port.leader(), &AdapterFacts::base_mac);
      const auto number = leads - facts.adapters.begin();
      leads->lease = lease(fmt::format("10.{}.0.5/24", number), fmt::format("10.{}.0.1", number));
    }
  }
  /// 0 .. below - 1
  unsigned draw(unsigned below) { return static_cast<unsigned>(random_() % below); }

  Model model = Model::defaults();
  RenderFacts facts;

 private:
  void fill(const std::string& id, Group& group) {
    if (draw(2) == 0) { std::ranges::reverse(group.adapters); }
    group.mode = static_cast<GroupMode>(draw(3));
    if (group.mode == GroupMode::active_backup && draw(2) == 0) {
      group.primary = group.adapters.back();
    }
    if (draw(3) == 0) { group.mtu = 1500 + draw(3) * 1000; }
    if (facts.vlan_filtering && draw(3) == 0) {
      group.management_vlan = static_cast<std::uint16_t>(2 + draw(2));
    }
    Network network{.kind = NetworkKind::vlan, .group = id};
    network.vlan_id = static_cast<std::uint16_t>(5 + draw(3));
    model.networks["v" + id] = network;
    model.interfaces["g" + id] = {
        .vm = "v", .network = "v" + id, .mac = generated_mac("hv-01", "interface", id)};
  }

  std::mt19937 random_;
};

}  // namespace edge::netmodel::test
