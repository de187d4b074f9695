// What a command leaves open of a guest is given out: its MAC address and its host number.
#pragma once

#include <string>
#include <vector>

#include "netmodel/core/apply_operations.hpp"
#include "netmodel/core/command.hpp"
#include "netmodel/core/findings.hpp"
#include "netmodel/core/model.hpp"

namespace edge::netmodel {

/// What the caller leaves open stays as it was in `old`, unless another interface or a reservation
/// claims it now, or the network's subnet does not have it: a guest keeps its MAC and its address.
void keep_open_fields(Model& model, const Model& old, const std::vector<InterfaceFields>& fields,
                      const ModelFacts& facts);

/// In a new subnet guests keep their host numbers; those that it does not have are given out anew.
void renumber_guests(Model& model, const std::string& network, const ModelFacts& facts);

/// For interfaces whose MAC is all zero. The same ids give the same MACs.
void generate_macs(Model& model, const ModelFacts& facts);

/// For interfaces without a host number on a network that has DHCP of ours; a network without a
/// free one is a problem.
void allocate_addresses(Model& model, const ModelFacts& facts, Findings& findings);

}  // namespace edge::netmodel
