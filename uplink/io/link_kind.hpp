// What kind of link a netdev is, as its driver says.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace edge::uplink {

enum class DeviceKind : std::uint8_t { wired, wifi, mobile };

/// Of the lines of a netdev's uevent. Source: Documentation/ABI/testing/sysfs-class-net, DEVTYPE
/// ("wlan", "wwan"; a card says nothing).
DeviceKind kind_of_uevent(std::string_view lines);
/// Asks sysfs; a netdev that is not there is taken for a card.
DeviceKind device_kind(const std::string& netdev);

}  // namespace edge::uplink
