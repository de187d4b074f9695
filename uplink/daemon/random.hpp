// The daemon's random device; the only place of its own code that reads it.
#pragma once

#include <cstdint>
#include <string>

namespace edge::uplink {

/// A seed for a generator of the engines.
std::uint64_t random_u64();

/// Version 4, lower-case. Source: RFC 4122 section 4.4.
std::string random_uuid();

}  // namespace edge::uplink
