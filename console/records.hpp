// What the Console keeps about hosts, commands and events, as values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "console/event_line.hpp"

namespace edge::console {

/// A command's way as the API shows it. Only `queued` and final states are on disk: after a restart
/// of the Console what lies between is queued again, and the host answers from its journal.
enum class CommandState : std::uint8_t {
  queued,  ///< Here, on disk.
  sent,    ///< Given to the session.
  stored,  ///< The host has it on disk.
  applying,
  confirming,  ///< Applied; the host waits for the confirm.
  done,
  refused,
  rolled_back,
  superseded,
  expired,
  indeterminate,
};
std::string_view to_string(CommandState state);
std::optional<CommandState> parse_command_state(std::string_view text);
bool is_final(CommandState state);

/// An operator's, about the trial of a command.
enum class Word : std::uint8_t { none, confirm, abort };
/// "" for none; the others as the API and the host know them.
std::string_view to_string(Word word);
/// Anything else is none.
Word parse_word(std::string_view text);

struct CommandRow {
  std::int64_t seq = 0;  ///< Order of arrival, over all hosts.
  std::string host;
  std::string id;
  std::string message;  ///< The JSON that goes to the host, byte for byte the same each time.
  CommandState state = CommandState::queued;
  std::string result;  ///< The host's result message; empty until final.
  WallTime queued{};
  std::optional<WallTime> finished;
  /// Accepted; said in each session until the result. Another installation of the host ends a
  /// confirm.
  Word word = Word::none;
};

struct EventRow {
  std::int64_t seq = 0;  ///< Order of arrival, over all hosts; the id of the event stream.
  std::string host;
  /// The host's number, counted on over its reinstallations; on disk, and to be read, also over a
  /// store that was put back (EventLine).
  std::int64_t n = 0;
  WallTime time{};        ///< The host's clock.
  std::string time_text;  ///< As the host wrote it.
  std::string kind;
  std::string data;  ///< JSON.
};

/// A port of this Console whose connections run through a host's tunnel.
struct ForwardRow {
  std::string id;
  std::string host;
  std::string listen;  ///< "127.0.0.1:2222"
  std::string to;      ///< "127.0.0.1:22", as the host sees it.
  WallTime created{};
};

/// An operator's word that this identity is no longer served.
struct Revocation {
  WallTime time{};
  std::string reason;  ///< One line; may be empty.
};
/// "revoked by the Console: stolen", as the host and people are told.
std::string text_of(const Revocation& revocation);

/// An operator's order that a host renews its certificate, and what the host said came of it.
struct RenewalOrder {
  enum class State : std::uint8_t {
    sent,     ///< On disk here, said to the host; no word from it yet.
    refused,  ///< It could not, or would not; it may try again by itself, and then be done.
    done,
  };
  State state = State::sent;
  WallTime ordered{};
  std::optional<WallTime> ended;  ///< When the host's word came.
  std::string said;               ///< One line: refused: why; done: the serial of the new one.
};
std::string_view to_string(RenewalOrder::State state);
std::optional<RenewalOrder::State> parse_renewal_state(std::string_view text);

/// A certificate that this Console signed.
struct IssuedRow {
  std::string host;
  std::string serial;  ///< Hex.
  std::string issuer;
  WallTime not_before{};
  WallTime not_after{};
  WallTime issued{};
};

/// What a host had before it lost its store: its own record of it is gone.
struct FormerRow {
  std::string host;
  std::string install_id;  ///< Of the installation that had it.
  std::int64_t revision = 0;
  std::string model;  ///< JSON, as model.replace takes it.
  WallTime time{};    ///< Of the snapshot that told it.
};

struct HostRow {
  std::string id;
  std::string install_id;  ///< Of the installation whose events are counted now.
  std::int64_t event_base =
      0;  ///< Added to the host's event numbers since its last reinstallation.
  std::int64_t last_event = 0;  ///< Highest n on disk.
  EventLine event_line;         ///< Where its store was put back.
  std::string boot_id;
  std::string software;
  WallTime first_seen{};
  WallTime changed{};             ///< Came or went.
  std::int64_t top_revision = 0;  ///< The highest number that it ever told, over reinstallations.
  std::string snapshot;           ///< Last one, JSON; may be empty.
  std::optional<WallTime> snapshot_time;
  std::optional<Revocation> revoked;
  std::optional<RenewalOrder> renewal;  ///< The last one.
};

}  // namespace edge::console
