// Codec of the stream frames.
#include "tunnel/core/stream_frame.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"

namespace edge::tunnel {
namespace {

std::unexpected<Error> bad(const std::string& what) { return fail(Errc::corrupt, what); }

/// Texts end in logs: none may begin a line of its own there.
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

void put_text(Bytes& out, std::string_view text, std::size_t bytes_max) {
  for (const char c : text.substr(0, bytes_max)) {
    out.push_back(static_cast<std::byte>(is_control(c) ? ' ' : c));
  }
}

Result<void> read_text(std::string_view kind, ByteSpan body, std::size_t low, std::size_t high,
                       std::string& out) {
  if (body.size() < low || body.size() > high) {
    return bad(
        fmt::format("{}: text of {} bytes, allowed are {}..{}", kind, body.size(), low, high));
  }
  if (std::ranges::any_of(as_text(body), is_control)) {
    return bad(fmt::format("{}: a control character in its text", kind));
  }
  out = as_text(body);
  return {};
}

Result<void> read_refused(ByteSpan body, StreamFrame& out) {
  if (body.empty()) { return bad("REFUSED: cut short"); }
  const auto code = std::to_integer<std::uint8_t>(body[0]);
  if (code < 1 || code > 3) { return bad(fmt::format("REFUSED: code {}, allowed are 1..3", code)); }
  out.refusal = static_cast<StreamRefusal>(code);
  return read_text("REFUSED", body.subspan(1), 0, stream_reason_bytes_max, out.text);
}

Result<void> read_credit(ByteSpan body, StreamFrame& out) {
  ByteReader reader(body);
  const auto credit = reader.take<std::uint32_t>();
  if (!credit || reader.left() != 0) { return bad("CREDIT: not 4 bytes"); }
  if (*credit == 0) { return bad("CREDIT of 0 bytes"); }
  out.credit = *credit;
  return {};
}

Result<void> read_body(ByteSpan body, StreamFrame& out) {
  switch (out.kind) {
    case StreamKind::open: return read_text("OPEN", body, 1, stream_target_bytes_max, out.text);
    case StreamKind::refused: return read_refused(body, out);
    case StreamKind::reset: return read_text("RESET", body, 0, stream_reason_bytes_max, out.text);
    case StreamKind::credit: return read_credit(body, out);
    case StreamKind::data:
      if (body.empty() || body.size() > stream_data_bytes_max) {
        return bad(fmt::format("stream DATA of {} bytes, allowed are 1..{}", body.size(),
                               stream_data_bytes_max));
      }
      out.data = body;
      return {};
    case StreamKind::opened:
    case StreamKind::eof:
      if (!body.empty()) { return bad(fmt::format("{} bytes behind OPENED or EOF", body.size())); }
      return {};
  }
  return bad(fmt::format("unknown stream frame {}", static_cast<unsigned>(out.kind)));
}

}  // namespace

std::string_view to_string(StreamRefusal refusal) {
  switch (refusal) {
    case StreamRefusal::not_allowed: return "not_allowed";
    case StreamRefusal::unreachable: return "unreachable";
    case StreamRefusal::busy: return "busy";
  }
  return "unreachable";
}

Bytes encode(const StreamFrame& frame) {
  EDGE_ASSERT(frame.data.size() <= stream_data_bytes_max);
  Bytes out;
  out.reserve(stream_header_bytes + frame.data.size() + frame.text.size() + sizeof(std::uint32_t));
  put(out, static_cast<std::uint8_t>(frame.kind));
  out.resize(4);
  put(out, frame.stream.value);
  switch (frame.kind) {
    case StreamKind::open: put_text(out, frame.text, stream_target_bytes_max); break;
    case StreamKind::refused:
      put(out, static_cast<std::uint8_t>(frame.refusal));
      put_text(out, frame.text, stream_reason_bytes_max);
      break;
    case StreamKind::reset: put_text(out, frame.text, stream_reason_bytes_max); break;
    case StreamKind::credit: put(out, frame.credit); break;
    case StreamKind::data: out.insert(out.end(), frame.data.begin(), frame.data.end()); break;
    case StreamKind::opened:
    case StreamKind::eof: break;
  }
  return out;
}

Result<StreamFrame> decode_stream_frame(ByteSpan payload) {
  if (payload.size() < stream_header_bytes) {
    return bad(fmt::format("stream frame of {} bytes, at least {} are needed", payload.size(),
                           stream_header_bytes));
  }
  ByteReader reader(payload);
  StreamFrame out;
  out.kind = static_cast<StreamKind>(*reader.take<std::uint8_t>());
  for (int i = 0; i < 3; ++i) {
    if (*reader.take<std::uint8_t>() != 0) { return bad("stream frame: reserved bytes are not 0"); }
  }
  out.stream = StreamId{*reader.take<std::uint32_t>()};
  const bool for_all = out.kind == StreamKind::credit || out.kind == StreamKind::reset;
  EDGE_TRY(read_body(payload.subspan(stream_header_bytes), out));
  if (out.stream == all_streams && !for_all) {
    return bad(fmt::format("stream frame {} on stream 0", static_cast<unsigned>(out.kind)));
  }
  return out;
}

}  // namespace edge::tunnel
