#include "uplink/io/link_kind.hpp"

#include <fstream>
#include <iterator>

namespace edge::uplink {

DeviceKind kind_of_uevent(std::string_view lines) {
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    const auto line = lines.substr(0, end);
    if (line == "DEVTYPE=wlan") { return DeviceKind::wifi; }
    if (line == "DEVTYPE=wwan") { return DeviceKind::mobile; }
    lines = end == std::string_view::npos ? std::string_view{} : lines.substr(end + 1);
  }
  return DeviceKind::wired;
}

DeviceKind device_kind(const std::string& netdev) {
  std::ifstream file("/sys/class/net/" + netdev + "/uevent");
  return kind_of_uevent(std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace edge::uplink
