// A network namespace per test, inside the test binary.
#pragma once

#include <string>

namespace edge::netmodel {

/// Moves this process into a new network namespace (and, the first time, a mount namespace, with a
/// user namespace when not root) and mounts sysfs so that /sys fits. The old one ends with its last
/// user. Aborts the test when the machine refuses: a skip would hide everything.
void enter_new_namespace();

/// Runs `ip ARGS` (iproute2): what another owner does to the host. Fails the test when it fails.
void ip(const std::string& arguments);
/// Many lines in one process (ip -batch).
void ip_batch(const std::string& lines);
/// Its output, for what only an independent witness can say.
std::string ip_output(const std::string& arguments);

/// Waits, 10 s at most, until /sys/class/net/`attribute` reads `value`: linkwatch brings a new
/// cable's ends into service later than the command that plugged it returns.
void await_sysfs(const std::string& attribute, const std::string& value);

}  // namespace edge::netmodel
