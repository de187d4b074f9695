// libFuzzer: a hostile peer's stream frames, mixed with what an application does. Whatever comes,
// memory stays within the windows that were granted, and a good peer's multiplexer takes the
// answers.
#include <algorithm>
#include <vector>

#include "base/assert.hpp"
#include "tunnel/core/stream_mux.hpp"

namespace edge::tunnel {
namespace {

constexpr StreamGrant grant{.window = 600, .session_window = 1000, .streams = 4};

/// Consumes some of what it was given, forgets the rest until later; answers as the bytes say.
class Application {
 public:
  explicit Application(StreamMux& mux) : mux_(mux) {}

  void run(std::uint8_t choice) {
    for (const StreamAction& action : mux_.take_actions()) {
      if (const auto* asked = std::get_if<StreamAsked>(&action)) {
        if (choice % 4 == 0) {
          mux_.refuse(asked->stream, StreamRefusal::not_allowed, asked->target);
        } else {
          mux_.accept(asked->stream);
        }
        last_ = asked->stream;
      } else if (const auto* data = std::get_if<StreamData>(&action)) {
        if (choice % 3 != 0) { mux_.consumed(data->stream, data->bytes.size()); }
        last_ = data->stream;
      } else if (const auto* opened = std::get_if<StreamOpened>(&action)) {
        last_ = opened->stream;
      }
    }
  }
  void act(std::uint8_t choice) {
    static const Bytes block(200'000);
    switch (choice % 5) {
      case 0:
        if (const auto id = mux_.open("t:1")) { last_ = *id; }
        break;
      case 1: mux_.write(last_, ByteSpan(block).first(choice * 700UZ)); break;
      case 2: mux_.finish(last_); break;
      case 3: mux_.reset(last_, "because"); break;
      default: mux_.consumed(last_, 100); break;
    }
    EDGE_ASSERT(mux_.room(last_) <= StreamMux::send_buffer_bytes_max);
  }

 private:
  StreamMux& mux_;
  StreamId last_{1};
};

void hostile(ByteSpan input) {
  StreamMux mux(Role::host, grant);
  mux.start(StreamGrant{.window = 5000, .session_window = 9000, .streams = 4}, SessionId{1});
  Application application(mux);
  ByteReader reader(input);
  while (const auto size = reader.take<std::uint8_t>()) {
    if (*size >= 240) {
      (void)mux.next(*size);  // What it says is nobody's concern here; it must not pile up.
    } else if (*size >= 200) {
      application.act(*size);
    } else {
      Bytes payload;
      for (std::size_t i = 0; i < *size; ++i) {
        if (const auto byte = reader.take<std::uint8_t>()) {
          payload.push_back(static_cast<std::byte>(*byte));
        }
      }
      const auto outcome = mux.on_frame(payload);
      EDGE_ASSERT(outcome || (outcome.error().code == Errc::corrupt && !mux.usable()));
    }
    application.run(*size);
    EDGE_ASSERT(mux.unconsumed_bytes() <= grant.session_window);
    EDGE_ASSERT(mux.stream_count() <= 8);
    EDGE_ASSERT(mux.control_frames() <= StreamMux::control_frames_max + 2 * 8);
  }
  while (const auto out = mux.next(1000)) { EDGE_ASSERT(decode_stream_frame(*out).has_value()); }
}

/// What decodes survives a round trip.
void decode(ByteSpan payload) {
  const auto frame = decode_stream_frame(payload);
  if (!frame) {
    EDGE_ASSERT(frame.error().code == Errc::corrupt && !frame.error().what.empty());
    return;
  }
  EDGE_ASSERT(std::ranges::equal(encode(*frame), payload));
}

/// Two good ends, whatever their applications do: never a violation.
void friendly(ByteSpan input) {
  StreamMux host(Role::host, grant);
  StreamMux console(Role::console, grant);
  host.start(grant, SessionId{1});
  console.start(grant, SessionId{1});
  Application at_host(host);
  Application at_console(console);
  ByteReader reader(input);
  while (const auto choice = reader.take<std::uint8_t>()) {
    StreamMux& from = *choice % 2 == 0 ? host : console;
    StreamMux& to = *choice % 2 == 0 ? console : host;
    if (*choice < 128) {
      if (const auto frame = from.next(*choice)) { EDGE_ASSERT(to.on_frame(*frame).has_value()); }
    } else {
      (*choice % 2 == 0 ? at_host : at_console).act(static_cast<std::uint8_t>(*choice / 2));
    }
    at_host.run(*choice);
    at_console.run(*choice);
  }
}

}  // namespace
}  // namespace edge::tunnel

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace edge::tunnel;
  if (size == 0) { return 0; }
  const ByteSpan bytes = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 3) {
    case 0: hostile(bytes); break;
    case 1: friendly(bytes); break;
    default: decode(bytes); break;
  }
  return 0;
}
