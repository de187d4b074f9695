#include "netmodel/core/state.hpp"

#include <algorithm>

namespace edge::netmodel {

std::string_view to_string(BondReselect reselect) {
  switch (reselect) {
    case BondReselect::always: return "always";
    case BondReselect::better: return "better";
    case BondReselect::failure: return "failure";
  }
  return "failure";
}

const ObservedLink* ObservedState::find_link(std::string_view name) const {
  const auto found = std::ranges::find(
      links, name, [](const ObservedLink& l) -> const auto& { return l.link.name; });
  return found == links.end() ? nullptr : &*found;
}

}  // namespace edge::netmodel
