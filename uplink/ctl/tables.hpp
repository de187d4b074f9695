// What there is, a row each: ports, paths, leases, groups, networks, interfaces, publications.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "uplink/ctl/table.hpp"

namespace edge::uplink::ctl {

std::string ports_text(const boost::json::array& rows, const Style& style);
std::string paths_text(const boost::json::array& rows, const Style& style);
std::string leases_text(const boost::json::array& rows, const Style& style);
std::string groups_text(const boost::json::array& rows, const Style& style);
std::string networks_text(const boost::json::array& rows, const Style& style);
std::string interfaces_text(const boost::json::array& rows, const Style& style);
std::string gateway_text(const boost::json::array& rows, const Style& style);

}  // namespace edge::uplink::ctl
