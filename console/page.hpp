// The live web page: one self-contained document.
#pragma once

#include <string>

namespace edge::console {

/// Asks for the token once (or takes it from the URL fragment), then shows fleet, paths, commands
/// and events as they change.
const std::string& page_html();

}  // namespace edge::console
