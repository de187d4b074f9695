// A dial through an HTTP proxy, and in front of a captive portal.
#include <gmock/gmock.h>

#include <boost/asio/write.hpp>

#include <array>

#include "fixture.hpp"
#include "tunnel/io/http_ask.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;
using testing::HasSubstr;
using testing::Not;

/// Answers each connection with the same text after its request's empty line; relays to a port
/// where told.
class ScriptedHttp {
 public:
  ScriptedHttp(asio::io_context& io, std::string answer, std::uint16_t relay_to = 0)
      : io_(io),
        acceptor_(io, {asio::ip::address_v4::loopback(), 0}),
        answer_(std::move(answer)),
        relay_to_(relay_to) {
    accept();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  const std::vector<std::string>& requests() const { return requests_; }
  /// All connections break, and nobody listens any more.
  void die() {
    acceptor_.close();
    for (const auto& link : links_) {
      link->guest.close();
      link->console.close();
    }
  }

 private:
  struct Link {
    explicit Link(asio::io_context& io) : guest(io), console(io) {}
    tcp::socket guest;
    tcp::socket console;
    std::string heard;
    std::array<std::array<char, 4096>, 2> buffers{};
  };

  using LinkPtr = std::shared_ptr<Link>;  // What is aborted may outlive us.

  void accept() {
    auto link = std::make_shared<Link>(io_);
    links_.push_back(link);
    acceptor_.async_accept(link->guest, [this, link](const boost::system::error_code& ec) {
      if (ec) { return; }
      hear(link);
      accept();
    });
  }
  void hear(const LinkPtr& link) {
    link->guest.async_read_some(
        asio::buffer(link->buffers[0]),
        [this, link](const boost::system::error_code& ec, std::size_t size) {
          if (ec) { return; }
          link->heard.append(link->buffers[0].data(), size);
          if (!link->heard.ends_with("\r\n\r\n")) { return hear(link); }
          requests_.push_back(link->heard);
          if (relay_to_ != 0) {
            link->console.connect({asio::ip::address_v4::loopback(), relay_to_});
          }
          boost::system::error_code gone;
          asio::write(link->guest, asio::buffer(answer_), gone);
          if (relay_to_ == 0) { return; }
          relay(link, link->guest, link->console, 0);
          relay(link, link->console, link->guest, 1);
        });
  }
  static void relay(const LinkPtr& link, tcp::socket& from, tcp::socket& to, std::size_t way) {
    from.async_read_some(
        asio::buffer(link->buffers[way]),
        [link, &from, &to, way](const boost::system::error_code& ec, std::size_t size) {
          boost::system::error_code gone;
          if (!ec) { asio::write(to, asio::buffer(link->buffers[way], size), gone); }
          if (!ec && !gone) { return relay(link, from, to, way); }
          to.close(gone);
        });
  }

  asio::io_context& io_;
  tcp::acceptor acceptor_;
  std::string answer_;
  std::uint16_t relay_to_;
  std::vector<LinkPtr> links_;
  std::vector<std::string> requests_;
};

constexpr const char* established = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";

class ProxyTest : public TunnelIoTest {
 protected:
  DialRequest through(std::uint16_t proxy_port) {
    DialRequest request = request_to(8443);
    request.endpoint.host = "console.test";  // Only the proxy knows where that is.
    request.proxy = {.at = {"127.0.0.1", proxy_port},
                     .credentials = {.user = "user", .password = "geheim"}};
    return request;
  }
  /// How a dial fails behind a proxy that gives this answer.
  PathError refused_with(const std::string& answer, Duration limit = 5s) {
    const ScriptedHttp proxy(io, answer);
    DialRequest request = through(proxy.port());
    request.limits.proxy = limit;
    auto result = dial_now(host_context(), request);
    if (result) {
      ADD_FAILURE() << "the dial succeeded";
      return {};
    }
    EXPECT_THAT(result.error().error.text, Not(HasSubstr("geheim")));
    EXPECT_THAT(result.error().error.text,
                HasSubstr("the proxy 127.0.0.1:" + std::to_string(proxy.port())));
    return result.error().error;
  }
};

TEST_F(ProxyTest, TlsToTheConsoleRunsInsideTheTunnelOfTheProxy) {
  listen(console_context());
  ScriptedHttp proxy(io, established, port);
  DialRequest request = through(proxy.port());
  request.binding = {.device = "lo", .source4 = IpAddress::v4(127, 0, 0, 9)};
  request.last_good = {IpAddress::v4(127, 0, 0, 77)};  // The Console's: of no use here.
  auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_EQ(to_string(result->stream->local_address()), "127.0.0.9");
  ASSERT_EQ(proxy.requests().size(), 1U);
  EXPECT_THAT(proxy.requests()[0], HasSubstr("CONNECT console.test:8443 HTTP/1.1\r\n"));
  EXPECT_THAT(proxy.requests()[0], HasSubstr("Proxy-Authorization: Basic dXNlcjpnZWhlaW0=\r\n"));
  host.stream = std::move(result->stream);
  host.start();
  ASSERT_TRUE(run_until([&] { return !accepted.empty(); }));
  ASSERT_TRUE(host.send("hello"));
  ASSERT_TRUE(run_until([&] { return console().heard == "hello"; }));
  proxy.die();
  ASSERT_TRUE(run_until([&] { return host.closed.has_value(); }));
  EXPECT_EQ(host.closed->cause, PathFailure::closed) << host.closed->text;
}

TEST_F(ProxyTest, WhoeverAnswersInsideTheTunnelStillHasToBeTheConsole) {
  TestCa other{"Another CA"};
  listen(context(TlsRole::server, other.console("DNS:console.test")));
  ScriptedHttp proxy(io, established, port);
  const auto result = dial_now(host_context(), through(proxy.port()));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.cause, PathFailure::tls_identity);
  EXPECT_THAT(result.error().error.text,
              HasSubstr("console.test:8443 through the proxy 127.0.0.1"));
}

