// Operations on the model: all of them or none, and every problem in words.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "netmodel/core/command.hpp"
#include "netmodel/core/model.hpp"
#include "netmodel/core/problem.hpp"

namespace edge::netmodel {

/// An adapter that the machine has now.
struct KnownAdapter {
  MacAddress base_mac{};
  std::string name{};
  std::uint32_t mtu_min = 0;     ///< 0: unknown.
  std::uint32_t mtu_max = 0;     ///< 0: unknown.
  std::uint32_t speed_mbps = 0;  ///< 0: unknown.
};

/// A prefix in use on the machine that is not ours to give away.
struct TakenPrefix {
  IpPrefix prefix{};
  std::string
      what;  ///< 'the lease of port "eth0"', 'an address of "docker0"', "the management network"
};

/// An address without which paths do not work, as far as the host knows.
struct NeededAddress {
  IpAddress address{};
  std::string what{};       ///< "the Console", 'a resolver of port "eth0"'
  bool is_console = false;  ///< Or what leads to it: without all of these no path is left.
  auto operator<=>(const NeededAddress&) const = default;
};

struct ReservedPort {
  Transport protocol = Transport::tcp;
  std::uint16_t port = 0;
  std::string what{};  ///< "the status page"
};

/// What validation has to know about the host.
struct ModelFacts {
  std::string host_id{};
  std::vector<KnownAdapter> adapters{};
  bool allow_pending_adapters = false;  ///< true: a base MAC that is not here now is accepted.
  bool vlan_filtering = true;  ///< false: the kernel's bridge has none; vlan networks are refused.
  bool bonding = true;         ///< false: this kernel has no bonds; groups of two are refused.
  std::vector<TakenPrefix> taken{};
  std::vector<NeededAddress> needed{};
  std::vector<ReservedPort> reserved_ports{};
  std::map<std::string, IpPrefix>
      automatic_subnets{};  ///< As Rendered::automatic_subnets said last.
  /// As foreign_ports(): they are attached like interfaces of the model, and never removed.
  std::map<std::string, std::vector<std::string>> foreign_ports{};
};

struct DrainPort {
  MacAddress adapter{};
  std::chrono::seconds duration{};
  bool operator==(const DrainPort&) const = default;
};
struct IdentifyPort {
  MacAddress adapter{};
  std::chrono::seconds duration{};
  bool operator==(const IdentifyPort&) const = default;
};
struct DrillPort {
  std::optional<MacAddress> adapter{};  ///< nullopt: the one that carries the tunnel then.
  std::chrono::seconds duration{};
  bool operator==(const DrillPort&) const = default;
};
/// Journalled like the rest, changes no model.
using HostAction = std::variant<DrainPort, IdentifyPort, DrillPort>;

/// Either `model` and `actions`, or at least one problem.
struct ApplyOutcome {
  std::optional<Model> model{};
  std::vector<HostAction> actions{};
  Problems problems;
};

/// Applies in order; the result is validated as a whole. Nothing is done in part.
ApplyOutcome apply_operations(const Model& model, std::span<const ModelOperation> operations,
                              const ModelFacts& facts);

/// Every rule that a model has to keep, e.g. for one from the store when facts have changed.
Problems validate(const Model& model, const ModelFacts& facts);

}  // namespace edge::netmodel
