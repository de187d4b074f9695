// What a connection brings, from its first byte to the session: the handshake of HELLO and WELCOME,
// a refusal, the end.
#include "uplink/daemon/core/tunnel_paths.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/assert.hpp"

namespace edge::uplink {

void TunnelPaths::on_bytes(PathId path, std::span<const std::byte> bytes, MonoTime now) {
  Link* link = find(path);
  if (link == nullptr || link->ended) { return; }
  std::vector<tunnel::Frame> frames;
  const auto fed = link->decoder.feed(bytes, frames);
  for (tunnel::Frame& frame : frames) {
    link = find(path);
    if (link == nullptr) { return; }  // An earlier frame has ended it.
    if (link->attached) {
      session_.on_frame(path, std::move(frame), now);
    } else {
      on_handshake_frame(path, frame, now);
    }
  }
  link = find(path);
  if (link == nullptr) { return; }
  if (fed && frames.empty() && link->attached) { session_.on_bytes(path, now); }
  if (fed) { return; }
  if (link->attached) { return session_.on_decode_error(path, fed.error(), now); }
  const std::string why = "the Console does not speak our protocol: " + fed.error().what;
  fail(path, {.why = {.step = Step::console, .text = why, .lasting = true}}, now);
}

void TunnelPaths::on_handshake_frame(PathId path, const tunnel::Frame& frame, MonoTime now) {
  switch (frame.header.type) {
    case tunnel::FrameType::welcome: {
      const auto welcome = tunnel::decode_welcome(frame.payload);
      if (welcome) { return on_welcome(path, *welcome, now); }
      return fail(path,
                  {.why = {.step = Step::console, .text = welcome.error().what, .lasting = true}},
                  now);
    }
    case tunnel::FrameType::error: return on_refusal(path, frame, now);
    case tunnel::FrameType::goaway: {
      const auto goaway = tunnel::decode_goaway(frame.payload);
      if (!goaway) { break; }
      const Link link = *find(path);
      if (link.role == LinkRole::proof) {
        return end_proof({.what = "the Console asked to come later"}, now);
      }
      drop(path);
      engine_.on_retry_later(link.key, wait_of(*goaway), goaway->spread, now);
      orders_.emplace_back(tunnel::Action(tunnel::PeerGoaway{path, *goaway}));
      return settle_ended(link.key, now);
    }
    case tunnel::FrameType::hello:
    case tunnel::FrameType::ping:
    case tunnel::FrameType::pong:
    case tunnel::FrameType::path_status:
    case tunnel::FrameType::path_view:
    case tunnel::FrameType::data:
    case tunnel::FrameType::ack:
    case tunnel::FrameType::window:
    case tunnel::FrameType::stream_open:
    case tunnel::FrameType::stream_data:
    case tunnel::FrameType::stream_fin:
    case tunnel::FrameType::stream_rst: break;
  }
  const std::string why = fmt::format("expected WELCOME, got {}", to_string(frame.header.type));
  fail(path, {.why = {.step = Step::console, .text = why}}, now);
}

void TunnelPaths::on_refusal(PathId path, const tunnel::Frame& frame, MonoTime now) {
  const auto error = tunnel::decode_error(frame.payload);
  const bool lasting = error && error->code != tunnel::ErrorCode::retry_later &&
                       error->code != tunnel::ErrorCode::protocol;
  std::string why =
      !error ? error.error().what
      : error->code == tunnel::ErrorCode::revoked
          ? error->what  // It says so itself.
          : fmt::format("the Console refused: {} ({})", error->what, to_string(error->code));
  fail(
      path,
      {.why = {.step = Step::console, .text = std::move(why), .lasting = lasting, .answered = true},
       .rejected = error && error->code == tunnel::ErrorCode::identity},
      now);
}

void TunnelPaths::on_welcome(PathId path, const tunnel::Welcome& welcome, MonoTime now) {
  Link& link = *find(path);
  link.welcome_due.reset();
  const WelcomeVerdict verdict = judge_(path, welcome);
  switch (verdict.kind) {
    case WelcomeVerdict::Kind::keep: return attach(path, welcome, now);
    case WelcomeVerdict::Kind::refuse: return fail(path, {.why = verdict.why}, now);
    case WelcomeVerdict::Kind::dial_again: {
      if (link.role == LinkRole::proof) {
        return end_proof({.what = "the time became known meanwhile"}, now);
      }
      const Link former = std::move(link);  // The engine still waits for the outcome of its dial.
      drop(path);
      begin(former.key, main_of(former.key) ? LinkRole::successor : LinkRole::main);
      return;
    }
  }
}

/// The Console took it for the path's next connection; so does this end.
void TunnelPaths::attach(PathId path, const tunnel::Welcome& welcome, MonoTime now) {
  Link& link = *find(path);
  const auto before = link.role == LinkRole::main ? std::nullopt : main_of(link.key);
  const bool proof = link.role == LinkRole::proof;
  EDGE_ASSERT(!before || find(*before)->attached);
  EDGE_ASSERT(!proof || before);  // It ends with its path.
  const auto attached = session_.attach(path, link.greeting.facts, welcome, now);
  if (!attached) {
    return fail(path, {.why = {.step = Step::console, .text = attached.error().what}}, now);
  }
  link.attached = true;
  link.role = LinkRole::main;
  if (before) {
    find(*before)->role = LinkRole::retired;
    session_.on_path_lost(*before, tunnel::PathCause::superseded, {}, now);
  }
  engine_.on_welcome(link.key, now, link.greeting.source);
  orders_.emplace_back(PathUp{path, link.key});
  if (proof) { orders_.emplace_back(ProofEnded{.welcomed = true, .what = {}}); }
}

void TunnelPaths::on_lost(PathId path, tunnel::PathCause cause, const std::string& detail,
                          MonoTime now) {
  Link* link = find(path);
  if (link == nullptr || !link->attached) { return; }
  if (link->role == LinkRole::main && greeted(link->key)) {
    link->ended = Ended{cause, detail};  // Its place is about to be taken.
    return;
  }
  session_.on_path_lost(path, cause, detail, now);
}

}  // namespace edge::uplink
