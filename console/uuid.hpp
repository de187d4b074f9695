// Random UUIDs.
#pragma once

#include <string>

namespace edge::console {

/// Version 4, lower case.
std::string random_uuid();

}  // namespace edge::console