TEST_F(ProxyTest, EachRefusalIsTheProxysStepAndSaysWhy) {
  const PathError credentials =
      refused_with("HTTP/1.1 407 Nope\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n");
  EXPECT_EQ(credentials.cause, PathFailure::proxy_auth);
  EXPECT_EQ(classify(credentials.cause), "proxy");
  EXPECT_TRUE(is_lasting(credentials.cause));
  EXPECT_THAT(credentials.text, HasSubstr("refuses the credentials of user \"user\" (407 Nope)"));

  for (const auto& [answer, why] : std::vector<std::pair<std::string, std::string>>{
           {"HTTP/1.1 403 Filtered\r\n\r\n", "it forbids this connection (403 Filtered)"},
           {"HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot reach the Console (502 Bad Gateway)"},
           {"HTTP/1.1 302 x\r\nLocation: /\r\n\r\n", "it makes no tunnel (302 x)"},
           {"SSH-2.0-x\r\n", "not an HTTP/1.x answer"},
           {"HTTP/1.1 200 OK\r\nA: " + std::string(9000, 'x'), "longer than 8192 bytes"},
           {std::string(established) + "surprise", "8 bytes came behind its answer"}}) {
    const PathError error = refused_with(answer);
    EXPECT_EQ(error.cause, PathFailure::proxy) << error.text;
    EXPECT_EQ(classify(error.cause), "proxy");
    EXPECT_FALSE(is_lasting(error.cause));
    EXPECT_THAT(error.text, HasSubstr(why));
  }
}

TEST_F(ProxyTest, AProxyThatSaysNothingOrHalfOfItEndsWithItsTimer) {
  EXPECT_THAT(refused_with("", 1000ms).text,
              HasSubstr("accepts TCP but did not answer within 1000"));
  const PathError half = refused_with("HTTP/1.1 200 OK\r\n", 1000ms);
  EXPECT_EQ(half.cause, PathFailure::proxy);
  EXPECT_THAT(half.text, HasSubstr("its answer was not whole within 1000 ms"));
}

