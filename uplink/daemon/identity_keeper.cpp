#include "uplink/daemon/identity_keeper.hpp"

#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/random.hpp"

namespace edge::uplink {

namespace json = boost::json;

IdentityKeeper::IdentityKeeper(boost::asio::io_context& io, Identities& identities,
                               store::StoreWorker& store, EventLog& events, Hooks hooks,
                               std::uint64_t seed)
    : identities_(identities),
      store_(store),
      events_(events),
      hooks_(std::move(hooks)),
      engine_(seed),
      timer_(io) {}

void IdentityKeeper::session_started() {
  engine_.on_session(mono_now(), wall_now());
  pump();
}

void IdentityKeeper::on_change() {
  if (stopped_) { return; }
  const MonoTime now = mono_now();
  const WallTime wall = wall_now();
  engine_.set_identity(identities_.facts(), now, wall);
  engine_.on_online(hooks_.online(), now, wall);
  mark();
  pump();
}

bool IdentityKeeper::take(const json::object& message) {
  const json::value* type = message.if_contains("type");
  if (type == nullptr) { return false; }
  if (*type == "signer") {
    auto offer = tunnel::decode_signer_offer(message);
    if (!offer) {
      spdlog::warn("identity.malformed type=signer reason=\"{}\"", offer.error().what);
      return true;
    }
    engine_.on_offer(std::move(offer->generation), offer->spread, offer->now, mono_now(),
                     wall_now());
    pump();
    return true;
  }
  if (*type != "identity") { return false; }
  const auto answer = tunnel::decode_renew_answer(message);
  if (answer) {
    on_answer(*answer);
  } else {
    spdlog::warn("identity.malformed type=identity reason=\"{}\"", answer.error().what);
  }
  return true;
}

Result<void> IdentityKeeper::order() {
  auto ordered = engine_.order(mono_now(), wall_now());
  pump();
  return ordered;
}

void IdentityKeeper::stop() {
  stopped_ = true;
  timer_.cancel();
}

void IdentityKeeper::pump() {
  if (pumping_ || stopped_) { return; }  // An action may feed the engine; the loop picks it up.
  pumping_ = true;
  for (auto actions = engine_.take_actions(); !actions.empty(); actions = engine_.take_actions()) {
    for (const Renewal::Action action : actions) { run(action); }
    hooks_.changed();
  }
  pumping_ = false;
  arm();
}

void IdentityKeeper::arm() {
  const auto due = engine_.next_deadline();
  if (!due || stopped_) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(to_steady(*due));
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    engine_.on_deadline(mono_now(), wall_now());
    pump();
  });
}

void IdentityKeeper::run(Renewal::Action action) {
  switch (action) {
    case Renewal::Action::ask: return ask();
    case Renewal::Action::keep: return keep();
    case Renewal::Action::prove: return prove();
    case Renewal::Action::adopt: return adopt();
  }
}

void IdentityKeeper::fail_step(const std::string& what) {
  const std::string step(to_string(engine_.step()));
  spdlog::error("identity.not_renewed step={} reason=\"{}\"", step, what);
  events_.add("identity.not_renewed", {{"step", step}, {"reason", what}});
  key_pem_.clear();
  coming_ = {};
  candidate_.reset();
  engine_.on_failed(what, mono_now(), wall_now());
  pump();
  hooks_.changed();
}

void IdentityKeeper::ask() {
  auto request = tunnel::make_identity_request(identities_.host_id());
  if (!request) { return fail_step(request.error().what); }
  request_id_ = random_uuid();
  key_pem_ = std::move(request->key_pem);
  spdlog::info("identity.renewing id={}", request_id_);
  const auto sent =
      hooks_.send(tunnel::encode(tunnel::RenewRequest{.id = request_id_, .csr = request->csr_pem}));
  if (!sent) { fail_step(sent.error().what); }
}

