// Applications of byte streams in the simulation.
#include "tests/sim/common/stream_app.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace edge::sim {
using tunnel::StreamId;

namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::size_t streams_at_once = 6;
constexpr std::size_t noise_bytes = 524'287;  ///< More than a stream has: no piece fits elsewhere.
constexpr std::size_t piece_bytes_max = 65'536;

/// Compared and copied whole: byte by byte it took most of the simulation's time.
const tunnel::Bytes& noise() {
  static const tunnel::Bytes bytes = [] {
    Random random(4711);
    tunnel::Bytes out(noise_bytes + piece_bytes_max);
    for (std::size_t i = 0; i < noise_bytes; ++i) {
      out[i] = static_cast<std::byte>(random.next());
    }
    std::copy_n(out.begin(), piece_bytes_max, out.begin() + noise_bytes);
    return out;
  }();
  return bytes;
}

}  // namespace

void StreamApp::on_session_started(std::optional<tunnel::StreamGrant> peer,
                                   tunnel::SessionId session) {
  starting_ = true;
  mux_.start(peer, session);
  run_actions();
  starting_ = false;
  flows_.clear();
}

/// What both ends know of a stream's bytes behind the length: a piece of the noise that begins
/// where stream, direction and offset say. Pre: at most piece_bytes_max.
tunnel::ByteSpan StreamApp::piece(StreamId id, std::uint64_t offset, std::size_t size,
                                  bool ours) const {
  const bool from_host = (role_ == tunnel::Role::host) == ours;
  const std::uint64_t begin = id.value * 7919ULL + (from_host ? 104'729 : 0);
  return tunnel::ByteSpan(noise()).subspan((begin + offset) % noise_bytes, size);
}

void StreamApp::on_payload(const tunnel::Bytes& payload) {
  if (const auto taken = mux_.on_frame(payload); !taken) {
    report_("a correct peer was accused in a stream: " + taken.error().what);
  }
  run_actions();
}

void StreamApp::feed(tunnel::Session& session, MonoTime now) {
  tunnel::feed_streams(session, mux_, now);
  run_actions();
}

void StreamApp::run_actions() {
  for (const tunnel::StreamAction& action : mux_.take_actions()) { act(action); }
}

void StreamApp::act(const tunnel::StreamAction& action) {
  const auto begin = [this](StreamId id) {
    Flow& flow = flows_[id];
    flow.open = true;
    flow.write_total = length_bytes + random_.below(random_.chance(20) ? 300'000 : 8'000);
  };
  if (const auto* asked = std::get_if<tunnel::StreamAsked>(&action)) {
    if (random_.chance(5)) {
      return mux_.refuse(asked->stream, tunnel::StreamRefusal::unreachable, "test");
    }
    mux_.accept(asked->stream);
    begin(asked->stream);
  } else if (const auto* opened = std::get_if<tunnel::StreamOpened>(&action)) {
    begin(opened->stream);
  } else if (const auto* refused = std::get_if<tunnel::StreamRefused>(&action)) {
    flows_.erase(refused->stream);
  } else if (const auto* data = std::get_if<tunnel::StreamData>(&action)) {
    on_data(*data);
  } else if (const auto* eof = std::get_if<tunnel::StreamEof>(&action)) {
    const Flow& flow = flows_.at(eof->stream);
    if (flow.read != flow.read_total || flow.read < length_bytes) {
      report_(fmt::format("stream {} ended after {} of {} bytes", eof->stream.value, flow.read,
                          flow.read_total));
    }
  } else if (const auto* reset = std::get_if<tunnel::StreamReset>(&action)) {
    if (!starting_ && reset->reason != "wanted") {
      report_(fmt::format("stream {} was reset: {}", reset->stream.value, reset->reason));
    }
    flows_.erase(reset->stream);
  }
}

void StreamApp::on_data(const tunnel::StreamData& data) {
  Flow& flow = flows_.at(data.stream);
  tunnel::ByteSpan rest(data.bytes);
  for (; flow.read < length_bytes && !rest.empty(); rest = rest.subspan(1)) {
    flow.read_total |= std::to_integer<std::uint64_t>(rest.front()) << (8 * flow.read++);
  }
  const auto known = piece(data.stream, flow.read, rest.size(), false);
  if (!rest.empty() && std::memcmp(rest.data(), known.data(), rest.size()) != 0) {
    return report_(
        fmt::format("stream {}: a byte from {} on is wrong", data.stream.value, flow.read));
  }
  flow.read += rest.size();
  flow.held += data.bytes.size();
  bytes_received_ += data.bytes.size();
}

void StreamApp::write(StreamId id, Flow& flow) {
  const std::uint64_t size =
      std::min<std::uint64_t>(flow.write_total - flow.written, random_.below(40'000));
  tunnel::Bytes bytes;
  bytes.reserve(size);
  for (std::uint64_t at = flow.written; at < length_bytes && bytes.size() < size; ++at) {
    bytes.push_back(static_cast<std::byte>(flow.write_total >> (8 * at)));
  }
  const auto known = piece(id, flow.written + bytes.size(), size - bytes.size(), true);
  bytes.insert(bytes.end(), known.begin(), known.end());
  flow.written += mux_.write(id, bytes);
  if (flow.written == flow.write_total) {
    flow.finished = true;
    mux_.finish(id);
  }
}

void StreamApp::tick(bool busy) {
  if (busy && mux_.usable() && mux_.stream_count() < streams_at_once && random_.chance(20)) {
    if (const auto id = mux_.open("target:1")) { flows_[*id]; }
  }
  for (auto next = flows_.begin(); next != flows_.end();) {
    const StreamId id = next->first;
    Flow& flow = (next++)->second;  // It may go.
    if (flow.held > 0 && random_.chance(70)) { mux_.consumed(id, std::exchange(flow.held, 0)); }
    if (flow.open && !flow.finished) { write(id, flow); }
    if (busy && random_.chance(1)) {
      mux_.reset(id, "wanted");
      flows_.erase(id);
    }
  }
  run_actions();
}

}  // namespace edge::sim
