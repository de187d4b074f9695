// Foreign text in a message: short, one line, valid UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace edge {

/// In quotes, at most 64 bytes, control characters and quotes replaced: hostile text stays one
/// short line.
std::string quoted(std::string_view text);

/// All of it as one line that a terminal may show: control characters (C0, DEL, and C1 in UTF-8) as
/// \n or \xHH; of more than 16 KiB the beginning, and how many bytes there were.
std::string one_line(std::string_view text);

}  // namespace edge
