// Certificates of hosts renewed at the Console, and hosts of other versions.
#include <gmock/gmock.h>

#include "console_fixture.hpp"
#include "store/io/sqlite.hpp"
#include "tunnel/core/identity_messages.hpp"
#include "tunnel/io/identity.hpp"

namespace edge::console {
namespace {

using testing::HasSubstr;

const std::string kHost = "/api/v1/hosts/hv-01";

class RenewalAtConsoleTest : public ConsoleTest {
 protected:
  HostOptions signing() {
    HostOptions options;
    auto signer =
        tunnel::IdentitySigner::create(ca.pem(), ca.key_pem(), ca.pem(), 24h * 36500, "ca");
    EXPECT_TRUE(signer) << signer.error().what;
    options.signer = std::move(*signer);
    options.renewal_spread = 7s;
    return options;
  }
  /// Its answer.
  json::object renew(FakeHost& host, const std::string& csr, const std::string& id = "r-1") {
    const std::size_t before = host.identities.size();
    host.say(tunnel::Channel::commands, {{"type", "renew"}, {"id", id}, {"csr", csr}});
    EXPECT_TRUE(run_until([&] { return host.identities.size() > before; }));
    return host.identities.back();
  }
  /// Of what a host says came of a renewal.
  static void tell(FakeHost& host, std::int64_t n, const std::string& kind,
                   const json::object& data) {
    host.say(tunnel::Channel::events, {{"type", "event"},
                                       {"n", n},
                                       {"time", "2026-01-02T03:04:05.678Z"},
                                       {"kind", kind},
                                       {"data", data}});
  }
  bool told(FakeHost& host, std::int64_t n) {
    return run_until([&] { return host.event_acked == n; });
  }
  json::object order() { return get(kHost).at("renewal").as_object(); }
};

TEST_F(RenewalAtConsoleTest, AHostGetsACertificateForItsOwnNameAndItIsOnRecord) {
  start(0, signing());
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  ASSERT_TRUE(run_until([&] { return host.offers.size() == 1; }));
  EXPECT_EQ(host.offers[0].at("spread_s"), 7);
  const auto request = tunnel::make_identity_request("hv-99").value();  // Its own wish: no matter.
  const auto answer = renew(host, request.csr_pem);
  ASSERT_FALSE(answer.contains("problem")) << json::serialize(answer);
  EXPECT_EQ(answer.at("id"), "r-1");
  EXPECT_EQ(answer.at("generation"), host.offers[0].at("generation"));
  const tunnel::TlsMaterial material{
      .ca_pem = std::string(answer.at("ca").as_string()),
      .certificate_pem = std::string(answer.at("certificate").as_string()),
      .key_pem = request.key_pem,
      .names = {}};
  const auto judged = tunnel::judge_identity(material, "hv-01");
  ASSERT_TRUE(judged) << judged.error().what;
  const auto listed = get(kHost + "/certificates").at("certificates").as_array();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].at("serial").as_string(), judged->certificate.serial);
  EXPECT_THAT(call("GET", "/metrics").body, HasSubstr("identities_signed_total 1\n"));

  // Still that of the connection that stands.
  EXPECT_NE(get(kHost).at("certificate").at("serial").as_string(), judged->certificate.serial);
  const std::uint16_t port = console->port();
  stop();
  start(port, signing());
  EXPECT_EQ(get(kHost + "/certificates").at("certificates").as_array().size(), 1U);
}

/// A dial that began with the old one may come to its end last. A CA that is younger than what a
/// certificate is backdated by gives all of them one beginning.
TEST_F(RenewalAtConsoleTest, OfTwoCertificatesThatBeginTogetherTheOneThatEndsLaterIsShown) {
  start(0, signing());
  FakeHost host(io, ca, "hv-01");
  host.show(ca, ca.issue({.common_name = "hv-01",
                          .alt_names = "URI:urn:gallium:host:hv-01",
                          .extended_usage = "clientAuth",
                          .not_after = pki_now + std::chrono::hours(24 * 90)}));
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  const json::value newer = get(kHost).at("certificate");
  host.show(ca, ca.host("hv-01"));
  host.connect(console->port(), "eth1");
  ASSERT_TRUE(run_until([&] { return get(kHost).at("paths").as_array().size() == 2; }));
  EXPECT_EQ(get(kHost).at("certificate"), newer);
}

