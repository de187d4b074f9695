// Which links are the host's adapters, and how each is known for good.
#include "netmodel/io/physical.hpp"

#include <fnmatch.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "base/unique_fd.hpp"

namespace edge::netmodel {
namespace {

bool matches(const std::string& glob, const std::string& name) {
  return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}

bool is_ethernet_endpoint(const Link& link) {
  switch (link.kind) {
    case LinkKind::physical:
    case LinkKind::veth:
    case LinkKind::other: return link.mac.has_value() && !link.mac->is_zero();
    case LinkKind::bridge:
    case LinkKind::tap:
    case LinkKind::bond:
    case LinkKind::vlan:
    case LinkKind::loopback: return false;
  }
  return false;
}

}  // namespace

bool is_adapter(const ObservedLink& link, const AdapterGlobs& globs) {
  const std::string& name = link.link.name;
  if (link.ours() || !is_ethernet_endpoint(link.link)) { return false; }
  if (std::ranges::any_of(globs.ignore, [&](const auto& glob) { return matches(glob, name); })) {
    return false;
  }
  return std::ranges::any_of(globs.match, [&](const auto& glob) {
    return matches(glob, name) && (link.has_device || glob != "*");
  });
}

std::vector<const ObservedLink*> adapters(const ObservedState& state, const AdapterGlobs& globs) {
  std::vector<const ObservedLink*> found;
  for (const ObservedLink& link : state.links) {
    if (is_adapter(link, globs)) { found.push_back(&link); }
  }
  std::ranges::sort(found, {}, [](const ObservedLink* link) { return link->link.name; });
  return found;
}

std::optional<MacAddress> base_mac(const ObservedLink& link) {
  return link.permanent_mac ? link.permanent_mac : link.link.mac;
}

std::optional<std::uint32_t> read_speed_mbps(const std::string& link) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  if (!socket || link.size() >= sizeof request.ifr_name) { return std::nullopt; }
  std::memcpy(request.ifr_name, link.data(), link.size());
  // struct ethtool_link_settings is followed by three masks, whose length in words the first call
  // returns negated. Source: linux/ethtool.h.
  constexpr std::size_t masks_bytes_max = sizeof(std::uint32_t) * 3 * 127;
  alignas(ethtool_link_settings)
      std::array<std::byte, sizeof(ethtool_link_settings) + masks_bytes_max>
          buffer{};
  auto* settings = new (buffer.data()) ethtool_link_settings{};
  request.ifr_data = reinterpret_cast<char*>(buffer.data());
  const auto ask = [&](int mask_words) {
    settings->cmd = ETHTOOL_GLINKSETTINGS;
    settings->link_mode_masks_nwords = static_cast<__s8>(mask_words);
    return ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
  };
  if (!ask(0) || settings->link_mode_masks_nwords >= 0) { return std::nullopt; }
  if (!ask(-settings->link_mode_masks_nwords)) { return std::nullopt; }
  const std::uint32_t speed = settings->speed;
  if (speed == 0 || speed == static_cast<std::uint32_t>(SPEED_UNKNOWN)) { return std::nullopt; }
  return speed;
}

}  // namespace edge::netmodel
