#include "netmodel/core/apply_operations.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/json/parse.hpp>

#include "netmodel/core/apply_groups.hpp"
#include "netmodel/core/groups.hpp"
#include "netmodel/core/names.hpp"
#include "netmodel/core/render.hpp"
#include "netmodel/core/subnets.hpp"
#include "netmodel/core/validate.hpp"

namespace edge::netmodel {
namespace {

/// Applies operation after operation to a copy of the model and notes what is wrong with each.
class Applier {
 public:
  Applier(const Model& model, const ModelFacts& facts)
      : before_(model), model_(model), facts_(facts), findings_(Findings::Scope::touched) {}

  void apply(const ModelOperation& operation, std::size_t index) {
    op_ = index;
    std::visit([&](const auto& o) { on(o); }, operation);
  }
  ApplyOutcome finish();

 private:
  void on(const AdapterSet& op);
  void on(const GroupCreate& op) { create(op.fields); }
  void on(const GroupUpdate& op);
  void on(const GroupDelete& op);
  void on(const NetworkCreate& op) { create(op.fields); }
  void on(const NetworkUpdate& op);
  void on(const NetworkDelete& op);
  void on(const InterfaceAttach& op) { attach(op.fields); }
  void on(const InterfaceUpdate& op);
  void on(const InterfaceDetach& op);
  void on(const GatewayPublish& op);
  void on(const GatewayWithdraw& op);
  void on(const HostSet& op);
  void on(const ModelReplace& op);
  void on(const PathDrain& op);
  void on(const PortIdentify& op);
  void on(const FailoverDrill&) { report("", "failover.drill: not supported by this version"); }

  void create(const GroupFields& fields);
  void create(const NetworkFields& fields);
  void attach(const InterfaceFields& fields);
  void set_fields(const NetworkFields& fields, Network& network);
  void set_subnet6(const std::string& id, const Subnet6Field& field, Network& network);
  void set_fields(const InterfaceFields& fields, Interface& interface);
  NamedAdapters adapters_of(const GroupFields& fields);
  bool may_be_away(const MacAddress& mac) const;
  std::optional<MacAddress> resolve(const AdapterRef& ref, Subject subject, const std::string& id,
                                    std::string_view field);
  std::vector<MacAddress> resolve_all(const std::vector<AdapterRef>& refs, Subject subject,
                                      const std::string& id, std::string_view field);
  void keep_open_fields(const Model& old, const std::vector<InterfaceFields>& fields);
  void renumber_guests(const std::string& network);
  void generate_macs();
  void allocate_addresses();

  void touch(Subject subject, const std::string& id) { findings_.touch(subject, id, op_); }
  void report(std::string_view field, std::string text) {
    findings_.add_to(op_, field, std::move(text));
  }
  void missing(Subject subject, const std::string& id) {
    findings_.add(subject, id, "", fmt::format("there is no such {}", to_string(subject)));
  }

  const Model& before_;
  Model model_;
  const ModelFacts& facts_;
  Findings findings_;
  std::vector<HostAction> actions_;
  std::size_t op_ = 0;
  bool pending_ = false;  ///< The operation at hand accepts adapters that come later.
};

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
      fmt::format("there is no adapter \"{}\"; present: {}", ref,
                  present.empty() ? "none" : fmt::format("{}", fmt::join(present, ", "))));
  return std::nullopt;
}

/// Asked for, or known from before.
bool Applier::may_be_away(const MacAddress& mac) const {
  return pending_ || facts_.allow_pending_adapters || before_.adapters.contains(mac) ||
         !group_of(before_, mac).empty();
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
  pending_ = fields.allow_pending;
  if (fields.adapters) {
    named.adapters = resolve_all(*fields.adapters, Subject::group, fields.group, "adapters");
    named.complete = named.adapters->size() == fields.adapters->size();
  }
  if (fields.primary && !fields.primary->empty()) {
    named.primary = resolve(*fields.primary, Subject::group, fields.group, "primary");
    named.complete = named.complete && named.primary;
  }
  pending_ = false;
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
  model_.networks.emplace(fields.network, std::move(network));
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
  if (op.fields.subnet) { renumber_guests(op.fields.network); }
}

