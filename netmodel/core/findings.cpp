#include "netmodel/core/findings.hpp"

#include <fmt/format.h>

#include "netmodel/core/json_fields.hpp"

namespace edge::netmodel {

std::string_view to_string(Subject subject) {
  switch (subject) {
    case Subject::adapter: return "adapter";
    case Subject::group: return "group";
    case Subject::network: return "network";
    case Subject::interface: return "interface";
    case Subject::rule: return "rule";
    case Subject::host: return "host";
  }
  return "?";
}

void Findings::add(Subject subject, const std::string& id, std::string_view field,
                   std::string_view text) {
  const auto found = touched_.find({subject, id});
  const std::string label =
      subject == Subject::host ? "host" : fmt::format("{} {}", to_string(subject), quoted(id));
  add_to(found == touched_.end() ? std::nullopt : std::optional(found->second), field,
         fmt::format("{}: {}", label, text));
}

void Findings::add_to(std::optional<std::size_t> op, std::string_view field, std::string text) {
  problems_.add({op, std::string(field), std::move(text)});
}

}  // namespace edge::netmodel
