// Operations on the interfaces of guests.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "netmodel/core/applier.hpp"
#include "netmodel/core/render.hpp"

namespace edge::netmodel {

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

}  // namespace edge::netmodel
