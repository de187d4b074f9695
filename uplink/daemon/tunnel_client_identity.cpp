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
  // Another one may fit: tried soon, and not when the back-off of a lasting refusal allows it. And
  // when none is left: a certificate that is not the Console's is no word of it about ours.
  const bool exhausted = identities_.refused(shown, error.text);
  why.lasting = exhausted && tunnel::is_lasting(error.cause);
  if (exhausted) { why.text = must_enrol(error.text); }
  return why;
}

void TunnelClient::end_dial(Connection& c, const tunnel::PathError& error) {
  const bool proof = c.role == LinkRole::proof;
  paths_.on_dial_failed(c.id,
                        {.why = proof ? break_of(error) : identity_break(*c.tls, error),
                         .rejected = error.other_identity_helps || tunnel::is_lasting(error.cause),
                         // The SYN came through and the Console's certificate did not.
                         .too_large = error.cause == tunnel::PathFailure::tls_timeout},
                        mono_now());
  pump();
}

void TunnelClient::prove_identity(Identities::Context identity,
                                  std::function<void(ProofOutcome)> done) {
  paths_.end_proof({.what = "another proof began"}, mono_now());
  pump();
  proof_done_ = std::move(done);
  proving_identity_ = std::move(identity);
  if (!paths_.prove()) { end_proof({.what = "no path is up"}); }
  pump();
}

void TunnelClient::end_proof(ProofOutcome outcome) {
  if (!proof_done_) { return; }
  boost::asio::post(io_, [done = std::exchange(proof_done_, nullptr),
                          outcome = std::move(outcome)] { done(outcome); });
}

}  // namespace edge::uplink
