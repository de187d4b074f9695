// Files below /proc/sys/net, of the calling thread's network namespace.
#pragma once

#include <optional>
#include <string>

#include "base/error.hpp"
#include "netmodel/core/state.hpp"

namespace edge::netmodel {

/// The value without its line end; nullopt: there is no such file (its link is gone).
/// Errors: invalid_input for a path outside net/; denied.
Result<std::optional<std::string>> read_sysctl(const std::string& path);
/// Errors: as above; not_found; invalid_input when the kernel refuses the value.
Result<void> write_sysctl(const Sysctl& sysctl);

}  // namespace edge::netmodel
