// Operations on groups of the model.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netmodel/core/command.hpp"
#include "netmodel/core/findings.hpp"
#include "netmodel/core/model.hpp"

namespace edge::netmodel {

/// The adapters that the fields of a group name, by base MAC; nullopt: the field was not given.
struct NamedAdapters {
  std::optional<std::vector<MacAddress>> adapters{};
  std::optional<MacAddress> primary{};
  bool complete = true;  ///< false: one of them does not exist, which is reported already.
};

/// Each reports what is wrong to `findings` and leaves the model as it was then.
void create_group(Model& model, const GroupFields& fields, const NamedAdapters& named,
                  Findings& findings);
void update_group(Model& model, const GroupFields& fields, const NamedAdapters& named,
                  Findings& findings);
void delete_group(Model& model, const std::string& id, Findings& findings);

/// "a, b, c, ..." of at most ten.
std::string named_list(std::vector<std::string> names);
/// Why a bridge has to stay while somebody else's ports are in it, and what to do.
std::string foreign_text(const std::string& bridge, const std::vector<std::string>& ports);

}  // namespace edge::netmodel
