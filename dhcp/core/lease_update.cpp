#include "dhcp/core/lease_update.hpp"

namespace edge::dhcp {

std::string_view to_string(LeasePhase phase) {
  switch (phase) {
    case LeasePhase::none: return "none";
    case LeasePhase::held: return "held";
    case LeasePhase::stored: return "stored";
    case LeasePhase::bound: return "bound";
  }
  return "?";
}

std::string_view to_string(LeaseCause cause) {
  switch (cause) {
    case LeaseCause::started: return "started";
    case LeaseCause::server_answered: return "server_answered";
    case LeaseCause::gateway_answered: return "gateway_answered";
    case LeaseCause::gateway_silent: return "gateway_silent";
    case LeaseCause::carrier_lost: return "carrier_lost";
    case LeaseCause::expired: return "expired";
    case LeaseCause::refused: return "refused";
    case LeaseCause::conflict: return "conflict";
    case LeaseCause::configured: return "configured";
  }
  return "?";
}

}  // namespace edge::dhcp
