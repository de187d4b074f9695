// One parser per operation of the model; command.cpp is the frame around them.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "netmodel/core/command.hpp"
#include "netmodel/core/command_operations.hpp"
#include "netmodel/core/json_fields.hpp"

namespace edge::netmodel {
namespace {

namespace json = boost::json;

constexpr std::size_t list_max = 256;
constexpr std::size_t reservations_max = 4096;

constexpr std::array network_kinds{Choice<NetworkKind>{"untagged", NetworkKind::untagged},
                                   Choice<NetworkKind>{"vlan", NetworkKind::vlan},
                                   Choice<NetworkKind>{"nat", NetworkKind::nat},
                                   Choice<NetworkKind>{"routed", NetworkKind::routed},
                                   Choice<NetworkKind>{"isolated", NetworkKind::isolated},
                                   Choice<NetworkKind>{"open", NetworkKind::open}};
constexpr std::array hardware_kinds{
    Choice<Hardware>{"virtio", Hardware::virtio},
    Choice<Hardware>{"virtio-multiqueue", Hardware::virtio_multiqueue},
    Choice<Hardware>{"e1000", Hardware::e1000}, Choice<Hardware>{"e1000e", Hardware::e1000e},
    Choice<Hardware>{"rtl8139", Hardware::rtl8139}};
constexpr std::array transports{Choice<Transport>{"tcp", Transport::tcp},
                                Choice<Transport>{"udp", Transport::udp}};

std::optional<std::uint32_t> mtu_field(FieldReader& reader) {
  const auto mtu = reader.number("mtu", mtu_low, mtu_high);
  return mtu ? std::optional(static_cast<std::uint32_t>(*mtu)) : std::nullopt;
}

std::chrono::seconds seconds_field(FieldReader& reader, std::uint64_t low, std::uint64_t high,
                                   std::chrono::seconds otherwise) {
  const auto seconds = reader.number("seconds", low, high);
  return seconds ? std::chrono::seconds(static_cast<std::int64_t>(*seconds)) : otherwise;
}

std::vector<DhcpReservation> parse_reservations(FieldReader& dhcp) {
  std::vector<DhcpReservation> out;
  const auto* list = dhcp.array("reservations", reservations_max);
  if (list == nullptr) { return out; }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const json::value& item = (*list)[i];
    const std::string path = fmt::format("dhcp.reservations[{}].", i);
    if (!item.is_object()) {
      dhcp.wrong("reservations",
                 fmt::format("dhcp.reservations[{}] {} is not an object", i, described(item)));
      continue;
    }
    FieldReader reader(item.get_object(), {dhcp.scope().op, dhcp.scope().label, path},
                       dhcp.problems());
    DhcpReservation reservation;
    reader.require("mac");
    reservation.mac = reader.mac("mac").value_or(MacAddress{});
    reader.require("address");
    reservation.address = reader.ip("address").value_or(IpAddress{});
    reservation.name = reader.text("name", 63).value_or("");
    reader.finish();
    out.push_back(std::move(reservation));
  }
  std::ranges::sort(out);
  return out;
}

std::optional<DhcpSettings> parse_dhcp(FieldReader& network) {
  const auto* value = network.any("dhcp");
  if (value == nullptr) { return std::nullopt; }
  DhcpSettings dhcp;
  if (value->is_bool()) {
    dhcp.enabled = value->get_bool();
    return dhcp;
  }
  const auto* object = network.object("dhcp");
  if (object == nullptr) { return std::nullopt; }
  FieldReader reader(*object, {network.scope().op, network.scope().label, "dhcp."},
                     network.problems());
  dhcp.enabled = reader.boolean("enabled").value_or(true);
  dhcp.from = reader.ip("from");
  dhcp.to = reader.ip("to");
  if (reader.has("from") != reader.has("to")) {
    reader.wrong("from", "dhcp needs both \"from\" and \"to\", or neither");
  }
  dhcp.reservations = parse_reservations(reader);
  reader.finish();
  return dhcp;
}

/// A prefix, "auto" or "none".
std::optional<Subnet6Field> parse_subnet6(FieldReader& network) {
  const auto* value = network.any("subnet6");
  if (value == nullptr) { return std::nullopt; }
  if (*value == "auto") { return Subnet6Field{Subnet6Choice::automatic, {}}; }
  if (*value == "none") { return Subnet6Field{Subnet6Choice::none, {}}; }
  const auto prefix = value->is_string() ? parse_prefix(std::string_view(value->get_string()))
                                         : fail(Errc::invalid_input, "");
  if (prefix && prefix->address.family == Family::v6) {
    return Subnet6Field{Subnet6Choice::given, *prefix};
  }
  network.wrong("subnet6",
                fmt::format("subnet6 {} is not an IPv6 prefix; allowed: an IPv6 /64 like "
                            "2001:db8:1::/64, \"auto\" or \"none\"",
                            described(*value)));
  return std::nullopt;
}

/// 80 or "8000-8010".
void parse_port(FieldReader& reader, GatewayPublish& out) {
  const auto* value = reader.any("port");
  if (value == nullptr) { return; }
  if (!value->is_string()) {
    const auto port = reader.number("port", 1, 65535);
    out.port_first = out.port_last = static_cast<std::uint16_t>(port.value_or(0));
    return;
  }
  const auto endpoint = [](std::string_view text) -> std::uint16_t {
    const bool digits = !text.empty() && text.size() <= 5 &&
                        std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    const int number = digits ? std::stoi(std::string(text)) : 0;
    return number >= 1 && number <= 65535 ? static_cast<std::uint16_t>(number) : std::uint16_t{0};
  };
  const std::string_view text = value->get_string();
  const auto dash = text.find('-');
  const std::uint16_t first = endpoint(text.substr(0, dash));
  const std::uint16_t last =
      dash == std::string_view::npos ? first : endpoint(text.substr(dash + 1));
  if (first == 0 || last == 0) {
    reader.wrong(
        "port", fmt::format("port {} is neither a port 1..65535 nor a range \"FIRST-LAST\" of them",
                            quoted(text)));
  } else if (first > last) {
    reader.wrong("port",
                 fmt::format("port range {} is reversed; allowed: FIRST-LAST with FIRST <= LAST",
                             quoted(text)));
  } else {
    out.port_first = first;
    out.port_last = last;
  }
}

}  // namespace

