// Foreign text in a message: short, one line, valid UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace edge {

/// In quotes, at most 64 bytes, control characters and quotes replaced: hostile text stays one
/// short line.
std::string quoted(std::string_view text);

}  // namespace edge
