// What the Console makes of the identity that is shown, and the proof of a new one.
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/path_break.hpp"
#include "uplink/daemon/tunnel_client.hpp"
#include "uplink/daemon/tunnel_connection.hpp"

namespace edge::uplink {

namespace {

/// For the person who has to come: what nothing at the host can mend.
std::string must_enrol(const std::string& text) {
  return "re-enrol this host (new ca, certificate and key in uplink.toml), unless somebody on the "
         "way answers for the Console; none of its identities fits: " +
         text;
}

}  // namespace

PathBreak TunnelClient::invalid_break(const tunnel::PathError& error) {
  PathBreak why = break_of(error);
  if (error.cause == tunnel::PathFailure::tls_expired) { why.text = must_enrol(error.text); }
  return why;
}

PathBreak TunnelClient::identity_break(const tunnel::TlsContext& shown,
                                       const tunnel::PathError& error) {
  PathBreak why = break_of(error);
  // One that works over another path is not what is wrong with this one.
  if (!error.other_identity_helps || (online() && identities_.proven(shown))) { return why; }
  // Another one may fit: tried soon, and not when the back-off of a lasting refusal allows it.
  why.lasting = identities_.refused(shown, error.text);
  if (why.lasting) { why.text = must_enrol(error.text); }
  return why;
}

void TunnelClient::end_dial(Connection& c, const PathBreak& why, bool rejected) {
  if (&c == proof_.get()) {
    end_proof({.rejected = rejected, .what = why.text});
  } else {
    fail_dial(c.key, why);
  }
}

void TunnelClient::end_dial(Connection& c, const tunnel::PathError& error) {
  if (&c == proof_.get()) {
    const bool rejected = error.other_identity_helps || tunnel::is_lasting(error.cause);
    end_proof({.rejected = rejected, .what = error.text});
  } else {
    fail_dial(c.key, identity_break(*c.tls, error));
  }
}

void TunnelClient::prove_identity(Identities::Context identity,
                                  std::function<void(ProofOutcome)> done) {
  end_proof({.what = "another proof began"});
  proof_done_ = std::move(done);
  const auto active = active_path();
  std::optional<PathKey> over;
  for (const auto& [key, connection] : connections_) {
    if (!connection->attached || ports_.find(key.port) == nullptr) { continue; }
    if (!over || *over == active) { over = key; }
  }
  if (!over || held_) {
    end_proof({.what = "no path is up"});
    return;
  }
  proof_ = std::make_unique<Connection>(io_);
  proof_->key = *over;
  proof_->tls = identity;
  proof_->attempt = next_attempt_++;
  tunnel::DialRequest request = request_of(*ports_.find(over->port), *over);
  proof_->dial =
      std::make_unique<tunnel::Dial>(io_.get_executor(), std::move(identity), std::move(request),
                                     [this, attempt = proof_->attempt](tunnel::DialResult result) {
                                       on_proof_dialled(attempt, std::move(result));
                                     });
}

void TunnelClient::on_proof_dialled(std::uint64_t attempt, tunnel::DialResult result) {
  if (!proof_ || proof_->attempt != attempt) { return; }
  if (!result) { return end_dial(*proof_, result.error().error); }
  start_stream(*proof_, std::move(*result));
}

void TunnelClient::end_proof(ProofOutcome outcome) {
  if (proof_) {
    const auto beside = connections_.find(proof_->key);
    proof_->welcome_timer.cancel();
    proof_->dial.reset();
    if (proof_->stream) { proof_->stream->abort(); }
    // The stream may be the one that is calling us.
    boost::asio::post(io_, [ended = std::shared_ptr<Connection>(std::move(proof_))] {});
    if (beside != connections_.end() && beside->second->ended) {
      const Connection& lost = *beside->second;
      session_.on_path_lost(lost.id, session_cause(lost.ended->cause), lost.ended->text,
                            mono_now());
      pump();
    }
  }
  if (!proof_done_) { return; }
  boost::asio::post(io_, [done = std::exchange(proof_done_, nullptr),
                          outcome = std::move(outcome)] { done(outcome); });
}

/// Pre: `c` is the proof, and was welcomed. The Console took it for the path's next connection; so
/// does this end, unless the path ended meanwhile: then the proof has done its duty.
void TunnelClient::take_place(Connection& c) {
  const auto old = connections_.find(c.key);
  if (old == connections_.end() || !old->second->attached) {
    return end_proof({.welcomed = true, .what = {}});
  }
  old->second->stream->abort();
  graveyard_.push_back(std::exchange(old->second, std::move(proof_)));
  end_proof({.welcomed = true, .what = {}});
}

}  // namespace edge::uplink
