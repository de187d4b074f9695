#include "netmodel/core/state.hpp"

#include <algorithm>

namespace edge::netmodel {

const ObservedLink* ObservedState::find_link(std::string_view name) const {
  const auto found = std::ranges::find(
      links, name, [](const ObservedLink& l) -> const auto& { return l.link.name; });
  return found == links.end() ? nullptr : &*found;
}

}  // namespace edge::netmodel
