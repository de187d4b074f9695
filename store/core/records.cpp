#include "store/core/records.hpp"

#include <algorithm>

namespace edge::store {
namespace {

struct StateName {
  CommandState state;
  std::string_view name;
};
constexpr std::array<StateName, 9> kStateNames{{
    {CommandState::stored, "stored"},
    {CommandState::applying, "applying"},
    {CommandState::confirming, "confirming"},
    {CommandState::done, "done"},
    {CommandState::refused, "refused"},
    {CommandState::rolled_back, "rolled_back"},
    {CommandState::superseded, "superseded"},
    {CommandState::expired, "expired"},
    {CommandState::indeterminate, "indeterminate"},
}};

}  // namespace

std::string_view to_string(CommandState state) {
  return kStateNames[static_cast<std::size_t>(state)].name;
}

std::optional<CommandState> parse_command_state(std::string_view text) {
  const auto found = std::ranges::find(kStateNames, text, &StateName::name);
  if (found == kStateNames.end()) { return std::nullopt; }
  return found->state;
}

bool is_final(CommandState state) {
  switch (state) {
    case CommandState::stored:
    case CommandState::applying:
    case CommandState::confirming: return false;
    case CommandState::done:
    case CommandState::refused:
    case CommandState::rolled_back:
    case CommandState::superseded:
    case CommandState::expired:
    case CommandState::indeterminate: return true;
  }
  return true;
}

bool is_command_id(std::string_view text) {
  if (text.size() != 36) { return false; }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (dash ? c != '-' : !hex) { return false; }
  }
  return true;
}

}  // namespace edge::store
