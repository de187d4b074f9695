// What the store keeps, as values: commands, revisions, leases, adapters, events. No SQLite here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"

namespace edge::store {

/// Where a journalled command stands. Stored, and sent to the Console, by name (to_string).
///
///   stored ──► applying ──► confirming ──► done | rolled_back | indeterminate
///      │           └──────────────────────► done | refused | rolled_back | indeterminate
///      └──────────────────────────────────► refused | superseded | expired | done
enum class CommandState : std::uint8_t {
  stored,      ///< On disk, not begun: safe to begin, whatever happened before.
  applying,    ///< Begun: after a restart, verify before doing anything.
  confirming,  ///< Applied, waits for the Console's confirm or the roll-back deadline.
  done,
  refused,
  rolled_back,
  superseded,
  expired,
  indeterminate,  ///< Its effect cannot be known any more; never run again.
};
std::string_view to_string(CommandState state);
std::optional<CommandState> parse_command_state(std::string_view text);
/// A final state never changes again; its result is kept until the Console has it.
bool is_final(CommandState state);

using Sha256 = std::array<std::uint8_t, 32>;

/// A command as it arrived. `id` is a UUID in its canonical lower-case text form.
struct IncomingCommand {
  std::string id;
  std::string
      payload;      ///< The command message, byte for byte; at most StoreLimits::payload_bytes_max.
  Sha256 sha256{};  ///< Of what makes two commands the same; store/io/sha256.hpp.
  std::string command_class;  ///< "model", "action": how to recover it (tunnel.md 5.4). Free text.
};
/// True for 8-4-4-4-12 lower-case hex digits.
bool is_command_id(std::string_view text);

/// One row of the journal.
struct CommandRecord {
  std::string id;
  std::string payload;
  Sha256 sha256{};
  std::string command_class;
  CommandState state = CommandState::stored;
  std::string result;         ///< JSON; empty until final.
  bool result_acked = false;  ///< The Console said that it has the result.
  std::string boot_id;        ///< Kernel boot in which it was begun; empty before.
  std::string step;           ///< The daemon's own mark of how far it came; empty before.
  std::string undo;           ///< JSON that the daemon needs to take it back; empty: nothing.
  WallTime received{};
  std::optional<WallTime> started;
  std::optional<WallTime> finished;
};

enum class Receipt : std::uint8_t {
  fresh,     ///< First sight: now on disk, in state stored.
  known,     ///< Same id, same content: answer from the record, never run again.
  id_reuse,  ///< Same id, other content: refuse the newcomer; the record is untouched.
};
struct ReceiveOutcome {
  Receipt receipt = Receipt::fresh;
  CommandState state = CommandState::stored;  ///< Of the command on disk.
  std::string result;                         ///< JSON; empty unless state is final.
};

/// A model revision. Numbers grow by the caller's choice; the newest is always kept.
struct Revision {
  std::int64_t number = 0;
  std::string model;  ///< JSON.
  std::string cause;  ///< Command id, "start", "default".
  WallTime time{};
};
/// A revision without its model, for lists.
struct RevisionSummary {
  std::int64_t number = 0;
  std::string cause;
  WallTime time{};
  std::int64_t model_bytes = 0;
};

/// An adapter ever seen. `number` is unique, never reused, from 1: routing table 20000 + number.
struct AdapterRecord {
  MacAddress base_mac;
  std::uint32_t number = 0;
  std::string last_name;  ///< Netdev name at last sight.
  WallTime first_seen{};
};

struct LeaseRecord {
  MacAddress adapter;
  Family family = Family::v4;
  std::string json;
  WallTime stored{};
};

/// A durable event; numbers are consecutive from 1 and survive restarts.
struct EventRecord {
  std::int64_t number = 0;
  WallTime time{};
  std::string kind;  ///< "path.switch".
  std::string json;  ///< An object.
};
/// Kind of the row that stands for events dropped for want of room before the Console had them; its
/// number is the last dropped one, its json `{"from":a,"to":b,"count":n}`.
inline constexpr std::string_view kEventsDropped = "events.dropped";

/// Who this installation is. Made at the first open.
struct Identity {
  std::string install_id;  ///< UUID, random.
  std::int64_t epoch = 0;  ///< Session epochs handed out so far.
  WallTime clock_floor{};  ///< Wall time is certainly later than this.
};

/// Whether what the store says outlives the daemon.
struct Standing {
  bool durable = true;
  std::string reason;         ///< Why it does not; empty when it does.
  bool journal_known = true;  ///< false: which commands were run before cannot be known.
};

/// Every table is bounded. Bytes are of payload, result, model or event json.
struct StoreLimits {
  std::size_t payload_bytes_max = 1U << 20;
  std::size_t result_bytes_max = 1U << 20;
  std::size_t model_bytes_max = 16U << 20;
  std::int64_t journal_rows_max = 100'000;  ///< Above: oldest acked rows go; all unacked: no_space.
  std::chrono::hours journal_retention{24 * 30};
  std::int64_t revisions_max = 200;
  std::int64_t revisions_bytes_max = 64LL << 20;
  std::int64_t events_max = 20'000;
  std::int64_t events_bytes_max = 16LL << 20;
  std::int64_t adapters_max = 4096;
  std::int64_t reserve_bytes = 4LL
                               << 20;  ///< Disk held back so that a begun command can end; 0: none.
};

}  // namespace edge::store
