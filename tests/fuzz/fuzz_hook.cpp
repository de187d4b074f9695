// Hook datagrams and stored leases are hostile: no input may crash, and what is taken obeys the
// rules.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dhcp/core/dnsmasq_config.hpp"
#include "dhcp/core/hook_event.hpp"

using namespace edge::dhcp;

namespace {

void require(bool holds) {
  if (!holds) { std::abort(); }
}

void check_datagram(std::string_view datagram) {
  const auto event = parse_hook_event(datagram);
  if (!event) {
    require(!event.error().what.empty());
    return;
  }
  require(event->interface.size() <= 15 && event->notes.size() <= hook_notes_max);
  if (!event->lease) { return; }
  require(validate(*event->lease).has_value());
  // What was granted can be stored and read back as the same.
  const auto again = lease_from_json(to_json(*event->lease));
  require(again.has_value() && *again == *event->lease);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_datagram(text);
  if (const auto lease = lease_from_json(text)) {
    require(validate(*lease).has_value() && lease_from_json(to_json(*lease)) == *lease);
  }
  if (const auto lease = lease6_from_json(text)) {
    require(lease6_from_json(to_json(*lease)) == *lease);
  }
  for (const GuestLease& lease : parse_lease_file(text)) {
    require(lease.address.family == edge::Family::v4);
  }
  return 0;
}
