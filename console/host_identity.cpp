// Host: its certificate renewed. The names in it are those of the session, never of the request.
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "console/clock.hpp"
#include "console/host.hpp"
#include "tunnel/core/identity_messages.hpp"

namespace edge::console {

namespace json = boost::json;

std::string Host::signer_offer(bool now) const {
  return tunnel::encode(tunnel::SignerOffer{
      .generation = signer_->generation(), .spread = renewal_spread_, .now = now});
}

Result<void> Host::order_renewal() {
  if (!signer_) {
    return fail(Errc::unsupported, "no signer configured: [signer] in console.toml");
  }
  if (!online_) { return fail(Errc::transient, fmt::format("host {} is offline", row_.id)); }
  say(signer_offer(true));
  pump();
  return {};
}

void Host::on_renew(const json::object& message) {
  const auto request = tunnel::decode_renew_request(message);
  if (!request) { return complain(fmt::format("renew: {}", request.error().what)); }
  const auto refuse = [&](const std::string& what) {
    lines_.say(spdlog::level::warn, "identity.not_signed host={} reason=\"{}\"", row_.id, what);
    say(tunnel::encode(tunnel::RenewAnswer{
        .id = request->id, .problem = what, .certificate = {}, .ca = {}, .generation = {}}));
  };
  if (!signer_) { return refuse("no signer configured at this Console"); }
  if (!renewals_.pass(mono_now())) { return refuse("too many requests: ask again later"); }
  const WallTime now = wall_now();
  auto made = signer_->sign(row_.id, request->csr, now);
  if (!made) { return refuse(made.error().what); }
  const IssuedRow row{.host = row_.id,
                      .serial = made->certificate.serial,
                      .issuer = made->certificate.issuer,
                      .not_before = made->certificate.not_before,
                      .not_after = made->certificate.not_after,
                      .issued = now};
  const tunnel::RenewAnswer answer{.id = request->id,
                                   .problem = {},
                                   .certificate = made->certificate_pem,
                                   .ca = signer_->bundle_pem(),
                                   .generation = signer_->generation()};
  // On record before it is out of the house.
  db_.run([row](ConsoleDb& db) { return db.add_issued(row); },
          [this, row, answer](const Result<void>& stored) {
            if (!stored) {
              ++counters_.db_failures;
              spdlog::error("identity.not_signed host={} reason=\"{}\"", row.host,
                            stored.error().what);
              say(tunnel::encode(
                  tunnel::RenewAnswer{.id = answer.id,
                                      .problem = "the Console could not record it: try again later",
                                      .certificate = {},
                                      .ca = {},
                                      .generation = {}}));
              return pump();
            }
            ++counters_.identities_signed;
            spdlog::info("identity.signed host={} serial={} not_after={} issuer=\"{}\"", row.host,
                         row.serial, tunnel::to_iso8601(row.not_after), row.issuer);
            say(tunnel::encode(answer));
            pump();
          });
}

/// The newest one that its connections showed: some may stand, or have begun, since before a
/// renewal. A young CA gives all of them its own beginning: then the end tells.
json::value Host::shown_certificate() const {
  const tunnel::CertificateInfo* newest = nullptr;
  const auto term = [](const tunnel::CertificateInfo& info) {
    return std::pair(info.not_before, info.not_after);
  };
  for (const auto& [id, connection] : connections_) {
    if (connection->closing) { continue; }
    const tunnel::CertificateInfo& shown = connection->peer().certificate;
    if (newest == nullptr || term(shown) >= term(*newest)) { newest = &shown; }
  }
  if (newest == nullptr) { return nullptr; }
  return json::object{{"serial", newest->serial},
                      {"issuer", newest->issuer},
                      {"not_before", tunnel::to_iso8601(newest->not_before)},
                      {"not_after", tunnel::to_iso8601(newest->not_after)}};
}

}  // namespace edge::console