TEST_F(RenewalAtConsoleTest, BadRequestsAreRefusedWithTheReasonAndFloodsAreToo) {
  start(0, signing());
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  EXPECT_THAT(std::string(renew(host, "nonsense").at("problem").as_string()),
              HasSubstr("no readable PEM certificate request"));
  const auto request = tunnel::make_identity_request("hv-01").value();
  for (std::uint32_t i = 1; i < Host::renewals_burst; ++i) {
    EXPECT_FALSE(renew(host, request.csr_pem).contains("problem"));
  }
  EXPECT_THAT(std::string(renew(host, request.csr_pem).at("problem").as_string()),
              HasSubstr("too many"));
  // What is no request at all has no answer, and harms nobody.
  host.say(tunnel::Channel::commands, {{"type", "renew"}});
  host.say(tunnel::Channel::commands, {{"type", "renew"}, {"id", "x"}, {"csr", json::array{}}});
  host.event(1);
  ASSERT_TRUE(run_until([&] { return host.event_acked == 1; }));
  EXPECT_EQ(host.identities.size(), Host::renewals_burst + 1);
}

TEST_F(RenewalAtConsoleTest, AnOperatorsOrderReachesTheHost) {
  start(0, signing());
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  EXPECT_EQ(call("POST", kHost + "/renew").status, 202U);
  ASSERT_TRUE(run_until([&] { return host.offers.size() == 2; }));
  EXPECT_TRUE(host.offers[1].at("now").as_bool());
  host.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online(); }));
  EXPECT_EQ(call("POST", kHost + "/renew").status, 409U);
}

TEST_F(RenewalAtConsoleTest, WhatCameOfAnOrderIsShownAlsoAfterARestart) {
  start(0, signing());
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  host.connect(port, "eth0");
  ASSERT_TRUE(joined(host));
  EXPECT_FALSE(get(kHost).contains("renewal"));
  const auto ordered = call("POST", kHost + "/renew");
  EXPECT_EQ(ordered.status, 202U);
  EXPECT_EQ(json::parse(ordered.body).at("renewal").at("state"), "sent");
  EXPECT_TRUE(order().at("ended").is_null());
  tell(host, 1, "identity.not_renewed", {{"step", "proving"}, {"reason", "no standby path"}});
  ASSERT_TRUE(told(host, 1));
  EXPECT_EQ(order().at("state"), "refused");
  EXPECT_EQ(order().at("reason"), "proving: no standby path");
  EXPECT_FALSE(order().at("ended").is_null());
  stop();
  start(port, signing());
  EXPECT_EQ(order().at("state"), "refused");
  EXPECT_EQ(order().at("reason"), "proving: no standby path");
  ASSERT_TRUE(run_until([&] { return host.closed > 0; }));
  host.connect(port, "eth0");
  ASSERT_TRUE(run_until([&] { return online() && host.sessions_started > 1; }));
  tell(host, 2, "identity.renewed", {{"serial", "ab12"}});  // By its own back-off.
  ASSERT_TRUE(told(host, 2));
  EXPECT_EQ(order().at("state"), "done");
  EXPECT_EQ(order().at("serial"), "ab12");
  EXPECT_FALSE(order().contains("reason"));
  tell(host, 3, "identity.not_renewed", {{"step", "asking"}, {"reason", "x"}});
  ASSERT_TRUE(told(host, 3));
  EXPECT_EQ(order().at("state"), "done") << "what comes later is of no order";
}

TEST_F(RenewalAtConsoleTest, AnOrderIsSaidInEachSessionUntilTheHostSaysWhatCameOfIt) {
  start(0, signing());
  const std::uint16_t port = console->port();
  FakeHost host(io, ca, "hv-01");
  host.connect(port, "eth0");
  ASSERT_TRUE(joined(host));
  tell(host, 1, "identity.renewed", {{"serial", "01"}});
  ASSERT_TRUE(told(host, 1));
  ASSERT_EQ(call("POST", kHost + "/renew").status, 202U);
  stop();
  start(port, signing());
  FakeHost again(io, ca, "hv-01", "install-1", 4721);
  again.connect(port, "eth0");
  ASSERT_TRUE(joined(again));
  ASSERT_TRUE(run_until([&] { return again.offers.size() == 1; }));
  EXPECT_TRUE(again.offers[0].contains("now"));
  tell(again, 1, "identity.renewed", {{"serial", "01"}});  // It did not hear the acknowledgement.
  ASSERT_TRUE(told(again, 1));
  EXPECT_EQ(order().at("state"), "sent") << "that one is older than the order";
  tell(again, 2, "identity.renewed", {{"serial", "02"}});
  ASSERT_TRUE(told(again, 2));
  EXPECT_EQ(order().at("serial"), "02");
  again.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online(); }));
  FakeHost third(io, ca, "hv-01", "install-1", 4722);
  third.connect(port, "eth0");
  ASSERT_TRUE(joined(third));
  ASSERT_TRUE(run_until([&] { return third.offers.size() == 1; }));
  EXPECT_FALSE(third.offers[0].contains("now"));
}

