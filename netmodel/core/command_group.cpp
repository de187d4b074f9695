// group.create and group.update: what is left out on purpose is refused with its reason.
#include <array>

#include <fmt/format.h>

#include "netmodel/core/command_operations.hpp"
#include "netmodel/core/json_fields.hpp"

namespace edge::netmodel {
namespace {

namespace json = boost::json;

constexpr std::array group_modes{Choice<GroupMode>{"active-backup", GroupMode::active_backup},
                                 Choice<GroupMode>{"balance-xor", GroupMode::balance_xor},
                                 Choice<GroupMode>{"802.3ad", GroupMode::lacp}};
constexpr std::array group_roles{Choice<GroupRole>{"vm", GroupRole::vm},
                                 Choice<GroupRole>{"infrastructure", GroupRole::infrastructure}};

/// Modes of the kernel that break guests behind a bridge. Source: bonding.rst, section 2, and
/// libvirt's documentation of bonds as bridge ports.
struct RefusedMode {
  std::string_view name;
  std::string_view why;
};
constexpr std::array refused_modes{
    RefusedMode{"balance-rr",
                "frames of one guest leave by several ports in turn: they arrive out "
                "of order and switches see its MAC address move"},
    RefusedMode{"broadcast", "each frame arrives as often as the group has members"},
    RefusedMode{"balance-tlb",
                "frames of a guest leave with the MAC address of another port, where no answer to "
                "the guest arrives"},
    RefusedMode{"balance-alb",
                "ARP answers are rewritten to the MAC addresses of the members: guests behind a "
                "bridge become unreachable"}};

std::optional<GroupMode> parse_mode(FieldReader& reader) {
  if (const auto* value = reader.any("mode"); value != nullptr && value->is_string()) {
    const std::string_view text = value->get_string();
    for (const RefusedMode& mode : refused_modes) {
      if (mode.name != text) { continue; }
      reader.wrong("mode", fmt::format("mode \"{}\" breaks bridged VMs: {}; allowed: "
                                       "active-backup, balance-xor, 802.3ad",
                                       mode.name, mode.why));
      return std::nullopt;
    }
  }
  return reader.choice("mode", group_modes);
}

void refuse_arp_monitoring(const json::object& object, FieldReader& reader) {
  for (const auto& item : object) {
    const std::string_view key = item.key();
    if (!key.starts_with("arp_")) { continue; }
    reader.any(key);
    reader.wrong(key.substr(0, 64),
                 fmt::format("field {}: ARP monitoring does not work below a bridge and switches "
                             "MII monitoring off; links are watched by MII every 100 ms",
                             quoted(key)));
  }
}

bool is_null(FieldReader& reader, std::string_view key) {
  const auto* value = reader.any(key);
  return value != nullptr && value->is_null();
}

/// null takes away what was set; 0 in the result.
std::optional<std::uint32_t> number_or_null(FieldReader& reader, std::string_view key,
                                            std::uint32_t low, std::uint32_t high) {
  if (is_null(reader, key)) { return 0; }
  const auto number = reader.number(key, low, high);
  return number ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
}

}  // namespace

GroupFields parse_group(const json::object& object, ParseScope scope, Presence presence) {
  auto reader = reader_for(object, scope, "group", "group");
  GroupFields out;
  reader.require("group");
  out.group = reader.id("group").value_or("");
  if (presence == Presence::whole) { reader.require("adapters"); }
  out.adapters = reader.adapter_list("adapters", adapters_max);
  out.mode = parse_mode(reader);
  out.primary =
      is_null(reader, "primary") ? std::optional<AdapterRef>("") : reader.adapter("primary");
  out.mtu = number_or_null(reader, "mtu", mtu_low, mtu_high);
  out.role = reader.choice("role", group_roles);
  out.allow_single = reader.boolean("allow_single");
  const auto vlan = number_or_null(reader, "management_vlan", 2, 4094);
  if (vlan) { out.management_vlan = static_cast<std::uint16_t>(*vlan); }
  out.allow_pending = reader.boolean("allow_pending").value_or(false);
  refuse_arp_monitoring(object, reader);
  reader.finish();
  return out;
}

}  // namespace edge::netmodel
