// Certificates and a clock that may be wrong: whose fault it is, and when it matters to nobody.
#include "handshake_fixture.hpp"

namespace edge::tunnel::testing_support {
namespace {

TEST_F(HandshakeTest, ExpiredConsoleCertificateShowsItsDatesAndOurClock) {
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "serverAuth",
                                            .not_before = pki_now - Days(20),
                                            .not_after = pki_now - Days(1)})));
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::tls_expired);
  EXPECT_EQ(classify(error.cause), "tls");
  EXPECT_NE(error.text.find("to 2027-01-14T08:00:00Z"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("clock says 2027-01-15T08:00:00Z"), std::string::npos) << error.text;
}

TEST_F(HandshakeTest, ExpiredWithAClockBeforeTheFloorIsTheClocksFault) {
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "serverAuth",
                                            .not_before = pki_now - Days(20),
                                            .not_after = pki_now - Days(1)})));
  TlsOptions late_floor = options();
  late_floor.clock_floor = pki_now + Days(1);
  EXPECT_EQ(dial_error(context(TlsRole::client, ca.host("hv-01"), late_floor)).cause,
            PathFailure::clock);
}

TEST_F(HandshakeTest, ClockOf1970IsTheClocksFaultAndShowsBothTimes) {
  listen(console_context());
  const PathError error = dial_error(
      context(TlsRole::client, ca.host("hv-01"), options(WallTime(std::chrono::seconds(12)))));
  EXPECT_EQ(error.cause, PathFailure::clock);
  EXPECT_EQ(classify(error.cause), "clock");
  EXPECT_FALSE(is_lasting(error.cause));
  EXPECT_NE(error.text.find("1970-01-01T00:00:12Z"), std::string::npos) << error.text;
  EXPECT_NE(error.text.find("valid 20"), std::string::npos) << error.text;
}

/// The host's clock says 1970, or what is given; what is known of the time is `bounds`.
class BoundedTimeTest : public HandshakeTest {
 protected:
  std::shared_ptr<const TlsContext> bounded_host(
      WallTime now = WallTime(std::chrono::seconds(12))) {
    TlsOptions with = options(now);
    with.clock_floor = bounds.from;
    with.bounds = [this] { return std::optional(bounds); };
    return context(TlsRole::client, ca.host("hv-01"), with);
  }
  PemPair console_of(WallTime from, WallTime to, const TestCa& by, std::string names) const {
    return by.issue({.common_name = "console.test",
                     .alt_names = std::move(names),
                     .extended_usage = "serverAuth",
                     .not_before = from,
                     .not_after = to});
  }
  void listen_with(WallTime from, WallTime to) {
    listen(context(TlsRole::server, console_of(from, to, ca, "DNS:console.test")));
  }
  TimeBounds bounds{pki_now - Days(2), pki_now + Days(10)};
};

TEST_F(BoundedTimeTest, ConnectsWhateverTheClockSaysAndTellsWhereTheTermsOverlap) {
  listen_with(pki_now - Days(1), pki_now + Days(5));
  for (const WallTime clock : {WallTime(std::chrono::seconds(12)), pki_now + Days(730)}) {
    const auto tls = bounded_host(clock);
    EXPECT_FALSE(tls->own_validity());
    const auto result = dial_now(tls, request_to(port));
    ASSERT_TRUE(result) << result.error().error.text;
    EXPECT_EQ(result->stream->peer().judged_within,
              (TimeBounds{pki_now - Days(1), pki_now + Days(5)}));
  }
}

TEST_F(BoundedTimeTest, ConnectionsJudgedByTheClockDoNotSayBounds) {
  connect_pair();
  EXPECT_FALSE(host.stream->peer().judged_within);
  EXPECT_FALSE(console().stream->peer().judged_within);
}

TEST_F(BoundedTimeTest, ACertificateThatSharesOneMomentIsEnough) {
  listen_with(pki_now - Days(9), bounds.from);
  EXPECT_TRUE(dial_now(bounded_host(), request_to(port)));
}

TEST_F(BoundedTimeTest, ACertificateThatEndedBeforeTheBoundsIsRefusedWithAllTimes) {
  listen_with(pki_now - Days(9), bounds.from - std::chrono::seconds(1));
  const PathError error = dial_error(bounded_host());
  EXPECT_EQ(error.cause, PathFailure::clock);
  for (const char* part : {"clock says 1970-01-01T00:00:12Z", "certificate of the Console",
                           "2027-01-13T08:00:00Z to 2027-01-25T08:00:00Z", "CN=console.test"}) {
    EXPECT_NE(error.text.find(part), std::string::npos) << part << ": " << error.text;
  }
}

TEST_F(BoundedTimeTest, AClockAheadMayAsWellBeOurOwnCertificateThatExpired) {
  listen_with(bounds.to + std::chrono::seconds(1), bounds.to + Days(730));
  const PathError error = dial_error(bounded_host(bounds.to + Days(30)));
  EXPECT_EQ(error.cause, PathFailure::tls_expired);
  for (const char* part : {"own.pem has expired, or this machine's clock", "2027-02-24T08:00:00Z",
                           "CN=hv-01", "CN=console.test"}) {
    EXPECT_NE(error.text.find(part), std::string::npos) << part << ": " << error.text;
  }
}

TEST_F(BoundedTimeTest, ACertificateThatBeginsAfterTheBoundsIsRefused) {
  listen_with(bounds.to + std::chrono::seconds(1), bounds.to + Days(1));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::clock);
}

TEST_F(BoundedTimeTest, ACaThatEndedBeforeTheBoundsIsRefused) {
  bounds = {pki_now + Days(4000), pki_now + Days(4001)};
  listen_with(pki_now, pki_now + Days(5000));
  EXPECT_EQ(bounded_host()->own_validity()->cause, PathFailure::clock);
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::clock);
}

TEST_F(BoundedTimeTest, AllElseIsAsStrictAsEver) {
  const WallTime from = pki_now - Days(1);
  const WallTime to = pki_now + Days(1);
  const TestCa other("Interceptor CA");
  listen(context(TlsRole::server, console_of(from, to, other, "DNS:console.test")));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::tls_identity);
  listen(context(TlsRole::server, console_of(from, to, ca, "DNS:other.test")));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::tls_identity);
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "clientAuth",
                                            .not_before = from,
                                            .not_after = to})));
  EXPECT_EQ(dial_error(bounded_host()).cause, PathFailure::tls_identity);
}

TEST_F(HandshakeTest, ConsoleCertificateNotYetValidIsTheClock) {
  listen(context(TlsRole::server, ca.issue({.common_name = "console.test",
                                            .alt_names = "DNS:console.test",
                                            .extended_usage = "serverAuth",
                                            .not_before = pki_now + Days(1),
                                            .not_after = pki_now + Days(2)})));
  const PathError error = dial_error(host_context());
  EXPECT_EQ(error.cause, PathFailure::clock);
  EXPECT_NE(error.text.find("valid 2027-01-16T08:00:00Z"), std::string::npos) << error.text;
}

}  // namespace
}  // namespace edge::tunnel::testing_support