/// Why: one that dies of its renewal would do nothing else for an hour.
TEST_F(RenewalAtConsoleTest, AnOrderThatAHostHeardSeveralTimesIsNotSaidAgain) {
  start(0, signing());
  const auto request = tunnel::make_identity_request("hv-01").value();
  for (std::uint32_t life = 0; life <= Host::order_asked_max; ++life) {
    FakeHost host(io, ca, "hv-01", "install-1", 4720 + life);
    host.connect(console->port(), "eth0");
    ASSERT_TRUE(joined(host));
    ASSERT_TRUE(run_until([&] { return !host.offers.empty(); }));
    EXPECT_EQ(host.offers[0].contains("now"), life > 0 && life < Host::order_asked_max) << life;
    if (life == 0) { ASSERT_EQ(call("POST", kHost + "/renew").status, 202U); }
    EXPECT_FALSE(renew(host, request.csr_pem).contains("problem"));
    host.pull("eth0");
    ASSERT_TRUE(run_until([&] { return !online(); }));
  }
  EXPECT_EQ(order().at("state"), "sent");
}

TEST_F(RenewalAtConsoleTest, WhatCameOfAnOrderIsHeardFromAHostWhoseDiskWasPutBack) {
  start(0, signing());
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  for (std::int64_t n = 1; n <= 9; ++n) { host.event(n); }
  ASSERT_TRUE(told(host, 9));
  host.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online(); }));
  FakeHost older(io, ca, "hv-01", "install-1", 4721);
  older.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(older));
  ASSERT_EQ(call("POST", kHost + "/renew").status, 202U);
  tell(older, 4, "identity.renewed", {{"serial", "ab12"}});
  ASSERT_TRUE(told(older, 4));
  EXPECT_EQ(order().at("state"), "done");
  EXPECT_EQ(order().at("serial"), "ab12");
}

TEST_F(RenewalAtConsoleTest, AnOrderThatTheDiskDoesNotTakeIsNotSaid) {
  start(0, signing());
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  auto beside = store::Database::open(folder.file("console.db"));
  ASSERT_TRUE(beside);
  ASSERT_TRUE(
      beside->execute("CREATE TRIGGER broken BEFORE UPDATE OF renewal ON hosts BEGIN"
                      " SELECT RAISE(ABORT,'broken'); END"));
  EXPECT_EQ(call("POST", kHost + "/renew").status, 500U);
  host.event(1);
  ASSERT_TRUE(told(host, 1));
  EXPECT_EQ(host.offers.size(), 1U) << "that of its session";
  EXPECT_FALSE(get(kHost).contains("renewal"));
}

TEST_F(RenewalAtConsoleTest, AConsoleWithoutASignerOffersNothingAndSaysSo) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  const auto request = tunnel::make_identity_request("hv-01").value();
  EXPECT_THAT(std::string(renew(host, request.csr_pem).at("problem").as_string()),
              HasSubstr("no signer configured"));
  EXPECT_TRUE(host.offers.empty());
  const auto refused = call("POST", kHost + "/renew");
  EXPECT_EQ(refused.status, 409U);
  EXPECT_THAT(refused.body, HasSubstr("no signer configured"));
}

TEST_F(RenewalAtConsoleTest, ARevokedHostGetsNoCertificate) {
  start(0, signing());
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  ASSERT_EQ(call("POST", kHost + "/revoke").status, 200U);
  EXPECT_EQ(call("POST", kHost + "/renew").status, 409U);
  ASSERT_TRUE(run_until([&] { return host.closed == 1; }));
  EXPECT_TRUE(get(kHost + "/certificates").at("certificates").as_array().empty());
}

}  // namespace
}  // namespace edge::console