FieldReader reader_for(const json::object& object, ParseScope scope, std::string_view kind,
                       std::string_view id_key) {
  const auto* id = object.if_contains(id_key);
  const bool named = id != nullptr && id->is_string();
  // Of each object, for the few that are wrong: no format string is read for it.
  std::string label(named ? kind : scope.name);
  if (named) { (label += ' ') += quoted(id->get_string()); }
  FieldReader reader(object, {scope.op, std::move(label), ""}, scope.problems);
  if (scope.in_operation) { reader.any("op"); }
  return reader;
}

AdapterSet parse_adapter(const json::object& object, ParseScope scope) {
  auto reader = reader_for(object, scope, "adapter", "adapter");
  AdapterSet out;
  reader.require("adapter");
  out.adapter = reader.adapter("adapter").value_or("");
  out.mtu = mtu_field(reader);
  out.enabled = reader.boolean("enabled");
  out.allow_pending = reader.boolean("allow_pending").value_or(false);
  reader.finish();
  return out;
}

NetworkFields parse_network(const json::object& object, ParseScope scope, Presence presence) {
  auto reader = reader_for(object, scope, "network", "network");
  NetworkFields out;
  reader.require("network");
  out.network = reader.id("network").value_or("");
  if (presence == Presence::whole) { reader.require("kind"); }
  out.kind = reader.choice("kind", network_kinds);
  out.group = reader.id("group");
  out.adapter = reader.adapter("adapter");
  const auto vlan_id = reader.number("vlan_id", 2, 4094);
  if (vlan_id) { out.vlan_id = static_cast<std::uint16_t>(*vlan_id); }
  out.subnet = reader.prefix("subnet");
  out.subnet6 = parse_subnet6(reader);
  out.dhcp = parse_dhcp(reader);
  out.dns = reader.ip_list("dns", 16);
  out.allow_pending = reader.boolean("allow_pending").value_or(false);
  reader.finish();
  return out;
}

