// Tells systemd that the daemon is ready, reloading or stopping.
#pragma once

#include <string>
#include <string_view>

namespace edge::uplink {

/// Sends one datagram to $NOTIFY_SOCKET; nothing happens without it. Source: sd_notify(3).
void notify_systemd(std::string_view state);

/// What says that a reload begins; READY=1 ends it. Source: sd_notify(3), RELOADING=1.
std::string reloading_state();

}  // namespace edge::uplink
