// The host's management address, virtual address and cluster: one subnet, everything in it once.
#include <algorithm>

#include <fmt/format.h>

#include "netmodel/core/groups.hpp"
#include "netmodel/core/render_port.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

class HostCheck {
 public:
  HostCheck(const Model& model, const ModelFacts& facts, Findings& findings)
      : model_(model), facts_(facts), host_(model.host), findings_(findings) {}

  void management();
  void virtual_ip();
  void cluster();

 private:
  void add(std::string_view field, const std::string& text) {
    findings_.add(Subject::host, "host", field, text);
  }
  /// A host address of the management subnet.
  bool in_subnet(std::string_view field, const IpAddress& address) {
    const IpPrefix& subnet = host_.management->address;
    const bool usable = subnet.contains(address) && address != subnet.network().address &&
                        address != subnet.broadcast();
    if (!usable) {
      add(field, fmt::format("{} {} is not a host address of the management subnet {}", field,
                             to_string(address), to_string(subnet.network())));
    }
    return usable;
  }

  void networks_in_the_way();

  const Model& model_;
  const ModelFacts& facts_;
  const HostSettings& host_;
  Findings& findings_;
};

void HostCheck::management() {
  if (!host_.management) { return; }
  const Management& management = *host_.management;
  const std::string text = to_string(management.address);
  if (!management.group.empty() && !model_.groups.contains(management.group)) {
    add("management.group", fmt::format("group \"{}\" does not exist", management.group));
  } else if (!management_leader(model_)) {
    add("management",
        "there is not exactly one group with the role infrastructure; name \"group\" or "
        "\"adapter\"");
  }
  if (management.address.length > 30 || !is_sound({.address = management.address})) {
    add("management.address",
        fmt::format("management.address {} is not a host address with a subnet of /1../30", text));
    return;
  }
  if (management.gateway && in_subnet("management.gateway", *management.gateway) &&
      *management.gateway == management.address.address) {
    add("management.gateway", fmt::format("management.gateway {} is the host's own address",
                                          to_string(*management.gateway)));
  }
  for (const IpAddress& resolver : management.dns) {
    if (is_unicast_host(resolver)) { continue; }
    add("management.dns",
        fmt::format("management.dns {} cannot be a resolver", to_string(resolver)));
  }
  networks_in_the_way();
}

/// Whoever came last is to blame. An automatic subnet without guests moves out of the way.
void HostCheck::networks_in_the_way() {
  const IpPrefix& management = host_.management->address;
  for (const auto& [id, network] : model_.networks) {
    const auto subnet = subnet_of(id, network, facts_.automatic_subnets);
    if (!subnet || !subnet->overlaps(management)) { continue; }
    // One of our choice that lies within a wider network of the site stands by the longer prefix.
    const bool within = subnet->length > management.length && !subnet->contains(management.address);
    if (!network.subnet && (within || !in_use(model_, id, *subnet, facts_.foreign_ports))) {
      continue;
    }
    const bool came_last = network.subnet && findings_.concerns(Subject::network, id) &&
                           !findings_.concerns(Subject::host, "host");
    if (came_last) {
      findings_.add(Subject::network, id, "subnet",
                    fmt::format("subnet {} overlaps the management address {} of this host",
                                to_string(*subnet), to_string(management)));
    } else {
      add("management.address", fmt::format("management.address {} overlaps subnet {} of network "
                                            "\"{}\"",
                                            to_string(management), to_string(*subnet), id));
    }
  }
}

void HostCheck::virtual_ip() {
  if (!host_.virtual_ip) { return; }
  const IpAddress& address = *host_.virtual_ip;
  if (!host_.management || !host_.cluster) {
    add("virtual_ip", fmt::format("virtual_ip {} needs \"management\" and \"cluster\": it floats "
                                  "in the management subnet between the hosts of a cluster",
                                  to_string(address)));
    return;
  }
  if (!in_subnet("virtual_ip", address)) { return; }
  const Management& management = *host_.management;
  const bool own = address == management.address.address;
  const bool other = std::ranges::binary_search(host_.cluster->hosts, address);
  const bool resolver = std::ranges::find(management.dns, address) != management.dns.end();
  if (own || other || resolver || address == management.gateway) {
    add("virtual_ip",
        fmt::format("virtual_ip {} is {}; allowed: an address of the management subnet that is "
                    "nobody's",
                    to_string(address),
                    own     ? "this host's management address"
                    : other ? "the management address of a host of the cluster"
                    : address == management.gateway ? "the gateway"
                                                    : "a resolver"));
  }
}

void HostCheck::cluster() {
  if (!host_.cluster) { return; }
  if (!host_.management) {
    add("cluster", "a cluster needs \"management\": its hosts speak over that address");
    return;
  }
  for (const IpAddress& peer : host_.cluster->hosts) { in_subnet("cluster.hosts", peer); }
}

}  // namespace

void check_host(const Model& model, const ModelFacts& facts, Findings& findings) {
  HostCheck check(model, facts, findings);
  check.management();
  check.virtual_ip();
  check.cluster();
}

}  // namespace edge::netmodel
