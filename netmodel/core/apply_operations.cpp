#include "netmodel/core/apply_operations.hpp"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "netmodel/core/allocate.hpp"
#include "netmodel/core/applier.hpp"
#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

/// Every adapter that a model names, here or not.
std::set<MacAddress> adapters_named(const Model& model) {
  std::set<MacAddress> named;
  const auto add = [&](const auto& macs) { named.insert(macs.begin(), macs.end()); };
  for (const auto& [mac, settings] : model.adapters) { named.insert(mac); }
  for (const auto& [id, group] : model.groups) { add(group.adapters); }
  for (const auto& [id, network] : model.networks) {
    if (network.adapter) { named.insert(*network.adapter); }
  }
  for (const auto& [id, interface] : model.interfaces) {
    if (const auto mac = implicit_network_adapter(interface.network)) { named.insert(*mac); }
  }
  for (const auto& [id, rule] : model.gateway) { add(rule.adapters); }
  add(model.host.uplink_order);
  const auto& management = model.host.management;
  if (management && management->adapter) { named.insert(*management->adapter); }
  return named;
}

}  // namespace

std::optional<MacAddress> Applier::resolve(const AdapterRef& ref, Subject subject,
                                           const std::string& id, std::string_view field) {
  const auto mac = parse_mac(ref);
  const auto found = std::ranges::find_if(facts_.adapters, [&](const KnownAdapter& a) {
    return mac ? a.base_mac == *mac : a.name == ref;
  });
  if (found != facts_.adapters.end()) { return found->base_mac; }
  if (mac && may_be_away(*mac)) { return *mac; }
  std::vector<std::string> present;
  present.reserve(facts_.adapters.size());
  for (const KnownAdapter& adapter : facts_.adapters) {
    present.push_back(fmt::format("{} ({})", adapter.name, to_string(adapter.base_mac)));
  }
  findings_.add(
      subject, id, field,
      fmt::format("there is no adapter \"{}\"; present: {}{}", ref,
                  present.empty() ? "none" : fmt::format("{}", fmt::join(present, ", ")),
                  mac && pending_ ? R"(; for a card that comes later set "allow_pending")" : ""));
  return std::nullopt;
}

/// Asked for, or known from before or from an operation before this one.
bool Applier::may_be_away(const MacAddress& mac) {
  if (!known_) { known_ = adapters_named(before_); }
  if (pending_.value_or(false) || facts_.allow_pending_adapters) { known_->insert(mac); }
  return known_->contains(mac);
}

std::vector<MacAddress> Applier::resolve_all(const std::vector<AdapterRef>& refs, Subject subject,
                                             const std::string& id, std::string_view field) {
  std::vector<MacAddress> out;
  for (const AdapterRef& ref : refs) {
    if (const auto mac = resolve(ref, subject, id, field)) { out.push_back(*mac); }
  }
  return out;
}

void Applier::on(const AdapterSet& op) {
  touch(Subject::adapter, op.adapter);
  const auto mac = resolve(op.adapter, Subject::adapter, op.adapter, "adapter");
  if (!mac) { return; }
  touch(Subject::adapter, to_string(*mac));
  if (!op.mtu && !op.enabled) {
    findings_.add(Subject::adapter, op.adapter, "",
                  "nothing to set; allowed: \"mtu\" and \"enabled\"");
    return;
  }
  AdapterSettings& settings = model_.adapters[*mac];
  if (op.mtu) { settings.mtu = op.mtu; }
  if (op.enabled) { settings.enabled = *op.enabled; }
}

NamedAdapters Applier::adapters_of(const GroupFields& fields) {
  NamedAdapters named;
  const auto of_operation = pending_;
  pending_ = pending_.value_or(false) || fields.allow_pending;  // Also one group of a whole model.
  if (fields.adapters) {
    named.adapters = resolve_all(*fields.adapters, Subject::group, fields.group, "adapters");
    named.complete = named.adapters->size() == fields.adapters->size();
  }
  if (fields.primary && !fields.primary->empty()) {
    named.primary = resolve(*fields.primary, Subject::group, fields.group, "primary");
    named.complete = named.complete && named.primary;
  }
  pending_ = of_operation;
  return named;
}

