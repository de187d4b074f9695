// What became of what was asked: commands, plans, recabling, the history; what unplugging would do.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

#include "uplink/ctl/table.hpp"

namespace edge::uplink::ctl {

/// A command's result: state, what was wrong, what was or would be done.
std::string result_text(const boost::json::object& data, const Style& style);
std::string unplug_text(const boost::json::object& data, const Style& style);
std::string recable_text(const boost::json::object& data, const Style& style);
/// Revisions of the model, then the latest commands.
std::string history_text(const boost::json::object& data, const Style& style);

}  // namespace edge::uplink::ctl
