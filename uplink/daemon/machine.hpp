// What this machine says of itself, and who else configures its network; read from its files.
#pragma once

#include <string>

#include "uplink/core/config.hpp"
#include "uplink/core/takeover.hpp"

namespace edge::uplink {

/// `[host] id`, else the id in our own certificate, else the machine's host name.
std::string host_id_of(const Config& config);

/// Drawn by the kernel at each boot.
std::string boot_id();

/// Loaded, built in, or there to be loaded. Asking by making a bond would leave a foreign "bond0"
/// behind: the module makes one as it loads.
bool kernel_has_bonding();

/// Who else configures this network. A file of theirs that stands is a sign, not a proof: it is
/// only told.
Surroundings look_around();

}  // namespace edge::uplink