void Applier::create(const GroupFields& fields) {
  touch(Subject::group, fields.group);
  create_group(model_, fields, adapters_of(fields), findings_);
}

void Applier::on(const GroupUpdate& op) {
  touch(Subject::group, op.fields.group);
  update_group(model_, op.fields, adapters_of(op.fields), findings_);
}

void Applier::on(const GroupDelete& op) {
  touch(Subject::group, op.group);
  delete_group(model_, op.group, findings_);
}

void Applier::on(const GatewayPublish& op) {
  touch(Subject::rule, op.rule);
  if (model_.gateway.contains(op.rule)) {
    findings_.add(Subject::rule, op.rule, "rule", "exists already; withdraw it first");
    return;
  }
  GatewayRule rule;
  rule.interface = op.interface;
  rule.address = op.address;
  rule.protocol = op.protocol;
  rule.port_first = op.port_first;
  rule.port_last = op.port_last;
  rule.to_port = op.to_port.value_or(op.port_first);
  rule.sources = op.sources;
  std::ranges::sort(rule.sources);
  rule.sources.erase(std::ranges::unique(rule.sources).begin(), rule.sources.end());
  rule.adapters = resolve_all(op.adapters, Subject::rule, op.rule, "adapters");
  std::ranges::sort(rule.adapters);
  rule.adapters.erase(std::ranges::unique(rule.adapters).begin(), rule.adapters.end());
  model_.gateway.emplace(op.rule, std::move(rule));
}

void Applier::on(const GatewayWithdraw& op) {
  touch(Subject::rule, op.rule);
  if (model_.gateway.erase(op.rule) == 0) { missing(Subject::rule, op.rule); }
}

void Applier::on(const HostSet& op) {
  touch(Subject::host, "host");
  HostSettings& host = model_.host;
  if (op.uplink_order) {
    host.uplink_order = resolve_all(*op.uplink_order, Subject::host, "host", "uplink_order");
  }
  if (op.no_console) { host.console_endpoints.clear(); }
  if (op.console_endpoints) { host.console_endpoints = *op.console_endpoints; }
  if (op.no_management) { host.management.reset(); }
  if (op.no_virtual_ip) { host.virtual_ip.reset(); }
  if (op.no_cluster) { host.cluster.reset(); }
  if (op.virtual_ip) { host.virtual_ip = op.virtual_ip; }
  if (op.cluster) { host.cluster = op.cluster; }
  if (op.management) {
    const ManagementFields& given = *op.management;
    Management management{.group = given.group, .address = given.address};
    if (!given.adapter.empty()) {
      management.adapter = resolve(given.adapter, Subject::host, "host", "management.adapter");
    }
    management.gateway = given.gateway;
    management.dns = given.dns;
    host.management = std::move(management);
  }
}

void Applier::on(const ModelReplace& op) {
  std::optional<Model> changed;  // By operations before it.
  if (op_ > 0) { changed = std::exchange(model_, Model{}); }
  for (const AdapterSet& adapter : op.adapters) { on(adapter); }
  for (const GroupFields& group : op.groups) { create(group); }
  for (const NetworkFields& network : op.networks) { create(network); }
  for (const InterfaceFields& interface : op.interfaces) { attach(interface); }
  keep_open_fields(model_, changed ? *changed : before_, op.interfaces, facts_);
  for (const GatewayPublish& rule : op.gateway) { on(rule); }
  on(op.host);
  restate_unchanged();
}

/// A whole model names everything; what facts did since to an object that it leaves as it was is no
/// fault of the command.
void Applier::restate_unchanged() {
  in_force_ = model_ == before_ && findings_.problems().empty();
  if (in_force_) { return findings_.restate_all(); }
  const auto compare = [&](Subject subject, const auto& now, const auto& before, const auto& name) {
    for (const auto& [id, object] : now) {
      const auto was = before.find(id);
      if (was != before.end() && was->second == object) { findings_.restate(subject, name(id)); }
    }
  };
  compare(Subject::adapter, model_.adapters, before_.adapters,
          [](const MacAddress& mac) { return to_string(mac); });
  compare(Subject::group, model_.groups, before_.groups, std::identity{});
  compare(Subject::network, model_.networks, before_.networks, std::identity{});
  compare(Subject::interface, model_.interfaces, before_.interfaces, std::identity{});
  compare(Subject::rule, model_.gateway, before_.gateway, std::identity{});
  if (model_.host == before_.host) { findings_.restate(Subject::host, "host"); }
}

