#include "tunnel/core/snapshot_parts.hpp"

#include <fmt/format.h>
#include <boost/json.hpp>

#include <utility>

#include "tunnel/core/bytes.hpp"

namespace edge::tunnel {
namespace {

namespace json = boost::json;

/// What a part is beside its text: names, three numbers, quotes.
constexpr std::size_t part_overhead_max = 160;

/// Bytes of `text` that fill `bytes_max` as a JSON string; a character stays whole. At least one.
std::size_t fitting(std::string_view text, std::size_t bytes_max) {
  std::size_t cost = 0;
  std::size_t end = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool continues = (byte & 0xC0U) == 0x80U;  // UTF-8: never the first of a character.
    if (!continues) { end = i; }
    cost += byte == '"' || byte == '\\' ? 2 : byte < 0x20 ? 6 : 1;
    if (cost > bytes_max && end > 0) { return end; }
  }
  return text.size();
}

std::optional<std::uint64_t> count_of(const json::object& message, std::string_view key) {
  const json::value* found = message.if_contains(key);
  if (found == nullptr || !found->is_int64() || found->get_int64() < 0) { return std::nullopt; }
  return static_cast<std::uint64_t>(found->get_int64());
}

}  // namespace

void SnapshotFeed::offer(std::string text) {
  if (waiting_) { ++skipped_; }
  waiting_ = std::move(text);
}

bool SnapshotFeed::begin(SessionId session) {
  if (!waiting_) { return false; }
  text_ = *std::exchange(waiting_, std::nullopt);
  sent_bytes_ = 0;
  session_ = session;
  ++number_;
  return !text_.empty();
}

std::string SnapshotFeed::next_part(std::size_t bytes_max) {
  const bool first = sent_bytes_ == 0;
  if (first && skipped_ == 0 && text_.size() <= bytes_max) { return std::exchange(text_, {}); }
  const auto rest = std::string_view(text_).substr(sent_bytes_);
  const auto part = rest.substr(0, fitting(rest, bytes_max - part_overhead_max));
  json::object message{{"type", "part"},
                       {"of", number_},
                       {"at", sent_bytes_},
                       {"bytes", text_.size()},
                       {"text", part}};
  if (skipped_ > 0) { message["skipped"] = std::exchange(skipped_, 0); }
  sent_bytes_ += part.size();
  if (sent_bytes_ == text_.size()) { text_.clear(); }
  return json::serialize(message);
}

void SnapshotFeed::feed(Session& session, MonoTime now) {
  if (!session.established()) { return; }
  if (!text_.empty() && session_ != session.id()) { text_.clear(); }
  const std::size_t part_bytes = session.stream_frame_bytes();
  while (session.queued_bytes(Channel::telemetry) + part_bytes <= under_way_max * part_bytes) {
    if (text_.empty() && !begin(session.id())) { return; }
    const auto sent = session.send(Channel::telemetry, to_bytes(next_part(part_bytes)), now);
    if (!sent) {  // Never for want of room: the channel drops its oldest.
      text_.clear();
      return;
    }
  }
}

Result<PartJoiner::Taken> PartJoiner::take(const json::object& message) {
  const auto of = count_of(message, "of");
  const auto at = count_of(message, "at");
  const auto bytes = count_of(message, "bytes");
  const json::value* text = message.if_contains("text");
  const bool has_text = text != nullptr && text->is_string() && !text->get_string().empty();
  if (!of || !at || !bytes || !has_text) {
    return fail(Errc::invalid_input, "part: expected of, at, bytes and a text that is not empty");
  }
  const std::string_view part(text->get_string());
  if (*bytes > text_bytes_max || *at > *bytes || part.size() > *bytes - *at) {
    return fail(Errc::invalid_input, fmt::format("part: {} bytes at {} of {}, at most {}",
                                                 part.size(), *at, *bytes, text_bytes_max));
  }
  Taken taken{.whole = std::nullopt, .skipped = count_of(message, "skipped").value_or(0)};
  if (*at == 0) {
    reset();
    of_ = *of;
    bytes_ = *bytes;
  }
  if (bytes_ == 0 || of_ != *of || bytes_ != *bytes || text_.size() != *at) {
    reset();
    return taken;
  }
  text_.append(part);
  if (text_.size() == bytes_) {
    taken.whole = std::exchange(text_, {});
    reset();
  }
  return taken;
}

void PartJoiner::reset() {
  text_ = {};
  bytes_ = 0;
}

}  // namespace edge::tunnel
