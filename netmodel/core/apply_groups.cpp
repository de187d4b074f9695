#include "netmodel/core/apply_groups.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "netmodel/core/applier.hpp"

namespace edge::netmodel {
namespace {

void set_fields(const GroupFields& fields, const NamedAdapters& named, Group& group) {
  if (named.adapters) { group.adapters = *named.adapters; }
  if (fields.mode) {
    group.mode = *fields.mode;
    // Only active-backup knows a primary: what belonged to the old mode goes with it.
    if (group.mode != GroupMode::active_backup) { group.primary.reset(); }
  }
  if (fields.primary) { group.primary = named.primary; }
  if (fields.mtu) { group.mtu = *fields.mtu == 0 ? std::nullopt : fields.mtu; }
  if (fields.role) { group.role = *fields.role; }
  if (fields.allow_single) { group.allow_single = *fields.allow_single; }
  if (fields.management_vlan) {
    group.management_vlan = *fields.management_vlan == 0 ? std::nullopt : fields.management_vlan;
  }
}

}  // namespace

std::string named_list(std::vector<std::string> names) {
  const bool more = names.size() > named_max;
  if (more) { names.resize(named_max); }
  return fmt::format("{}{}", fmt::join(names, ", "), more ? ", ..." : "");
}

std::string foreign_text(const std::string& bridge, const std::vector<std::string>& ports) {
  return fmt::format(
      "{} that somebody else put into its bridge {} {} attached ({}); take {} out first: ip link "
      "set "
      "{} nomaster",
      ports.size() == 1 ? "a port" : fmt::format("{} ports", ports.size()), bridge,
      ports.size() == 1 ? "is" : "are", named_list(ports), ports.size() == 1 ? "it" : "them",
      ports.front());
}

void create_group(Model& model, const GroupFields& fields, const NamedAdapters& named,
                  Findings& findings) {
  if (model.groups.contains(fields.group)) {
    findings.add(Subject::group, fields.group, "group", "exists already; use group.update");
    return;
  }
  if (!named.complete) {
    findings.refuse(Subject::group, fields.group);
    return;
  }
  Group group;
  set_fields(fields, named, group);
  model.groups.emplace(fields.group, std::move(group));
}

void update_group(Model& model, const GroupFields& fields, const NamedAdapters& named,
                  Findings& findings) {
  const auto found = model.groups.find(fields.group);
  if (found == model.groups.end()) {
    findings.add(Subject::group, fields.group, "", "there is no such group; use group.create");
    return;
  }
  if (named.complete) { set_fields(fields, named, found->second); }
}

void delete_group(Model& model, const std::string& id, Findings& findings) {
  if (!model.groups.contains(id)) {
    findings.add(Subject::group, id, "", "there is no such group");
    return;
  }
  std::vector<std::string> networks;
  for (const auto& [network_id, network] : model.networks) {
    if (network.group == id) { networks.push_back(network_id); }
  }
  if (!networks.empty()) {
    const std::size_t count = networks.size();
    findings.add(Subject::group, id, "",
                 fmt::format("{} network{} on it ({}); delete or move {} first", count,
                             count == 1 ? " is" : "s are", named_list(std::move(networks)),
                             count == 1 ? "it" : "them"));
    return;
  }
  model.groups.erase(id);
}

}  // namespace edge::netmodel
