#include "uplink/core/ipv6_choice.hpp"

#include <algorithm>
#include <iterator>

namespace edge::uplink {

using netmodel::AddressState;

Sources6 choose_sources(const std::vector<Address6>& addresses) {
  std::vector<Address6> usable;
  for (const AddressState state : {AddressState::ready, AddressState::deprecated}) {
    for (const bool leased : {true, false}) {
      std::ranges::copy_if(addresses, std::back_inserter(usable), [&](const Address6& address) {
        return address.state == state && address.leased == leased;
      });
    }
  }
  Sources6 out;
  for (const Address6& address : usable) {
    const bool better = out.dial && usable.front().state == AddressState::ready;
    if (!out.dial) {
      out.dial = address.address;
    } else if (better && address.state == AddressState::deprecated) {
      out.leaving.push_back(address.address);
    } else {
      out.others.push_back(address.address);
    }
  }
  return out;
}

std::optional<IpAddress> choose_router(const std::vector<IpAddress>& advertised,
                                       const std::optional<IpAddress>& present,
                                       const std::set<IpAddress>& failed) {
  if (advertised.empty()) { return std::nullopt; }
  const bool stands = present && std::ranges::find(advertised, *present) != advertised.end();
  if (stands && !failed.contains(*present)) { return present; }
  const auto answers = std::ranges::find_if(
      advertised, [&failed](const IpAddress& router) { return !failed.contains(router); });
  if (answers != advertised.end()) { return *answers; }
  return stands ? *present : advertised.front();
}

}  // namespace edge::uplink
