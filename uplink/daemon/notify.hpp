// Tells systemd that the daemon is ready, reloading or stopping.
#pragma once

#include <string_view>

namespace edge::uplink {

/// Sends one datagram to $NOTIFY_SOCKET; nothing happens without it. Source: sd_notify(3).
void notify_systemd(std::string_view state);

}  // namespace edge::uplink
