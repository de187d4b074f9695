// What happens in a world, in the order of its time.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <tuple>
#include <vector>

#include "base/ids.hpp"
#include "tunnel/core/session.hpp"

namespace edge::sim {

/// `a`, `b`, `bytes`: what it is about, by `what`. Of one moment the first one scheduled comes
/// first.
template <class What>
struct WorldEvent {
  MonoTime at{};
  std::uint64_t order = 0;
  What what{};
  std::size_t a = 0;
  std::uint64_t b = 0;
  tunnel::SharedBytes bytes;
  bool operator>(const WorldEvent& rhs) const {
    return std::tie(at, order) > std::tie(rhs.at, rhs.order);
  }
};

template <class What>
using WorldEvents =
    std::priority_queue<WorldEvent<What>, std::vector<WorldEvent<What>>, std::greater<>>;

}  // namespace edge::sim