InterfaceFields parse_interface(const json::object& object, ParseScope scope, Presence presence) {
  auto reader = reader_for(object, scope, "interface", "interface");
  InterfaceFields out;
  reader.require("interface");
  out.interface = reader.id("interface").value_or("");
  if (presence == Presence::whole) { reader.require("vm"); }
  out.vm = reader.text("vm", 64);
  out.network = reader.id("network");
  if (presence == Presence::whole && !reader.has("network")) {
    out.network = std::string(default_network);
  }
  out.mac = reader.mac("mac");
  out.hardware = reader.choice("hardware", hardware_kinds);
  out.address = reader.ip("address");
  const auto host_number = reader.number("host_number", 1, (1U << 24) - 2);
  if (host_number) { out.host_number = static_cast<std::uint32_t>(*host_number); }
  if (out.address && out.host_number) {
    reader.wrong("host_number",
                 "\"address\" and \"host_number\" say the same thing; give one of them");
  }
  out.spoof_filter = reader.boolean("spoof_filter");
  reader.finish();
  return out;
}

GatewayPublish parse_publish(const json::object& object, ParseScope scope) {
  auto reader = reader_for(object, scope, "rule", "rule");
  GatewayPublish out;
  reader.require("rule");
  out.rule = reader.id("rule").value_or("");
  out.interface = reader.id("interface").value_or("");
  out.address = reader.ip("address");
  if (reader.has("interface") == reader.has("address")) {
    reader.wrong("interface", "exactly one of \"interface\" and \"address\" is needed");
  }
  reader.require("protocol");
  out.protocol = reader.choice("protocol", transports).value_or(Transport::tcp);
  reader.require("port");
  parse_port(reader, out);
  const auto to_port = reader.number("to_port", 1, 65535);
  if (to_port) { out.to_port = static_cast<std::uint16_t>(*to_port); }
  out.sources = reader.prefix_list("sources", list_max).value_or(std::vector<IpPrefix>{});
  out.adapters = reader.adapter_list("adapters", list_max).value_or(std::vector<AdapterRef>{});
  out.allow_pending = reader.boolean("allow_pending").value_or(false);
  reader.finish();
  return out;
}

std::string parse_id_only(const json::object& object, ParseScope scope, std::string_view kind) {
  auto reader = reader_for(object, scope, kind, kind);
  reader.require(kind);
  std::string out = reader.id(kind).value_or("");
  reader.finish();
  return out;
}

PathDrain parse_drain(const json::object& object, ParseScope scope) {
  auto reader = reader_for(object, scope, "adapter", "adapter");
  PathDrain out;
  reader.require("adapter");
  out.adapter = reader.adapter("adapter").value_or("");
  out.duration = seconds_field(reader, 0, 86'400, out.duration);
  reader.finish();
  return out;
}

PortIdentify parse_identify(const json::object& object, ParseScope scope) {
  auto reader = reader_for(object, scope, "adapter", "adapter");
  PortIdentify out;
  reader.require("adapter");
  out.adapter = reader.adapter("adapter").value_or("");
  out.duration = seconds_field(reader, 1, 300, out.duration);
  reader.finish();
  return out;
}

FailoverDrill parse_drill(const json::object& object, ParseScope scope) {
  auto reader = reader_for(object, scope, "adapter", "adapter");
  FailoverDrill out;
  out.adapter = reader.adapter("adapter").value_or("");
  out.duration = seconds_field(reader, 1, 3'600, out.duration);
  reader.finish();
  return out;
}

}  // namespace edge::netmodel