TEST_F(ProxyTest, AProxyThatIsNotThereIsTheProxysStep) {
  std::uint16_t closed = 0;
  {
    ScriptedHttp proxy(io, "");
    closed = proxy.port();
  }
  const auto result = dial_now(host_context(), through(closed));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.cause, PathFailure::proxy);
  EXPECT_THAT(result.error().error.text, HasSubstr("is out of reach: TCP to 127.0.0.1:"));
}

TEST_F(ProxyTest, AProxyThatHangsUpAndALostDialCallNothingTwice) {
  ScriptedHttp proxy(io, "");
  bool called = false;
  auto running = std::make_unique<Dial>(io.get_executor(), host_context(), through(proxy.port()),
                                        [&](DialResult) { called = true; });
  ASSERT_TRUE(run_until([&] { return !proxy.requests().empty(); }));
  running.reset();
  io.restart();
  io.poll();
  EXPECT_FALSE(called);

  std::optional<DialResult> result;
  ScriptedHttp other(io, "");
  running = std::make_unique<Dial>(io.get_executor(), host_context(), through(other.port()),
                                   [&](DialResult outcome) { result = std::move(outcome); });
  ASSERT_TRUE(run_until([&] { return !other.requests().empty(); }));
  other.die();
  ASSERT_TRUE(run_until([&] { return result.has_value(); }));
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().error.cause, PathFailure::proxy);
  EXPECT_THAT(result->error().error.text, HasSubstr("the connection"));
}

// ---- captive portals ----

