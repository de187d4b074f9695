// A small host for tests of render and plan: two ports, their leases, words to build them quickly.
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "netmodel/core/plan.hpp"
#include "netmodel/core/render.hpp"
#include "tests/fake/fake_kernel.hpp"

namespace edge::netmodel::test {

inline MacAddress mac(std::string_view text) { return parse_mac(text).value(); }
inline IpAddress ip(std::string_view text) { return parse_ip(text).value(); }
inline IpPrefix prefix(std::string_view text) { return parse_prefix(text).value(); }

inline const MacAddress mac0 = mac("02:00:00:00:00:01");
inline const MacAddress mac1 = mac("02:00:00:00:00:02");
inline const std::string bridge0 = "br020000000001";
inline const std::string bridge1 = "br020000000002";

inline LeaseFacts lease(std::string_view address, std::string_view router) {
  LeaseFacts out{.address = prefix(address)};
  if (!router.empty()) { out.routers = {ip(router)}; }
  out.dns = out.routers;
  return out;
}

inline AdapterFacts adapter(std::string_view name, std::string_view base_mac, std::uint32_t table) {
  AdapterFacts out{.name = std::string(name), .base_mac = mac(base_mac), .table = table};
  out.mtu_min = 68;
  out.mtu_max = 9000;
  out.carrier = true;
  return out;
}

/// hv-01 with eth0 (table 20001) and eth1 (table 20002), leases on both.
inline RenderFacts two_ports() {
  RenderFacts facts{.host_id = "hv-01"};
  facts.adapters = {adapter("eth0", "02:00:00:00:00:01", 20001),
                    adapter("eth1", "02:00:00:00:00:02", 20002)};
  facts.adapters[0].lease = lease("192.168.1.50/24", "192.168.1.1");
  facts.adapters[1].lease = lease("172.16.0.7/16", "172.16.0.1");
  return facts;
}

/// default with one guest and tcp 8080 published to its port 80.
inline Model one_guest() {
  Model model = Model::defaults();
  Interface web{.vm = "vm1", .network = "default", .mac = mac("52:54:00:00:00:11")};
  web.host_number = 10;
  model.interfaces["web"] = web;
  GatewayRule rule{.interface = "web", .port_first = 8080, .port_last = 8080, .to_port = 80};
  model.gateway["http"] = rule;
  return model;
}

inline std::string text_of(const Plan& plan) {
  std::string out;
  for (const Operation& operation : plan) { out += to_text(operation) + "\n"; }
  return out;
}

/// The same without the content of a whole nft table, which has golden files of its own.
inline std::string golden_text(const Plan& plan) {
  std::string out;
  for (const Operation& operation : plan) {
    const auto* nft = std::get_if<CommitNft>(&operation);
    const bool whole = nft != nullptr && nft->difference.empty();
    out +=
        (whole ? std::string("nft -f - # the whole table inet uplink") : to_text(operation)) + "\n";
  }
  return out;
}

/// Compares with tests/golden/NAME; EDGE_GOLDEN_UPDATE=1 writes it instead, to be read before it is
/// committed.
inline void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(EDGE_GOLDEN_DIR) + "/" + name;
  if (std::getenv("EDGE_GOLDEN_UPDATE") != nullptr) {
    std::ofstream(path) << text;
    return;
  }
  std::stringstream golden;
  golden << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, golden.str()) << path;
}

/// A machine whose kernel is the fake: what a turn of the daemon does.
struct Host {
  FakeKernel kernel;

  Planned plan(const Rendered& rendered) {
    return make_plan(rendered.state, rendered.nft,
                     kernel.dump(sysctl_paths(rendered.state)).value(), kernel.dump_nft().value());
  }
  /// Applies every operation and expects the kernel to take it.
  Plan turn(const Rendered& rendered) {
    const Plan operations = plan(rendered).plan;
    run(operations);
    return operations;
  }
  void run(const Plan& operations) {
    for (const Operation& operation : operations) {
      const auto done = kernel.apply(operation);
      EXPECT_TRUE(done) << to_text(operation) << ": " << (done ? "" : done.error().what);
    }
  }
  /// One turn must be enough, and the next one writes nothing.
  void converge(const Rendered& rendered) {
    turn(rendered);
    EXPECT_EQ(text_of(plan(rendered).plan), "");
  }
};

}  // namespace edge::netmodel::test
