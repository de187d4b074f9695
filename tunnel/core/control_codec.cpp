// The JSON messages: HELLO, WELCOME, PATH_STATUS, GOAWAY, ERROR. Hostile input ends as one clear
// line.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "tunnel/core/message_fields.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::tunnel {
namespace json = boost::json;
namespace {

constexpr std::size_t long_text_bytes_max = 1024;  ///< Explanations; else see text_bytes_max.
constexpr std::size_t endpoints_max = 16;
constexpr std::uint64_t epoch_max = 1ULL << 52;  ///< Every JSON library reads it exactly.
constexpr std::uint64_t duration_ms_max = 7ULL * 24 * 3600 * 1000;

std::string hex16(std::uint64_t value) { return fmt::format("{:016x}", value); }

Bytes frame_of(FrameType type, const json::object& object) {
  return encode_frame({.type = type, .flags = flag_critical}, as_bytes(json::serialize(object)));
}

/// Cuts at a byte limit without splitting a UTF-8 character, and makes control characters spaces,
/// so that we never send what we refuse.
std::string clip(std::string_view text, std::size_t bytes_max) {
  std::size_t end = std::min(text.size(), bytes_max);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) {
    --end;
  }
  std::string out(text.substr(0, end));
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

/// The streams' channel only when something came over it: a peer without streams does not know it.
json::array encode_next(const NextExpected& next) {
  const bool streams = next[index_of(Channel::streams)] > 1;
  return json::array(next.begin(), next.end() - (streams ? 0 : 1));
}

/// Shorter: the missing channels expect 1. Longer: channels of a later version, ignored.
NextExpected decode_next(MessageFields& fields) {
  const auto numbers = fields.numbers("next", 64, 1, UINT64_MAX);
  NextExpected next = nothing_received;
  std::copy_n(numbers.begin(), std::min(numbers.size(), next.size()), next.begin());
  return next;
}

json::object encode_timers(const HeartbeatTimers& timers) {
  return {{"active_ms", timers.active.count()},
          {"standby_ms", timers.standby.count()},
          {"dead_after", timers.dead_after}};
}

HeartbeatTimers decode_timers(MessageFields& fields) {
  MessageFields inner = fields.inner("heartbeat");
  HeartbeatTimers timers;
  timers.active = std::chrono::milliseconds(inner.number("active_ms", 1, 3'600'000));
  timers.standby = std::chrono::milliseconds(inner.number("standby_ms", 1, 3'600'000));
  timers.dead_after = static_cast<std::uint32_t>(inner.number("dead_after", 1, 1000));
  fields.adopt(inner);
  return timers;
}

json::object encode_streams(const StreamGrant& limits) {
  return {{"window", limits.window},
          {"session_window", limits.session_window},
          {"count", limits.streams}};
}

std::optional<StreamGrant> decode_streams(MessageFields& fields) {
  if (!fields.has("streams")) { return std::nullopt; }
  MessageFields inner = fields.inner("streams");
  constexpr std::uint64_t window_max = 1ULL << 30;
  StreamGrant limits;
  limits.window = static_cast<std::uint32_t>(inner.number("window", 1, window_max));
  limits.session_window = static_cast<std::uint32_t>(inner.number("session_window", 1, window_max));
  limits.streams = static_cast<std::uint32_t>(inner.number("count", 0, UINT16_MAX));
  fields.adopt(inner);
  return limits;
}

json::object encode_path(const PathFacts& path) {
  json::object out{{"id", path.wire_id},
                   {"label", clip(path.label, text_bytes_max)},
                   {"port", clip(path.port, text_bytes_max)},
                   {"endpoint", clip(path.endpoint, text_bytes_max)},
                   {"adapter", clip(path.adapter, text_bytes_max)},
                   {"class", static_cast<unsigned>(path.path_class)},
                   {"rank", path.rank}};
  if (path.metered) { out["metered"] = true; }
  return out;
}

PathFacts decode_path(MessageFields& fields) {
  MessageFields inner = fields.inner("path");
  PathFacts path;
  path.wire_id = static_cast<std::uint32_t>(inner.number("id", 0, UINT32_MAX));
  path.label = inner.text("label");
  path.port = inner.text("port");
  path.endpoint = inner.text("endpoint");
  path.adapter = inner.text("adapter");
  path.path_class = static_cast<PathClass>(inner.number("class", 0, 2));
  path.rank = static_cast<std::uint32_t>(inner.number("rank", 0, UINT32_MAX));
  path.metered = inner.has("metered") && inner.flag("metered");
  fields.adopt(inner);
  return path;
}

/// Wall time as milliseconds since 1970.
std::uint64_t encode_time(WallTime time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.time_since_epoch().count()));
}
WallTime decode_time(MessageFields& fields) {
  constexpr std::uint64_t year_9999_ms = 253'402'300'799'000ULL;
  return WallTime(std::chrono::milliseconds(fields.number("time", 0, year_9999_ms)));
}

