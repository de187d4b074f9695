// SHA-256 of a byte string.
#pragma once

#include <string_view>

#include "store/core/records.hpp"

namespace edge::store {

Sha256 sha256(std::string_view bytes);

}  // namespace edge::store
