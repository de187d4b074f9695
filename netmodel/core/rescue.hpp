// The state that a host can always be brought to.
#pragma once

#include "netmodel/core/model.hpp"

namespace edge::netmodel {

/// DHCP on every port, every port enabled with its own MTU, no groups, no static address. Networks
/// with a bridge of their own stay, with their interfaces and publications: they touch no port.
/// Bridged networks go, and with them their interfaces.
Model rescue_of(const Model& model);

}  // namespace edge::netmodel
