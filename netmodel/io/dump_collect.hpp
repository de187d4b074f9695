// A whole dump as a vector of values.
#pragma once

#include <utility>
#include <vector>

#include "netmodel/io/attributes.hpp"
#include "netmodel/io/netlink_socket.hpp"

namespace edge::netmodel {

/// Runs a dump and appends what `decode` (MessageView to optional<T>) makes of each message to
/// `out`. An interrupted dump is repeated; `out` then keeps nothing of it. Errors: as dump().
template <class T, class Decode>
Result<void> collect(NetlinkSocket& socket, NlMessage request, std::vector<T>& out, Decode decode) {
  const std::size_t begin = out.size();
  return socket.dump(
      *request, [&] { out.erase(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end()); },
      [&](Bytes bytes) {
        for_each_message(bytes, [&](const MessageView& view) {
          if (auto decoded = decode(view)) { out.push_back(std::move(*decoded)); }
        });
      });
}

}  // namespace edge::netmodel
