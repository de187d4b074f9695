// Operations on networks.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "netmodel/core/allocate.hpp"
#include "netmodel/core/applier.hpp"
#include "netmodel/core/render.hpp"
#include "netmodel/core/subnets.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

using NamedSubnet = std::pair<IpPrefix, std::string>;  // And the network that has it.

std::vector<NamedSubnet> named_subnets(const Model& model, const ModelFacts& facts) {
  std::vector<NamedSubnet> out;
  for (const auto& [id, network] : model.networks) {
    const auto subnet = subnet_of(id, network, facts.automatic_subnets);
    if (subnet) { out.emplace_back(*subnet, id); }
    const auto subnet6 = subnet6_of(network);
    if (subnet6) { out.emplace_back(*subnet6, id); }
  }
  return out;
}

/// nullptr: the address is in none of them.
const std::string* holder_of(const std::vector<NamedSubnet>& subnets, const IpAddress& address) {
  const auto found = std::ranges::find_if(
      subnets, [&](const NamedSubnet& subnet) { return subnet.first.contains(address); });
  return found == subnets.end() ? nullptr : &found->second;
}

/// An automatic subnet that the next render chooses, or a wrong one, which is reported already.
bool is_subnet_open(const Model& model, const ModelFacts& facts, const std::string& id) {
  const auto network = model.networks.find(id);
  return network != model.networks.end() && !is_bridged(network->second.kind) &&
         !subnet_of(model, id, facts.automatic_subnets);
}

}  // namespace

void Applier::set_fields(const NetworkFields& fields, Network& network) {
  // One stands in place of the other: naming one takes the other away, naming both is a problem.
  if (fields.group) {
    network.group = *fields.group;
    network.adapter.reset();
  }
  if (fields.adapter) {
    network.adapter = resolve(*fields.adapter, Subject::network, fields.network, "adapter");
    // What follows from it is not worth another line.
    if (!network.adapter) { findings_.refuse(Subject::network, fields.network); }
    if (!fields.group) { network.group.clear(); }
  }
  if (fields.vlan_id) { network.vlan_id = fields.vlan_id; }
  if (fields.subnet) { network.subnet = fields.subnet; }
  if (fields.subnet6) { set_subnet6(fields.network, *fields.subnet6, network); }
  if (fields.dhcp) { network.dhcp = *fields.dhcp; }
  if (fields.dns) { network.dns = *fields.dns; }
}

void Applier::set_subnet6(const std::string& id, const Subnet6Field& field, Network& network) {
  network.subnet6.reset();
  if (field.choice == Subnet6Choice::none) { return; }
  if (field.choice == Subnet6Choice::given) {
    network.subnet6 = field.prefix;
    return;
  }
  if (network.kind != NetworkKind::nat) {
    findings_.add(Subject::network, id, "subnet6",
                  fmt::format("subnet6 \"auto\" belongs to kind nat; a network of kind {} needs a "
                              "prefix that others know",
                              to_string(network.kind)));
    return;
  }
  for (unsigned attempt = 0; !network.subnet6; ++attempt) {
    const IpPrefix candidate = automatic_subnet6(facts_.host_id, id, attempt);
    const bool taken = std::ranges::any_of(model_.networks, [&](const auto& entry) {
      return entry.first != id && entry.second.subnet6 && entry.second.subnet6 == candidate;
    });
    if (!taken) { network.subnet6 = candidate; }
  }
}

void Applier::create(const NetworkFields& fields) {
  touch(Subject::network, fields.network);
  if (model_.networks.contains(fields.network)) {
    findings_.add(Subject::network, fields.network, "network",
                  "exists already; use network.update");
    return;
  }
  const NetworkKind kind = fields.kind.value_or(NetworkKind::nat);
  Network network{.kind = kind};
  set_fields(fields, network);
  if (findings_.refused(Subject::network, fields.network)) { return; }
  model_.networks.emplace_hint(model_.networks.end(), fields.network, std::move(network));
}

void Applier::on(const NetworkUpdate& op) {
  touch(Subject::network, op.fields.network);
  const auto found = model_.networks.find(op.fields.network);
  if (found == model_.networks.end()) {
    missing(Subject::network, op.fields.network);
    return;
  }
  if (op.fields.kind && *op.fields.kind != found->second.kind) {
    findings_.add(
        Subject::network, op.fields.network, "kind",
        fmt::format("kind \"{}\" cannot become \"{}\"; delete the network and create it again",
                    to_string(found->second.kind), to_string(*op.fields.kind)));
    return;
  }
  set_fields(op.fields, found->second);
  if (op.fields.subnet) { renumber_guests(model_, op.fields.network, facts_); }
}

void Applier::on(const NetworkDelete& op) {
  touch(Subject::network, op.network);
  if (!model_.networks.contains(op.network)) {
    const bool implicit = implicit_network_adapter(op.network).has_value();
    findings_.add(Subject::network, op.network, "",
                  implicit ? "the untagged network of an adapter cannot be deleted"
                           : "there is no such network");
    return;
  }
  std::vector<std::string_view> attached;
  for (const auto& [id, interface] : model_.interfaces) {
    if (interface.network == op.network) { attached.push_back(id); }
  }
  if (!attached.empty()) {
    const std::size_t count = attached.size();
    attached.resize(std::min(count, named_max));
    findings_.add(Subject::network, op.network, "",
                  fmt::format("{} interface{} attached ({}{}); detach first", count,
                              count == 1 ? " is" : "s are", fmt::join(attached, ", "),
                              count > named_max ? ", ..." : ""));
    return;
  }
  model_.networks.erase(op.network);
}

/// Publications by address whose subnet goes from under them. Those that this command brought or
/// changed are check_gateway()'s.
void Applier::check_published_addresses() {
  const std::vector<NamedSubnet> after = named_subnets(model_, facts_);
  const std::set<NamedSubnet> kept(after.begin(), after.end());
  std::vector<NamedSubnet> gone = named_subnets(before_, facts_);
  std::erase_if(gone, [&](const NamedSubnet& subnet) { return kept.contains(subnet); });
  if (gone.empty()) { return; }
  std::map<std::string, std::vector<std::string>> published;  // By network.
  for (const auto& [id, rule] : model_.gateway) {
    if (!rule.address || findings_.concerns(Subject::rule, id)) { continue; }
    const std::string* network = holder_of(gone, *rule.address);
    if (network == nullptr || holder_of(after, *rule.address) != nullptr) { continue; }
    const bool v4 = rule.address->family == Family::v4;
    if (v4 && is_subnet_open(model_, facts_, *network)) { continue; }
    published[*network].push_back(fmt::format("\"{}\" at {}", id, to_string(*rule.address)));
  }
  for (auto& [id, rules] : published) {
    const bool one = rules.size() == 1;
    findings_.add(Subject::network, id, "",
                  fmt::format("published by rule{} {}; withdraw {} first", one ? "" : "s",
                              named_list(std::move(rules)), one ? "it" : "them"));
  }
}

}  // namespace edge::netmodel