/// The adapter, if it has a port of its own; a member of a group has not.
std::optional<MacAddress> Applier::whole_port(const AdapterRef& ref, std::string_view verb) {
  touch(Subject::adapter, ref);
  const auto mac = resolve(ref, Subject::adapter, ref, "adapter");
  if (!mac) { return std::nullopt; }
  const MacAddress leader = leader_of(model_, *mac);
  if (leader == *mac) { return mac; }
  const auto port = std::ranges::find(facts_.adapters, leader, &KnownAdapter::base_mac);
  findings_.add(
      Subject::adapter, ref, "adapter",
      fmt::format("it is a member of group \"{}\"; {} its port \"{}\"", group_of(model_, *mac),
                  verb, port == facts_.adapters.end() ? to_string(leader) : port->name));
  return std::nullopt;
}

void Applier::on(const PathDrain& op) {
  if (const auto mac = whole_port(op.adapter, "drain")) {
    actions_.push_back(DrainPort{*mac, op.duration});
  }
}

void Applier::on(const FailoverDrill& op) {
  if (op.adapter.empty()) {
    actions_.push_back(DrillPort{std::nullopt, op.duration});
  } else if (const auto mac = whole_port(op.adapter, "drill")) {
    actions_.push_back(DrillPort{mac, op.duration});
  }
}

void Applier::on(const PortIdentify& op) {
  touch(Subject::adapter, op.adapter);
  const auto mac = resolve(op.adapter, Subject::adapter, op.adapter, "adapter");
  if (mac) { actions_.push_back(IdentifyPort{*mac, op.duration}); }
}

/// A network whose bridge would go from under somebody else's port, by a delete or by a
/// replacement.
void Applier::check_foreign_ports() {
  for (const auto& [id, network] : before_.networks) {
    const std::string bridge = network_bridge_name(id);
    const auto there = facts_.foreign_ports.find(bridge);
    if (is_bridged(network.kind) || model_.networks.contains(id) ||
        there == facts_.foreign_ports.end()) {
      continue;
    }
    findings_.add(Subject::network, id, "", foreign_text(bridge, there->second));
  }
}

/// The model in force was judged when it came to be: its rules cost as much as all the rest of a
/// command that changes nothing.
ApplyOutcome Applier::finish() {
  if (in_force_) {
    return {.model = std::move(model_), .actions = std::move(actions_), .problems = {}};
  }
  check_foreign_ports();
  check_published_addresses();
  generate_macs(model_, facts_);
  allocate_addresses(model_, facts_, findings_);
  check_adapters(model_, facts_, findings_);
  check_groups(model_, facts_, findings_);
  check_networks(model_, facts_, findings_);
  check_interfaces(model_, facts_, findings_);
  check_gateway(model_, facts_, findings_);
  check_host(model_, facts_, findings_);
  ApplyOutcome out;
  if (findings_.problems().empty()) {
    out.model = std::move(model_);
    out.actions = std::move(actions_);
  }
  out.problems = std::move(findings_.problems());
  return out;
}

ApplyOutcome apply_operations(const Model& model, std::span<const ModelOperation> operations,
                              const ModelFacts& facts) {
  const bool pending = std::ranges::any_of(operations, [](const ModelOperation& operation) {
    const auto* replace = std::get_if<ModelReplace>(&operation);
    return replace != nullptr && replace->allow_pending;
  });
  if (pending && !facts.allow_pending_adapters) {
    ModelFacts lenient = facts;
    lenient.allow_pending_adapters = true;
    return apply_operations(model, operations, lenient);
  }
  const bool replaced =
      !operations.empty() && std::holds_alternative<ModelReplace>(operations.front());
  Applier applier(model, facts, replaced);
  for (std::size_t i = 0; i < operations.size(); ++i) { applier.apply(operations[i], i); }
  return applier.finish();
}

}  // namespace edge::netmodel
