// How the host is and what happened to it: status, doctor, events, watch.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "uplink/ctl/table.hpp"

namespace edge::uplink::ctl {

/// The certificate that is shown to the Console, and how its renewal goes.
std::string identity_text(const boost::json::object& identity, const Style& style);
std::string status_text(const boost::json::object& status, const Style& style);
/// What is broken at each port, and what to do.
std::string doctor_text(const boost::json::array& rows, const Style& style);
/// One event or an array of them, a line each. Pre: an object or an array.
std::string events_text(const boost::json::value& data, const Style& style);
/// Status, ports and paths.
std::string watch_text(const boost::json::object& data, const Style& style);

}  // namespace edge::uplink::ctl