/// In a new subnet guests keep their host numbers; those that it does not have are given out anew.
void Applier::renumber_guests(const std::string& network) {
  const auto subnet = subnet_of(model_, network, facts_.automatic_subnets);
  if (!subnet) { return; }
  for (auto& [id, interface] : model_.interfaces) {
    if (interface.network != network || !interface.host_number) { continue; }
    const auto address = host_address(*subnet, *interface.host_number);
    if (!address || *address == gateway_of(*subnet)) { interface.host_number.reset(); }
  }
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
  constexpr std::size_t named_max = 10;
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

void Applier::set_fields(const InterfaceFields& fields, Interface& interface) {
  if (fields.vm) { interface.vm = *fields.vm; }
  if (fields.network && *fields.network != interface.network) {
    interface.network = *fields.network;
    interface.host_number.reset();
  }
  if (fields.mac && fields.mac->is_zero()) {
    findings_.add(Subject::interface, fields.interface, "mac",
                  fmt::format("mac {} is not a unicast MAC address", to_string(*fields.mac)));
  }
  if (fields.mac) { interface.mac = *fields.mac; }
  if (fields.hardware) { interface.hardware = *fields.hardware; }
  if (fields.host_number) { interface.host_number = fields.host_number; }
  if (fields.spoof_filter) { interface.spoof_filter = *fields.spoof_filter; }
  if (!fields.address) { return; }
  const auto subnet = subnet_of(model_, interface.network, facts_.automatic_subnets);
  if (!subnet || fields.address->family != Family::v4 || !subnet->contains(*fields.address) ||
      *fields.address == subnet->address || *fields.address == subnet->broadcast()) {
    const std::string allowed = subnet ? fmt::format("a host address of {}", to_string(*subnet))
                                       : "only where a network has a subnet";
    findings_.add(Subject::interface, fields.interface, "address",
                  fmt::format("address {} does not fit network \"{}\"; allowed: {}",
                              to_string(*fields.address), interface.network, allowed));
    return;
  }
  interface.host_number = fields.address->v4_u32() - subnet->address.v4_u32();
}

void Applier::attach(const InterfaceFields& fields) {
  touch(Subject::interface, fields.interface);
  if (model_.interfaces.contains(fields.interface)) {
    findings_.add(Subject::interface, fields.interface, "interface",
                  "exists already; use interface.update");
    return;
  }
  Interface interface;
  set_fields(fields, interface);
  model_.interfaces.emplace(fields.interface, std::move(interface));
}

void Applier::on(const InterfaceUpdate& op) {
  touch(Subject::interface, op.fields.interface);
  const auto found = model_.interfaces.find(op.fields.interface);
  if (found == model_.interfaces.end()) {
    missing(Subject::interface, op.fields.interface);
    return;
  }
  set_fields(op.fields, found->second);
}

void Applier::on(const InterfaceDetach& op) {
  touch(Subject::interface, op.interface);
  if (!model_.interfaces.contains(op.interface)) {
    missing(Subject::interface, op.interface);
    return;
  }
  std::vector<std::string_view> rules;
  for (const auto& [id, rule] : model_.gateway) {
    if (rule.interface == op.interface && rules.size() < 10) { rules.push_back(id); }
  }
  if (!rules.empty()) {
    findings_.add(Subject::interface, op.interface, "",
                  fmt::format("it is published by {}; withdraw first", fmt::join(rules, ", ")));
    return;
  }
  model_.interfaces.erase(op.interface);
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
  Model old = std::move(model_);
  model_ = Model{};
  for (const AdapterSet& adapter : op.adapters) { on(adapter); }
  for (const GroupFields& group : op.groups) { create(group); }
  for (const NetworkFields& network : op.networks) { create(network); }
  for (const InterfaceFields& interface : op.interfaces) { attach(interface); }
  keep_open_fields(old, op.interfaces);
  for (const GatewayPublish& rule : op.gateway) { on(rule); }
  on(op.host);
}

/// What the caller leaves open stays as it was, unless another interface claims it now: a guest
/// keeps its MAC and its address.
void Applier::keep_open_fields(const Model& old, const std::vector<InterfaceFields>& fields) {
  std::set<MacAddress> macs;
  std::set<std::pair<std::string, std::uint32_t>> numbers;
  for (const auto& [id, interface] : model_.interfaces) {
    macs.insert(interface.mac);
    if (interface.host_number) { numbers.insert({interface.network, *interface.host_number}); }
  }
  for (const InterfaceFields& given : fields) {
    const auto was = old.interfaces.find(given.interface);
    const auto now = model_.interfaces.find(given.interface);
    if (was == old.interfaces.end() || now == model_.interfaces.end()) { continue; }
    if (!given.mac && macs.insert(was->second.mac).second) { now->second.mac = was->second.mac; }
    const bool same_network = now->second.network == was->second.network;
    if (now->second.host_number || !was->second.host_number || !same_network) { continue; }
    if (numbers.insert({now->second.network, *was->second.host_number}).second) {
      now->second.host_number = was->second.host_number;
    }
  }
}

void Applier::on(const PathDrain& op) {
  touch(Subject::adapter, op.adapter);
  const auto mac = resolve(op.adapter, Subject::adapter, op.adapter, "adapter");
  if (!mac) { return; }
  if (const MacAddress leader = leader_of(model_, *mac); leader != *mac) {
    const auto port = std::ranges::find(facts_.adapters, leader, &KnownAdapter::base_mac);
    findings_.add(
        Subject::adapter, op.adapter, "adapter",
        fmt::format("it is a member of group \"{}\"; drain its port \"{}\"", group_of(model_, *mac),
                    port == facts_.adapters.end() ? to_string(leader) : port->name));
    return;
  }
  actions_.push_back(DrainPort{*mac, op.duration});
}

void Applier::on(const PortIdentify& op) {
  touch(Subject::adapter, op.adapter);
  const auto mac = resolve(op.adapter, Subject::adapter, op.adapter, "adapter");
  if (mac) { actions_.push_back(IdentifyPort{*mac, op.duration}); }
}

void Applier::generate_macs() {
  std::set<MacAddress> used;
  for (const auto& [id, interface] : model_.interfaces) { used.insert(interface.mac); }
  for (const auto& [id, network] : model_.networks) {
    for (const DhcpReservation& r : network.dhcp.reservations) { used.insert(r.mac); }
    used.insert(generated_mac(facts_.host_id, "network", id));
  }
  for (const KnownAdapter& adapter : facts_.adapters) { used.insert(adapter.base_mac); }
  for (auto& [id, interface] : model_.interfaces) {
    // All zero came from "not given" only when this command created it; a given zero MAC is
    // reported.
    for (unsigned attempt = 0; interface.mac.is_zero(); ++attempt) {
      const MacAddress mac = generated_mac(facts_.host_id, "interface", id, attempt);
      if (used.insert(mac).second) { interface.mac = mac; }
    }
  }
}

void Applier::allocate_addresses() {
  std::map<std::string, std::set<std::uint32_t>> used;
  for (const auto& [id, interface] : model_.interfaces) {
    if (interface.host_number) { used[interface.network].insert(*interface.host_number); }
  }
  constexpr IpPrefix any_automatic{{Family::v4, {10, 200, 0, 0}},
                                   24};  // All automatic subnets have this size.
  for (auto& [id, interface] : model_.interfaces) {
    const auto network = model_.networks.find(interface.network);
    if (interface.host_number || network == model_.networks.end() ||
        is_bridged(network->second.kind)) {
      continue;
    }
    const IpPrefix subnet = subnet_of(model_, interface.network, facts_.automatic_subnets)
                                .value_or(any_automatic)
                                .network();
    const bool sound =
        subnet.address.family == Family::v4 && subnet.length >= 8 && subnet.length <= 30;
    const auto range = sound ? dhcp_range_of(network->second, subnet) : std::nullopt;
    if (!range || range->from > range->to) { continue; }
    const std::uint32_t base = subnet.address.v4_u32();
    std::set<std::uint32_t>& taken = used[interface.network];
    std::optional<std::uint32_t> reserved;
    for (const DhcpReservation& r : network->second.dhcp.reservations) {
      if (r.mac == interface.mac) { reserved = r.address.v4_u32() - base; }
      taken.insert(r.address.v4_u32() - base);
    }
    if (reserved) {
      interface.host_number = reserved;
      continue;
    }
    // Starting at a hash of the id, an interface that is attached again most often finds its old
    // address.
    const std::uint32_t first = range->from.v4_u32() - base;
    const std::uint32_t count = range->to.v4_u32() - range->from.v4_u32() + 1;
    const auto start = static_cast<std::uint32_t>(fnv1a64(id) % count);
    for (std::uint32_t i = 0; i < count && !interface.host_number; ++i) {
      const std::uint32_t number = first + (start + i) % count;
      if (taken.insert(number).second) { interface.host_number = number; }
    }
    if (!interface.host_number) {
      findings_.add(Subject::interface, id, "network",
                    fmt::format("network \"{}\" has no free address left in {}..{}",
                                interface.network, to_string(range->from), to_string(range->to)));
    }
  }
}

ApplyOutcome Applier::finish() {
  generate_macs();
  allocate_addresses();
  check_adapters(model_, facts_, findings_);
  check_groups(model_, facts_, findings_);
  check_networks(model_, facts_, findings_);
  check_interfaces(model_, facts_, findings_);
  check_gateway(model_, facts_, findings_);
  check_host(model_, findings_);
  ApplyOutcome out;
  if (findings_.problems().empty()) {
    out.model = std::move(model_);
    out.actions = std::move(actions_);
  }
  out.problems = std::move(findings_.problems());
  return out;
}

}  // namespace

ApplyOutcome apply_operations(const Model& model, std::span<const ModelOperation> operations,
                              const ModelFacts& facts) {
  Applier applier(model, facts);
  for (std::size_t i = 0; i < operations.size(); ++i) { applier.apply(operations[i], i); }
  return applier.finish();
}

Result<Model> model_from_json(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = command_depth_max;
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error, {}, options);
  if (error) {
    return fail(Errc::corrupt, fmt::format("stored model: not JSON: {}", error.message()));
  }
  const auto first = [](const Problems& problems) {
    return fail(Errc::corrupt, fmt::format("stored model: {} ({} problems)",
                                           problems.items().front().what, problems.total()));
  };
  auto parsed = parse_model(value);
  if (!parsed) { return first(parsed.error()); }
  ModelFacts lenient;
  lenient.allow_pending_adapters = true;
  const std::vector<ModelOperation> operations{std::move(*parsed)};
  ApplyOutcome outcome = apply_operations(Model{}, operations, lenient);
  if (!outcome.model) { return first(outcome.problems); }
  return std::move(*outcome.model);
}

}  // namespace edge::netmodel
