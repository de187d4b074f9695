// What an operator asks of the whole fleet: to come again, or elsewhere. Pure.
#pragma once

#include <expected>
#include <string_view>

#include "console/api_request.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::console {

/// `{"endpoints"?: up to 16 "HOST:PORT", "spread_s"?: 0..3600, "reconnect_in_s"?: 0..3600,
/// "try_for_s"?: 1..86400, "reason"?: one line}`, or no body at all.
/// Errors: 400 no JSON, 422 with all that is wrong.
std::expected<tunnel::Goaway, Problem> parse_goaway(std::string_view body);

}  // namespace edge::console
