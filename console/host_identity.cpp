// Host: its certificate renewed. The names in it are those of the session, never of the request.
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "console/clock.hpp"
#include "console/host.hpp"
#include "tunnel/core/http_answer.hpp"
#include "tunnel/core/identity_messages.hpp"

namespace edge::console {

namespace json = boost::json;

namespace {
constexpr std::size_t kRenewalSaidMax = 300;
}  // namespace

std::string Host::signer_offer(bool now) const {
  return tunnel::encode(tunnel::SignerOffer{
      .generation = signer_->generation(), .spread = renewal_spread_, .now = now});
}

Result<HostRow> Host::row_with_order() const {
  if (!signer_) {
    return fail(Errc::unsupported, "no signer configured: [signer] in console.toml");
  }
  if (!online_) { return fail(Errc::transient, fmt::format("host {} is offline", row_.id)); }
  HostRow row = row_;
  row.renewal = RenewalOrder{
      .state = RenewalOrder::State::sent, .ordered = wall_now(), .ended = std::nullopt, .said = {}};
  return row;
}

void Host::order_renewal(const RenewalOrder& order) {
  row_.renewal = order;
  asked_since_order_ = 0;
  store_renewal();  // What came of the one before may have gone to the disk behind this one.
  say(signer_offer(true));
  pump();
  announce();
}

/// Said again: a session may have ended before the host heard it, or what it asked for may not have
/// come. Not for ever: one that renews and does not say so would do it in each session, and one
/// that dies of it would do nothing else.
bool Host::order_stands() const {
  if (!row_.renewal || row_.renewal->state != RenewalOrder::State::sent) { return false; }
  const auto age = wall_now() - row_.renewal->ordered;
  return age >= age.zero() && age < order_said_for && asked_since_order_ < order_asked_max;
}

/// Of each renewal a host has an event, who ever wanted it: after an order the next one tells. One
/// that failed is tried again by the host itself.
void Host::heard_of_renewal(const EventRow& event) {
  const bool renewed = event.kind == "identity.renewed";
  if (!renewed && event.kind != "identity.not_renewed") { return; }
  if (!row_.renewal || row_.renewal->state == RenewalOrder::State::done) { return; }
  boost::system::error_code ec;
  const json::value data = json::parse(event.data, ec);
  const auto text = [&](std::string_view key) {
    const json::object* said = ec ? nullptr : data.if_object();
    const json::value* found = said == nullptr ? nullptr : said->if_contains(key);
    const bool is_text = found != nullptr && found->is_string();
    return is_text ? std::string(found->get_string()) : std::string("?");
  };
  RenewalOrder& order = *row_.renewal;
  order.state = renewed ? RenewalOrder::State::done : RenewalOrder::State::refused;
  order.ended = wall_now();
  order.said = tunnel::printable_ascii(
      renewed ? text("serial") : fmt::format("{}: {}", text("step"), text("reason")),
      kRenewalSaidMax);
  lines_.say(spdlog::level::info, "identity.order host={} state={} said=\"{}\"", row_.id,
             to_string(order.state), order.said);
  store_renewal();
  announce();
}

/// One write at a time: the host decides how often there is something to write.
void Host::store_renewal() {
  renewal_dirty_ = true;
  if (renewal_storing_) { return; }
  renewal_storing_ = true;
  renewal_dirty_ = false;
  db_.run([row = row_](ConsoleDb& db) { return db.put_renewal(row); },
          [this](const Result<void>& stored) {
            renewal_storing_ = false;
            if (stored) {
              if (renewal_dirty_) { store_renewal(); }
              return;
            }
            ++counters_.db_failures;
            renewal_dirty_ = true;
            spdlog::error("identity.order_not_stored host={} reason=\"{}\": trying again in {} s",
                          row_.id, stored.error().what, retry_period.count());
            retry_later();
          });
}

json::value Host::renewal_json() const {
  if (!row_.renewal) { return nullptr; }
  const RenewalOrder& order = *row_.renewal;
  json::object out{{"state", to_string(order.state)},
                   {"ordered", to_iso8601(order.ordered)},
                   {"ended", nullptr}};
  if (order.ended) { out["ended"] = to_iso8601(*order.ended); }
  if (order.state == RenewalOrder::State::refused) { out["reason"] = order.said; }
  if (order.state == RenewalOrder::State::done) { out["serial"] = order.said; }
  return out;
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
  ++asked_since_order_;
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
