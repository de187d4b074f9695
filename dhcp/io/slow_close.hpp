// Closing what the kernel is slow to close, away from the thread that beats.
#pragma once

#include "base/unique_fd.hpp"

namespace edge::dhcp {

/// Closes it on a thread of its own, in the order given. For packet sockets: their close(2) waits
/// for an RCU grace period (synchronize_net() in packet_release() of net/packet/af_packet.c), 10 to
/// 26 ms when a cable is pulled, in which an event loop would neither hear nor send (seen: commands
/// stood for 40 instead of 20 ms at every pull).
/// What was given before the end of the process is closed before it ends. Threads: any.
void close_apart(UniqueFd fd);

}  // namespace edge::dhcp
