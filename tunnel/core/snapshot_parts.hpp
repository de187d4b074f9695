// Telemetry's large messages in small frames: cut at the host, joined at the Console.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "tunnel/core/session.hpp"

namespace edge::tunnel {

/// A frame that has begun cannot be overtaken, and 60 KiB take half a second at 1 Mbit/s. So the
/// newest state goes in parts as small as those of streams, a few of them at a time: commands, and
/// keystrokes in a stream, come between. A state that is replaced before its first part was sent is
/// counted, not sent.
///
/// Use: offer(), and feed() before each Session::take_actions().
/// Time: passed in. Threads: none.
class SnapshotFeed {
 public:
  /// Parts that are sent and not acknowledged.
  static constexpr std::size_t under_way_max = 2;

  /// The newest state; one that waits is dropped.
  void offer(std::string text);
  /// Moves what the session should have now. What was begun in a former session is dropped.
  void feed(Session& session, MonoTime now);

 private:
  std::string next_part(std::size_t bytes_max);
  bool begin(SessionId session);

  std::optional<std::string> waiting_;
  std::uint64_t skipped_ = 0;  ///< Since the last one whose first part was sent.
  std::string text_;           ///< Being sent; empty: nothing is.
  std::size_t sent_bytes_ = 0;
  std::uint64_t number_ = 0;
  SessionId session_{0};  ///< In which it began.
};

/// What came of a text of the peer's so far.
///
/// Threads: none.
class PartJoiner {
 public:
  static constexpr std::size_t text_bytes_max = frame_bytes_max;

  struct Taken {
    std::optional<std::string> whole;  ///< This was its last part.
    std::uint64_t skipped = 0;         ///< States that it says it never sent.
  };
  /// A message of type "part".
  /// A part whose predecessors are missing is dropped: they went with a gap marker.
  /// Errors: invalid_input (not as PROTOCOL.md 11 has it).
  Result<Taken> take(const boost::json::object& message);
  /// Something is missing here.
  void reset();
  std::size_t held_bytes() const { return text_.size(); }

 private:
  std::string text_;
  std::uint64_t of_ = 0;
  std::size_t bytes_ = 0;  ///< Of all of it; 0: nothing has begun.
};

}  // namespace edge::tunnel
