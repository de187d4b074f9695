// Applications of byte streams in the simulation.
#include "tests/sim/session/stream_app.hpp"

#include <fmt/format.h>

namespace edge::sim {
using tunnel::StreamId;

namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::size_t streams_at_once = 6;

}  // namespace

void StreamApp::on_session_started(std::optional<tunnel::StreamGrant> peer,
                                   tunnel::SessionId session) {
  starting_ = true;
  mux_.start(peer, session);
  run_actions();
  starting_ = false;
  flows_.clear();
}

/// The same at both ends: by stream, direction and offset.
std::byte StreamApp::byte_at(StreamId id, std::uint64_t offset, bool ours,
                             std::uint64_t total) const {
  if (offset < length_bytes) { return static_cast<std::byte>(total >> (8 * offset)); }
  const bool from_host = (role_ == tunnel::Role::host) == ours;
  return static_cast<std::byte>(offset * 31 + (offset >> 8) * 17 + id.value * 7 +
                                (from_host ? 99 : 0));
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
  for (const std::byte got : data.bytes) {
    if (flow.read < length_bytes) {
      flow.read_total |= std::to_integer<std::uint64_t>(got) << (8 * flow.read);
    } else if (got != byte_at(data.stream, flow.read, false, flow.read_total)) {
      return report_(fmt::format("stream {}: byte {} is wrong", data.stream.value, flow.read));
    }
    ++flow.read;
  }
  flow.held += data.bytes.size();
  bytes_received_ += data.bytes.size();
}

void StreamApp::write(StreamId id, Flow& flow) {
  tunnel::Bytes bytes;
  const std::uint64_t size =
      std::min<std::uint64_t>(flow.write_total - flow.written, random_.below(40'000));
  for (std::uint64_t i = 0; i < size; ++i) {
    bytes.push_back(byte_at(id, flow.written + i, true, flow.write_total));
  }
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
  const auto flows = flows_;
  for (const auto& [id, unused] : flows) {
    Flow& flow = flows_.at(id);
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
