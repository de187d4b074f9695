// What the daemon answered, as text for a person.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "uplink/ctl/table.hpp"

namespace edge::uplink::ctl {

/// `data` of the answer to `command`. Fields that are missing show as "-", fields that are new are
/// ignored; data of another shape than expected is shown as JSON: a newer daemon still answers an
/// older uplinkctl. Ends with a line break.
std::string render(std::string_view command, const boost::json::value& data, const Style& style);

/// Two spaces of indentation, keys in the order in which they came.
std::string pretty_json(const boost::json::value& value);

}  // namespace edge::uplink::ctl
