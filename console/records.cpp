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

constexpr std::array<std::string_view, 3> kWords{"", "confirm", "abort"};
constexpr std::array<std::string_view, 3> kRenewalStates{"sent", "refused", "done"};

}  // namespace

std::string_view to_string(Word word) { return kWords[static_cast<std::size_t>(word)]; }

Word parse_word(std::string_view text) {
  if (text == to_string(Word::confirm)) { return Word::confirm; }
  return text == to_string(Word::abort) ? Word::abort : Word::none;
}

std::string_view to_string(RenewalOrder::State state) {
  return kRenewalStates[static_cast<std::size_t>(state)];
}

std::optional<RenewalOrder::State> parse_renewal_state(std::string_view text) {
  for (std::size_t i = 0; i < kRenewalStates.size(); ++i) {
    if (kRenewalStates[i] == text) { return static_cast<RenewalOrder::State>(i); }
  }
  return std::nullopt;
}

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
