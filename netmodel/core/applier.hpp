// Operations applied one after the other to a copy of the model; the body of apply_operations().
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "netmodel/core/apply_groups.hpp"
#include "netmodel/core/apply_operations.hpp"
#include "netmodel/core/findings.hpp"

namespace edge::netmodel {

/// Most names that one line of a refusal lists.
inline constexpr std::size_t named_max = 10;

/// Applies operation after operation to a copy of the model and notes what is wrong with each.
class Applier {
 public:
  /// `replaced`: the first operation is a ModelReplace, which begins with an empty model.
  Applier(const Model& model, const ModelFacts& facts, bool replaced)
      : before_(model),
        model_(replaced ? Model{} : model),
        facts_(facts),
        findings_(Findings::Scope::touched) {}

  void apply(const ModelOperation& operation, std::size_t index) {
    op_ = index;
    in_force_ = false;
    std::visit(
        [&](const auto& o) {
          pending_ = may_come_later(o);
          on(o);
        },
        operation);
  }
  ApplyOutcome finish();

 private:
  /// Whether an operation accepts adapters that come later; nullopt: it cannot be asked to.
  static std::optional<bool> may_come_later(const auto& op) {
    if constexpr (requires { op.allow_pending; }) {
      return op.allow_pending;
    } else if constexpr (requires { op.fields.allow_pending; }) {
      return op.fields.allow_pending;
    } else {
      return std::nullopt;
    }
  }
  void check_foreign_ports();
  void check_published_addresses();
  void restate_unchanged();
  void on(const AdapterSet& op);
  void on(const GroupCreate& op) { create(op.fields); }
  void on(const GroupUpdate& op);
  void on(const GroupDelete& op);
  void on(const NetworkCreate& op) { create(op.fields); }
  void on(const NetworkUpdate& op);
  void on(const NetworkDelete& op);
  void on(const InterfaceAttach& op) { attach(op.fields); }
  void on(const InterfaceUpdate& op);
  void on(const InterfaceDetach& op);
  void on(const GatewayPublish& op);
  void on(const GatewayWithdraw& op);
  void on(const HostSet& op);
  void on(const ModelReplace& op);
  void on(const PathDrain& op);
  void on(const PortIdentify& op);
  void on(const FailoverDrill& op);
  std::optional<MacAddress> whole_port(const AdapterRef& ref, std::string_view verb);

  void create(const GroupFields& fields);
  void create(const NetworkFields& fields);
  void attach(const InterfaceFields& fields);
  void set_fields(const NetworkFields& fields, Network& network);
  void set_subnet6(const std::string& id, const Subnet6Field& field, Network& network);
  void set_fields(const InterfaceFields& fields, Interface& interface);
  NamedAdapters adapters_of(const GroupFields& fields);
  bool may_be_away(const MacAddress& mac);
  std::optional<MacAddress> resolve(const AdapterRef& ref, Subject subject, const std::string& id,
                                    std::string_view field);
  std::vector<MacAddress> resolve_all(const std::vector<AdapterRef>& refs, Subject subject,
                                      const std::string& id, std::string_view field);

  void touch(Subject subject, const std::string& id) { findings_.touch(subject, id, op_); }
  void report(std::string_view field, std::string text) {
    findings_.add_to(op_, field, std::move(text));
  }
  void missing(Subject subject, const std::string& id) {
    findings_.add(subject, id, "", fmt::format("there is no such {}", to_string(subject)));
  }

  const Model& before_;
  Model model_;
  const ModelFacts& facts_;
  Findings findings_;
  std::vector<HostAction> actions_;
  std::size_t op_ = 0;
  bool in_force_ = false;        ///< The operation at hand wrote down the model as it was before.
  std::optional<bool> pending_;  ///< The operation at hand accepts adapters that come later.
  /// Adapters that may be away: the model named them before, or an operation since that may.
  /// nullopt: nobody has asked yet, and the model may be large.
  std::optional<std::set<MacAddress>> known_;
};

}  // namespace edge::netmodel