std::chrono::milliseconds decode_duration(MessageFields& fields, std::string_view key) {
  return std::chrono::milliseconds(fields.number_or(key, 0, 0, duration_ms_max));
}

}  // namespace

std::string to_hex(SessionId id) { return hex16(id.value); }
std::string to_hex(InstanceId id) { return hex16(id.value); }

Bytes encode(const Hello& hello) {
  json::object object{{"version_min", hello.version_min},
                      {"version_max", hello.version_max},
                      {"host", clip(hello.host, text_bytes_max)},
                      {"install", clip(hello.install_id, text_bytes_max)},
                      {"boot", clip(hello.boot_id, text_bytes_max)},
                      {"instance", to_hex(hello.instance)},
                      {"session", to_hex(hello.session)},
                      {"epoch", hello.epoch},
                      {"next", encode_next(hello.next)},
                      {"path", encode_path(hello.path)},
                      {"time", encode_time(hello.time)},
                      {"heartbeat", encode_timers(hello.heartbeat)},
                      {"software", clip(hello.software, text_bytes_max)}};
  if (!hello.last_failure.empty()) {
    object["last_failure"] = clip(hello.last_failure, text_bytes_max);
  }
  if (hello.streams) { object["streams"] = encode_streams(*hello.streams); }
  constexpr std::size_t member = sizeof(R"(,"fill":"")") - 1;
  const std::size_t size = json::serialize(object).size() + member;
  const std::size_t wanted = std::min(hello.fill, hello_fill_max);
  if (wanted > size) { object["fill"] = std::string(wanted - size, '.'); }
  return frame_of(FrameType::hello, object);
}

Result<Hello> decode_hello(ByteSpan payload) {
  MessageFields fields("HELLO", payload);
  Hello hello;
  hello.version_min = static_cast<std::uint16_t>(fields.number("version_min", 1, UINT16_MAX));
  hello.version_max = static_cast<std::uint16_t>(fields.number("version_max", 1, UINT16_MAX));
  hello.host = fields.text("host");
  hello.install_id = fields.text("install");
  hello.boot_id = fields.text("boot");
  hello.instance = InstanceId{fields.hex("instance")};
  hello.session = SessionId{fields.hex("session")};
  hello.epoch = fields.number("epoch", 0, epoch_max);
  hello.next = decode_next(fields);
  hello.path = decode_path(fields);
  hello.time = decode_time(fields);
  hello.heartbeat = decode_timers(fields);
  hello.last_failure = fields.text_or_empty("last_failure");
  hello.software = fields.text_or_empty("software");
  hello.streams = decode_streams(fields);
  if (hello.version_min > hello.version_max) {
    fields.problem("version_min", "exceeds version_max");
  }
  return finish(fields, std::move(hello));
}

Bytes encode(const Welcome& welcome) {
  json::object object{{"version", welcome.version},
                      {"session", to_hex(welcome.session)},
                      {"epoch", welcome.epoch},
                      {"resumed", welcome.resumed},
                      {"next", encode_next(welcome.next)},
                      {"time", encode_time(welcome.time)},
                      {"heartbeat", encode_timers(welcome.heartbeat)},
                      {"detach_ttl_s", welcome.detach_ttl.count()}};
  if (welcome.streams) { object["streams"] = encode_streams(*welcome.streams); }
  return frame_of(FrameType::welcome, object);
}

Result<Welcome> decode_welcome(ByteSpan payload) {
  MessageFields fields("WELCOME", payload);
  Welcome welcome;
  welcome.version = static_cast<std::uint16_t>(
      fields.number("version", protocol_version_min, protocol_version_max));
  welcome.session = SessionId{fields.hex("session")};
  if (welcome.session.value == 0) { fields.problem("session", "must not be 0"); }
  welcome.epoch = fields.number("epoch", 1, epoch_max + 1);
  welcome.resumed = fields.flag("resumed");
  welcome.next = decode_next(fields);
  welcome.time = decode_time(fields);
  welcome.heartbeat = decode_timers(fields);
  welcome.detach_ttl =
      std::chrono::seconds(fields.number("detach_ttl_s", 0, duration_ms_max / 1000));
  welcome.streams = decode_streams(fields);
  return finish(fields, welcome);
}

std::string_view to_string(PathCause cause) {
  switch (cause) {
    case PathCause::silence: return "silence";
    case PathCause::carrier: return "carrier";
    case PathCause::address: return "address";
    case PathCause::eof: return "eof";
    case PathCause::reset: return "reset";
    case PathCause::write_stall: return "write_stall";
    case PathCause::protocol: return "protocol";
    case PathCause::peer_error: return "peer_error";
    case PathCause::superseded: return "superseded";
    case PathCause::local_stall: return "local_stall";
    case PathCause::drained: return "drained";
    case PathCause::shutdown: return "shutdown";
  }
  return "unknown";
}

std::optional<PathCause> parse_path_cause(std::string_view text) {
  for (int i = 0; i <= static_cast<int>(PathCause::shutdown); ++i) {
    const auto cause = static_cast<PathCause>(i);
    if (to_string(cause) == text) { return cause; }
  }
  return std::nullopt;
}

