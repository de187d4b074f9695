// A command payload as typed operations: hostile JSON in, values or the list of all problems out.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/json/value.hpp>

#include "base/ids.hpp"
#include "netmodel/core/model.hpp"
#include "netmodel/core/problem.hpp"

namespace edge::netmodel {

inline constexpr std::size_t command_bytes_max = 1 << 20;
inline constexpr std::size_t command_depth_max = 16;
inline constexpr std::size_t operations_max = 10'000;

/// A base MAC (aa:bb:cc:dd:ee:ff) or a port name, as the caller wrote it; resolved by
/// apply_operations.
using AdapterRef = std::string;

/// allow_pending, here and below: base MACs of cards that come later are accepted.
struct AdapterSet {
  AdapterRef adapter{};
  std::optional<std::uint32_t> mtu{};
  std::optional<bool> enabled{};
  bool allow_pending = false;
};

/// Fields of a group; in an update only those that are set change.
struct GroupFields {
  std::string group{};
  std::optional<std::vector<AdapterRef>> adapters{};
  std::optional<GroupMode> mode{};
  std::optional<AdapterRef> primary{};  ///< Empty (JSON null): none any more.
  std::optional<std::uint32_t> mtu{};   ///< 0 (JSON null): as the adapters have it.
  std::optional<GroupRole> role{};
  std::optional<bool> allow_single{};
  std::optional<std::uint16_t> management_vlan{};  ///< 0 (JSON null): untagged again.
  bool allow_pending = false;
};
struct GroupCreate {
  GroupFields fields;
};
struct GroupUpdate {
  GroupFields fields;
};
struct GroupDelete {
  std::string group{};
};

/// "subnet6": a prefix, "auto" (an ULA of the host's own) or "none".
enum class Subnet6Choice : std::uint8_t { given, automatic, none };
struct Subnet6Field {
  Subnet6Choice choice = Subnet6Choice::none;
  IpPrefix prefix{};  ///< As written, when given.
};

/// Fields of a network; in an update only those that are set change.
struct NetworkFields {
  std::string network{};
  std::optional<NetworkKind> kind{};
  std::optional<std::string> group{};
  std::optional<AdapterRef> adapter{};
  std::optional<std::uint16_t> vlan_id{};
  std::optional<IpPrefix> subnet{};  ///< As written; host bits are a problem of apply_operations.
  std::optional<Subnet6Field> subnet6{};
  std::optional<DhcpSettings> dhcp{};
  std::optional<std::vector<IpAddress>> dns{};
  bool allow_pending = false;
};
struct NetworkCreate {
  NetworkFields fields;
};
struct NetworkUpdate {
  NetworkFields fields;
};
struct NetworkDelete {
  std::string network{};
};

struct InterfaceFields {
  std::string interface{};
  std::optional<std::string> vm{};
  std::optional<std::string> network{};
  std::optional<MacAddress> mac{};
  std::optional<Hardware> hardware{};
  std::optional<IpAddress> address{};  ///< Fixed address in the network's subnet, given by DHCP.
  std::optional<std::uint32_t> host_number{};  ///< The same, as the model stores it.
  std::optional<bool> spoof_filter{};
};
struct InterfaceAttach {
  InterfaceFields fields;
};
struct InterfaceUpdate {
  InterfaceFields fields;
};
struct InterfaceDetach {
  std::string interface{};
};

struct GatewayPublish {
  std::string rule{};
  std::string interface{};
  std::optional<IpAddress> address{};
  Transport protocol = Transport::tcp;
  std::uint16_t port_first = 0;
  std::uint16_t port_last = 0;
  std::optional<std::uint16_t> to_port{};
  std::vector<IpPrefix> sources{};
  std::vector<AdapterRef> adapters{};
  bool allow_pending = false;
};
struct GatewayWithdraw {
  std::string rule{};
};

struct ManagementFields {
  std::string group{};
  AdapterRef adapter{};
  IpPrefix address{};
  std::optional<IpAddress> gateway{};
  std::vector<IpAddress> dns{};
};

struct HostSet {
  std::optional<std::vector<AdapterRef>> uplink_order{};
  std::optional<ManagementFields> management{};
  std::optional<IpAddress> virtual_ip{};
  std::optional<Cluster> cluster{};
  std::optional<std::vector<HostPort>> console_endpoints{};
  bool no_console = false;     ///< JSON null: as uplink.toml says.
  bool no_management = false;  ///< JSON null: goes.
  bool no_virtual_ip = false;
  bool no_cluster = false;
  bool allow_pending = false;
};

/// The whole desired model: what is not in it goes away.
struct ModelReplace {
  std::vector<AdapterSet> adapters{};
  std::vector<GroupFields> groups{};
  std::vector<NetworkFields> networks{};
  std::vector<InterfaceFields> interfaces{};
  std::vector<GatewayPublish> gateway{};
  HostSet host;
  bool allow_pending = false;  ///< For the whole model.
};

struct PathDrain {
  AdapterRef adapter{};
  std::chrono::seconds duration{600};  ///< 0: end a drain.
};
struct PortIdentify {
  AdapterRef adapter{};
  std::chrono::seconds duration{10};
};
struct FailoverDrill {
  AdapterRef adapter{};
  std::chrono::seconds duration{30};
};

using ModelOperation =
    std::variant<AdapterSet, GroupCreate, GroupUpdate, GroupDelete, NetworkCreate, NetworkUpdate,
                 NetworkDelete, InterfaceAttach, InterfaceUpdate, InterfaceDetach, GatewayPublish,
                 GatewayWithdraw, HostSet, ModelReplace, PathDrain, PortIdentify, FailoverDrill>;

/// "network.create"
std::string_view op_name(const ModelOperation& operation);

struct Command {
  std::string id{};  ///< UUID in lower case; empty: none given (a file of `uplinkctl apply`).
  std::vector<ModelOperation> operations{};
  std::optional<WallTime> deadline{};
  std::optional<std::chrono::seconds> confirm_within{};
  bool dry_run = false;
  std::optional<std::int64_t> revision{};  ///< Made for this revision of the model.
  bool force = false;                      ///< Also when it would certainly cut the last path.
  /// A path that worked before may be lost by it, as long as another proves the way.
  bool accept_regression = false;
};

/// `{"operations": [...], "id"?, "type"?: "command", "deadline"?, "confirm_within_s"?, "dry_run"?,
/// "revision"?, "confirm"?: "auto" | "manual", "force"?, "accept_regression"?}`. Unknown field,
/// unknown op, wrong type, value out of range: each one is a problem, all are listed.
std::expected<Command, Problems> parse_command(std::string_view json);

/// An operation with its index in the command.
struct SoundOperation {
  std::size_t index = 0;
  ModelOperation operation;
};
/// Of a command that parse_command refuses: the operations in which it found nothing wrong and that
/// name nothing that a refused one names. What is wrong with them beside the model does not follow
/// from the others, and is told in the same answer.
std::vector<SoundOperation> sound_operations(std::string_view json);

/// The same from a value that is already parsed. Pre: the caller bounded its size and depth.
std::expected<Command, Problems> parse_command_value(const boost::json::value& json);

/// Only the operations array, e.g. of a file.
std::expected<std::vector<ModelOperation>, Problems> parse_operations(
    const boost::json::value& json);

/// The `model` object of a model.replace.
std::expected<ModelReplace, Problems> parse_model(const boost::json::value& json);

/// "2026-03-04T05:06:07Z", with optional fraction and offset. Errors: invalid_input.
Result<WallTime> parse_time(std::string_view text);

}  // namespace edge::netmodel