class PortalTest : public TunnelIoTest {
 protected:
  PathError failure(const DialRequest& request) {
    auto result = dial_now(host_context(), request);
    if (result) {
      ADD_FAILURE() << "the dial succeeded";
      return {};
    }
    return result.error().error;
  }
  /// A server that talks at once, whatever it hears.
  std::uint16_t talks(std::string text) {
    talker.emplace(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    talker->async_accept(guest, [this, text](const boost::system::error_code& ec) {
      boost::system::error_code gone;
      if (!ec) { asio::write(guest, asio::buffer(text), gone); }
    });
    return talker->local_endpoint().port();
  }
  std::uint16_t closed_port() {
    return tcp::acceptor(io, {asio::ip::address_v4::loopback(), 0}).local_endpoint().port();
  }
  DialRequest checked(std::uint16_t to_port, const ScriptedHttp& check) {
    DialRequest request = request_to(to_port);
    request.portal_check = {.at = {"127.0.0.1", check.port()}, .path = "/generate_204"};
    return request;
  }
  std::optional<tcp::acceptor> talker;
  tcp::socket guest{io};
};

TEST_F(PortalTest, PlainHttpInAnswerToTlsIsAPortalAndSaysWhereItLeads) {
  const std::uint16_t to =
      talks("HTTP/1.1 302 Found\r\nLocation: http://login.example/?mac=02:00:00:00:00:01\r\n\r\n");
  const PathError error = failure(request_to(to));
  EXPECT_EQ(error.cause, PathFailure::portal);
  EXPECT_EQ(classify(error.cause), "portal");
  EXPECT_FALSE(is_lasting(error.cause));
  EXPECT_THAT(error.text, HasSubstr("(status 302, it sends everybody to http://login.example)"));
  EXPECT_THAT(error.text, HasSubstr("127.0.0.1:" + std::to_string(to)));
  EXPECT_THAT(error.text, Not(HasSubstr("mac=")));
}

TEST_F(PortalTest, A5xxIsTheServersSide_511IsAPortals) {
  for (const char* status : {"500 Internal Server Error", "502 Bad Gateway",
                             "503 Service Unavailable", "504 Gateway Timeout"}) {
    const auto to = talks(std::string("HTTP/1.1 ") + status + "\r\nContent-Length: 0\r\n\r\n");
    const PathError error = failure(request_to(to));
    EXPECT_EQ(error.cause, PathFailure::console) << status << ": " << error.text;
    EXPECT_EQ(classify(error.cause), "console");
    EXPECT_THAT(error.text, HasSubstr("with status " + std::string(status).substr(0, 3)));
    guest.close();
  }
  EXPECT_EQ(
      failure(request_to(talks("HTTP/1.1 511 Network Authentication Required\r\n\r\n"))).cause,
      PathFailure::portal);
}

TEST_F(PortalTest, A5xxOfAPortalIsToldByTheCheck) {
  const ScriptedHttp page(io, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>");
  const auto to = talks("HTTP/1.1 503 Service Unavailable\r\n\r\n");
  EXPECT_EQ(failure(checked(to, page)).cause, PathFailure::portal);
}

TEST_F(PortalTest, AHeadThatIsNotWholeIsStillPlainHttp) {
  const PathError error = failure(request_to(talks("HTTP/")));
  EXPECT_EQ(error.cause, PathFailure::portal) << error.text;
  guest.close();
  EXPECT_EQ(failure(request_to(talks("HTTP/1.1 200 \x01\x02\r\n\r\n"))).cause, PathFailure::portal);
}

TEST_F(PortalTest, WhenADialFailsTheCheckTellsThePortalFromTheRest) {
  const ScriptedHttp portal(
      io, "HTTP/1.1 302 Found\r\nLocation: https://login.example/x\r\nConnection: close\r\n\r\n");
  DialRequest request = checked(closed_port(), portal);
  request.binding = {.device = "lo", .source4 = IpAddress::v4(127, 0, 0, 9)};
  const PathError error = failure(request);
  EXPECT_EQ(error.cause, PathFailure::portal);
  EXPECT_THAT(error.text, HasSubstr("it sends everybody to https://login.example (302)"));
  EXPECT_THAT(error.text, HasSubstr("Connection refused"));
  ASSERT_EQ(portal.requests().size(), 1U);
  EXPECT_THAT(portal.requests()[0], HasSubstr("GET /generate_204 HTTP/1.1\r\nHost: 127.0.0.1:"));
}

TEST_F(PortalTest, WithoutASignTheFailureStaysWhatItWas) {
  for (const std::string answer : {"HTTP/1.1 204 No Content\r\n\r\n", "garbage\r\n",
                                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"}) {
    const ScriptedHttp check(io, answer);
    const PathError error = failure(checked(closed_port(), check));
    EXPECT_EQ(error.cause, PathFailure::tcp_refused) << error.text;
    EXPECT_EQ(check.requests().size(), 1U);
  }
  ScriptedHttp gone(io, "");
  const DialRequest request = checked(closed_port(), gone);
  gone.die();
  EXPECT_EQ(failure(request).cause, PathFailure::tcp_refused);
}

TEST_F(PortalTest, AnImpostorIsAPortalOnlyIfTheCheckSaysSo) {
  TestCa other{"Another CA"};
  listen(context(TlsRole::server, other.console("DNS:console.test")));
  const ScriptedHttp page(io, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>");
  EXPECT_EQ(failure(request_to(port)).cause, PathFailure::tls_identity);
  const PathError error = failure(checked(port, page));
  EXPECT_EQ(error.cause, PathFailure::portal) << error.text;
  EXPECT_THAT(error.text, HasSubstr("a page of its own"));
}

TEST_F(PortalTest, AGoodDialAsksNobody) {
  listen(console_context());
  const ScriptedHttp check(io, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n");
  const auto result = dial_now(host_context(), checked(port, check));
  EXPECT_TRUE(result) << result.error().error.text;
  EXPECT_TRUE(check.requests().empty());
}

}  // namespace
}  // namespace edge::tunnel::testing_support