Bytes encode(const PathStatus& status) {
  json::object object{{"path", status.wire_id}};
  if (status.state == PathStatus::State::active) {
    object["state"] = "active";
    object["serial"] = status.active_serial;
  } else {
    object["state"] = "down";
    object["cause"] = to_string(status.cause);
    object["last_rx_ms"] = status.last_rx_age.count();
  }
  return frame_of(FrameType::path_status, object);
}

Result<PathStatus> decode_path_status(ByteSpan payload) {
  MessageFields fields("PATH_STATUS", payload);
  PathStatus status;
  status.wire_id = static_cast<std::uint32_t>(fields.number("path", 0, UINT32_MAX));
  const std::string state = fields.text("state");
  if (state == "active") {
    status.state = PathStatus::State::active;
    status.active_serial = static_cast<std::uint32_t>(fields.number("serial", 1, UINT32_MAX));
  } else if (state == "down") {
    // A cause that a later version adds still says that the path is down.
    status.cause = parse_path_cause(fields.text("cause")).value_or(PathCause::silence);
    status.last_rx_age = decode_duration(fields, "last_rx_ms");
  } else {
    fields.problem("state", "must be \"active\" or \"down\"");
  }
  return finish(fields, status);
}

Bytes encode(const Goaway& goaway) {
  json::array endpoints;
  for (std::size_t i = 0; i < std::min(goaway.endpoints.size(), endpoints_max / 2); ++i) {
    endpoints.emplace_back(clip(goaway.endpoints[i], text_bytes_max));
  }
  return frame_of(FrameType::goaway, {{"reason", clip(goaway.reason, text_bytes_max)},
                                      {"reconnect_in_ms", goaway.reconnect_in.count()},
                                      {"spread_ms", goaway.spread.count()},
                                      {"try_for_ms", goaway.try_for.count()},
                                      {"endpoints", std::move(endpoints)}});
}

Result<Goaway> decode_goaway(ByteSpan payload) {
  MessageFields fields("GOAWAY", payload);
  Goaway goaway;
  goaway.reason = fields.text_or_empty("reason");
  goaway.reconnect_in = decode_duration(fields, "reconnect_in_ms");
  goaway.spread = decode_duration(fields, "spread_ms");
  goaway.try_for = decode_duration(fields, "try_for_ms");
  goaway.endpoints = fields.texts_or_empty("endpoints", endpoints_max);
  return finish(fields, std::move(goaway));
}

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::protocol: return "protocol";
    case ErrorCode::version: return "version";
    case ErrorCode::identity: return "identity";
    case ErrorCode::clone: return "clone";
    case ErrorCode::quarantined: return "quarantined";
    case ErrorCode::retry_later: return "retry_later";
    case ErrorCode::revoked: return "revoked";
  }
  return "unknown";
}

Bytes encode(const ErrorMessage& error) {
  return frame_of(FrameType::error, {{"code", to_string(error.code)},
                                     {"what", clip(error.what, long_text_bytes_max)}});
}

Result<ErrorMessage> decode_error(ByteSpan payload) {
  MessageFields fields("ERROR", payload);
  ErrorMessage message;
  const std::string code = fields.text("code");
  // A code that a later version adds is still an error.
  for (int i = 0; i <= static_cast<int>(ErrorCode::revoked); ++i) {
    if (to_string(static_cast<ErrorCode>(i)) == code) { message.code = static_cast<ErrorCode>(i); }
  }
  message.what = fields.text_or_empty("what", long_text_bytes_max);
  return finish(fields, std::move(message));
}

HeartbeatTimers negotiate(const HeartbeatTimers& a, const HeartbeatTimers& b) {
  using std::chrono::milliseconds;
  const auto slower = [](milliseconds x, milliseconds y) {
    return std::clamp(std::max(x, y), milliseconds(20), milliseconds(60'000));
  };
  return {.active = slower(a.active, b.active),
          .standby = slower(a.standby, b.standby),
          .dead_after = std::clamp(std::max(a.dead_after, b.dead_after), 2U, 20U)};
}

std::string_view to_string(PathClass path_class) {
  switch (path_class) {
    case PathClass::wired: return "wired";
    case PathClass::wifi: return "wifi";
    case PathClass::mobile: return "mobile";
  }
  return "unknown";
}

HeartbeatTimers heartbeat_of(const PathFacts& path, const HeartbeatTimers& wired) {
  int active = 1;
  switch (path.path_class) {
    case PathClass::wired: break;
    case PathClass::wifi: active = 2; break;
    case PathClass::mobile: active = 4; break;
  }
  int standby = active;
  if (path.metered) {
    active = std::max(active, 4);
    standby = std::max(standby, 5);
  }
  return {.active = wired.active * active,
          .standby = wired.standby * standby,
          .dead_after = wired.dead_after};
}

}  // namespace edge::tunnel
