// Certificates of hosts renewed at the Console, and hosts of other versions.
#include <gmock/gmock.h>

#include "console_fixture.hpp"
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
