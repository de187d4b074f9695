// The parsers of single operations, shared by the command and the whole-model form.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "netmodel/core/command.hpp"
#include "netmodel/core/json_fields.hpp"
#include "netmodel/core/problem.hpp"

namespace edge::netmodel {

/// Where the object stands in the command.
struct ParseScope {
  std::optional<std::size_t> op;
  std::string_view name;  ///< "network.create", the label when the object names no id.
  Problems& problems;
  bool in_operation = true;  ///< false: an entry of a whole model, without a field "op".
};

/// whole: a new object, required fields must be there. part: an update.
enum class Presence { whole, part };

/// A reader whose label names the object when its id is readable: `network "web"`, else the op's
/// name.
FieldReader reader_for(const boost::json::object& object, ParseScope scope, std::string_view kind,
                       std::string_view id_key);

AdapterSet parse_adapter(const boost::json::object& object, ParseScope scope);
GroupFields parse_group(const boost::json::object& object, ParseScope scope, Presence presence);
NetworkFields parse_network(const boost::json::object& object, ParseScope scope, Presence presence);
InterfaceFields parse_interface(const boost::json::object& object, ParseScope scope,
                                Presence presence);
GatewayPublish parse_publish(const boost::json::object& object, ParseScope scope);
HostSet parse_host(const boost::json::object& object, ParseScope scope);
PathDrain parse_drain(const boost::json::object& object, ParseScope scope);
PortIdentify parse_identify(const boost::json::object& object, ParseScope scope);
FailoverDrill parse_drill(const boost::json::object& object, ParseScope scope);
/// For deletions: the id below the field named like the kind ("network", "rule").
std::string parse_id_only(const boost::json::object& object, ParseScope scope,
                          std::string_view kind);

/// The `model` of a model.replace: an array of objects per kind.
ModelReplace parse_model_object(const boost::json::object& object, ParseScope scope);

}  // namespace edge::netmodel
