#include "console/records.hpp"

#include <array>
#include <utility>

namespace edge::console {
namespace {

constexpr std::array<std::pair<CommandState, std::string_view>, 11> kNames{{
    {CommandState::queued, "queued"},
    {CommandState::sent, "sent"},
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
  return kNames[static_cast<std::size_t>(state)].second;
}

std::optional<CommandState> parse_command_state(std::string_view text) {
  for (const auto& [state, name] : kNames) {
    if (name == text) { return state; }
  }
  return std::nullopt;
}

std::string text_of(const Revocation& revocation) {
  const std::string text = "revoked by the Console";
  return revocation.reason.empty() ? text : text + ": " + revocation.reason;
}

bool is_final(CommandState state) { return state >= CommandState::done; }

}  // namespace edge::console