void IdentityKeeper::on_answer(const tunnel::RenewAnswer& answer) {
  if (answer.id != request_id_ || engine_.step() != RenewalStep::asking) {
    spdlog::info("identity.ignored id={}: nothing waits for it", answer.id.substr(0, 64));
    return;
  }
  if (!answer.problem.empty()) {
    return fail_step(fmt::format("the Console refused: {}", answer.problem));
  }
  coming_ = {.certificate_pem = answer.certificate,
             .key_pem = std::exchange(key_pem_, {}),
             .ca_pem = answer.ca,
             .generation = answer.generation,
             .replaces = identities_.configured_fingerprint()};
  if (engine_.on_answer()) { pump(); }
}

/// On disk before it is shown to anybody: a Console that has seen it may not meet the old one
/// again.
void IdentityKeeper::keep() {
  auto candidate = identities_.candidate(coming_);
  if (!candidate) { return fail_step(candidate.error().what); }
  candidate_ = std::move(*candidate);
  slot_ = identities_.spare();
  store_.run([files = identities_.files(), slot = slot_,
              identity = coming_](store::Store&) { return files.write(slot, identity); },
             [this](const Result<void>& written) {
               if (stopped_) { return; }
               if (!written) { return fail_step(written.error().what); }
               engine_.on_kept();
               pump();
             });
}

void IdentityKeeper::prove() {
  hooks_.prove(candidate_, [this](const ProofOutcome& outcome) {
    if (stopped_ || engine_.step() != RenewalStep::proving) { return; }
    if (outcome.rejected) { return fail_step(outcome.what); }
    if (outcome.welcomed) {
      engine_.on_proved();
    } else {
      spdlog::info("identity.unproved reason=\"{}\"", outcome.what);
      engine_.on_unproved(outcome.what, mono_now(), wall_now());
    }
    pump();
  });
}

void IdentityKeeper::adopt() {
  store_.run([files = identities_.files(),
              slot = slot_](store::Store&) { return files.set_current(slot); },
             [this](const Result<void>& written) {
               if (stopped_) { return; }
               if (!written) { return fail_step(written.error().what); }
               const tunnel::CertificateInfo own = candidate_->own_certificate();
               identities_.adopt(slot_, coming_, std::exchange(candidate_, nullptr));
               coming_ = {};
               spdlog::info("identity.renewed source=\"{}\" serial={} not_after={}",
                            to_string(slot_), own.serial, tunnel::to_iso8601(own.not_after));
               events_.add("identity.renewed", {{"source", std::string(to_string(slot_))},
                                                {"serial", own.serial},
                                                {"issuer", own.issuer},
                                                {"not_after", tunnel::to_iso8601(own.not_after)}});
               engine_.on_adopted(wall_now());
               on_change();
               hooks_.changed();
             });
}

/// A life that ended between proof and pointer, or a slot that was fallen back to.
void IdentityKeeper::mark() {
  const auto slot = identities_.unmarked();
  if (!slot || marking_ || engine_.step() != RenewalStep::rest) { return; }
  marking_ = true;
  store_.run([files = identities_.files(),
              slot = *slot](store::Store&) { return files.set_current(slot); },
             [this, slot = *slot](const Result<void>& written) {
               if (!written) {  // The next life finds the way by itself again.
                 spdlog::warn("identity.not_marked reason=\"{}\"", written.error().what);
                 return;
               }
               marking_ = false;
               identities_.marked(slot);
             });
}

json::object IdentityKeeper::view() const {
  json::object out = identities_.view();
  json::object renewal{{"state", std::string(to_string(engine_.step()))},
                       {"signer", engine_.offered()},
                       {"due", nullptr},
                       {"last", nullptr}};
  if (const auto due = engine_.due()) { renewal["due"] = tunnel::to_iso8601(*due); }
  if (const auto& last = engine_.last()) {
    renewal["last"] = json::object{{"time", tunnel::to_iso8601(last->at)},
                                   {"result", last->good ? "renewed" : "failed"},
                                   {"what", last->what}};
  }
  out["renewal"] = std::move(renewal);
  return out;
}

}  // namespace edge::uplink
