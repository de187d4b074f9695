#include "tunnel/io/dialer.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>

#include <cstdlib>
#include <thread>

#include "fixture.hpp"
#include "tunnel/io/tcp_race.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;

/// A listener whose backlog is full: further SYNs get no answer, as behind a silent firewall.
class BlackHole {
 public:
  explicit BlackHole(asio::io_context& io, const char* address = "127.0.0.1",
                     std::uint16_t port = 0)
      : acceptor_(io) {
    const tcp::endpoint at(asio::ip::make_address(address), port);
    acceptor_.open(at.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    acceptor_.bind(at);
    acceptor_.listen(0);
    for (int i = 0; i < 3; ++i) {
      fillers_.emplace_back(io, at.protocol());
      fillers_.back().native_non_blocking(true);
      const auto to = acceptor_.local_endpoint();
      ::connect(fillers_.back().native_handle(), to.data(), static_cast<socklen_t>(to.size()));
    }
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  tcp::acceptor acceptor_;
  std::vector<tcp::socket> fillers_;
};

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

/// Goal: the dial names the first broken step, keeps to its path, and falls back where it may.
class DialerTest : public TunnelIoTest {
 protected:
  DialFailure failure(DialRequest request) {
    auto result = dial_now(host_context(), std::move(request));
    if (result) {
      ADD_FAILURE() << "the dial succeeded";
      return {};
    }
    return result.error();
  }
  std::uint16_t closed_port() {
    return tcp::acceptor(io, {asio::ip::address_v4::loopback(), 0}).local_endpoint().port();
  }
};

TEST_F(DialerTest, SocketIsTiedToThePathAndTuned) {
  listen(console_context());
  DialRequest request = request_to(port);
  request.binding = {.device = "lo", .source4 = IpAddress::v4(127, 0, 0, 9)};
  auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_EQ(to_string(result->address), "127.0.0.1");
  EXPECT_EQ(to_string(result->stream->local_address()), "127.0.0.9");
  EXPECT_TRUE(result->dns_degraded.empty());
  const int fd = result->stream->native_handle();
  char device[16] = {};
  socklen_t size = sizeof device;
  ASSERT_EQ(::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size), 0);
  EXPECT_STREQ(device, "lo");
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 10'000);
  EXPECT_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 10);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16 * 1024);
  EXPECT_EQ(option(fd, IPPROTO_IP, IP_TOS), 0xc0);
  EXPECT_EQ(::fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  ASSERT_TRUE(run_until([&] { return !accepted.empty(); }));
  EXPECT_EQ(to_string(console().stream->peer().address), "127.0.0.9");
}

TEST_F(DialerTest, RefusedNamesAddressAndPort) {
  const std::uint16_t closed = closed_port();
  const DialFailure why = failure(request_to(closed));
  EXPECT_EQ(why.error.cause, PathFailure::tcp_refused);
  EXPECT_EQ(classify(why.error.cause), "tcp");
  EXPECT_EQ(why.error.text, "TCP to 127.0.0.1:" + std::to_string(closed) + ": Connection refused");
}

TEST_F(DialerTest, NoAnswerEndsWithTheConnectTimer) {
  const BlackHole hole(io);
  DialRequest request = request_to(hole.port());
  request.limits.connect = 120ms;
  const DialFailure why = failure(request);
  EXPECT_EQ(why.error.cause, PathFailure::tcp_timeout) << why.error.text;
  EXPECT_NE(why.error.text.find("no answer within 120 ms"), std::string::npos);
}

TEST_F(DialerTest, MissingDeviceIsTheCarriersStep) {
  DialRequest request = request_to(1);
  request.binding.device = "no-such-dev";
  const DialFailure why = failure(request);
  EXPECT_EQ(why.error.cause, PathFailure::carrier) << why.error.text;
  EXPECT_NE(why.error.text.find("no-such-dev"), std::string::npos);
}

TEST_F(DialerTest, SourceAddressThatIsGoneIsTheLeasesStep) {
  DialRequest request = request_to(1);
  request.binding.source4 = IpAddress::v4(192, 0, 2, 77);
  const DialFailure why = failure(request);
  EXPECT_EQ(why.error.cause, PathFailure::lease) << why.error.text;
  EXPECT_NE(why.error.text.find("192.0.2.77"), std::string::npos);
}

TEST_F(DialerTest, AddressOfAFamilyThePathLacksIsNotTried) {
  DialRequest request = request_to(443);
  request.endpoint.host = "2001:db8::1";
  request.binding = {.device = "lo", .source4 = loopback};
  const DialFailure why = failure(request);
  EXPECT_EQ(why.error.cause, PathFailure::lease);
  EXPECT_NE(why.error.text.find("family"), std::string::npos);
}

TEST_F(DialerTest, DnsFailureFallsBackToLastGoodAndSaysSo) {
  listen(console_context());
  DialRequest request = request_to(port);
  request.endpoint.host = "console.test";
  request.dns_servers = {{loopback, closed_port()}};
  EXPECT_EQ(failure(request).error.cause, PathFailure::dns);

  request.last_good = {loopback};
  const auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_NE(result->dns_degraded.find("nothing listens"), std::string::npos)
      << result->dns_degraded;
  EXPECT_TRUE(result->resolved.empty());
}

TEST_F(DialerTest, WhenWhatDnsNamesRefusesLastGoodGetsItsTurn) {
  listen(console_context());
  DialRequest request = request_to(port);
  request.endpoint.host = "127.0.0.2";  // Nobody listens there.
  EXPECT_EQ(failure(request).error.cause, PathFailure::tcp_refused);

  request.last_good = {IpAddress::v4(127, 0, 0, 2), loopback};
  const auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_EQ(to_string(result->address), "127.0.0.1");
  EXPECT_NE(result->dns_degraded.find("127.0.0.2"), std::string::npos) << result->dns_degraded;
  EXPECT_TRUE(result->resolved.empty());
}

TEST_F(DialerTest, AnImpostorThatDnsNamesIsNotTheEndAndIsNamedIfNobodyElseAnswers) {
  listen(console_context());
  TestCa other{"Another CA"};
  auto impostor = Listener::open(
      io.get_executor(), context(TlsRole::server, other.console("DNS:console.test")),
      {.address = IpAddress::v4(127, 0, 0, 2), .port = port, .limits = {}, .stream = {}},
      {.on_stream = [](std::unique_ptr<TlsStream>) {}, .admit = {}, .on_refused = {}});
  ASSERT_TRUE(impostor) << impostor.error().what;
  DialRequest request = request_to(port);
  request.endpoint.host = "127.0.0.2";
  request.last_good = {loopback};
  const auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_EQ(to_string(result->address), "127.0.0.1");

  listener.reset();
  const DialFailure why = failure(request);
  EXPECT_EQ(why.error.cause, PathFailure::tls_identity) << why.error.text;
  EXPECT_EQ(why.address, IpAddress::v4(127, 0, 0, 2));
}

TEST_F(DialerTest, SilentDnsDelaysByItsShareOnlyWhenAnAddressIsRemembered) {
  listen(console_context());
  const asio::ip::udp::socket silent(io, {asio::ip::address_v4::loopback(), 0});
  DialRequest request = request_to(port);
  request.endpoint.host = "console.test";
  request.dns_servers = {{loopback, silent.local_endpoint().port()}};
  request.last_good = {loopback};
  request.limits.dns_with_last_good = 80ms;
  const auto began = std::chrono::steady_clock::now();
  const auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2500ms) << "DNS alone would take 3 s";
  EXPECT_NE(result->dns_degraded.find("no DNS answer within 80 ms"), std::string::npos);
}

TEST_F(DialerTest, AttemptsRotateTheAddresses) {
  listen(console_context());
  DialRequest request = request_to(port);
  request.endpoint.host = "console.test";
  request.last_good = {IpAddress::v4(127, 0, 0, 2), loopback};  // Nobody listens on the first.
  request.attempt = 1;
  const auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_EQ(to_string(result->address), "127.0.0.1");
}

TEST_F(DialerTest, CancelInEveryPhaseClosesAndCallsNothing) {
  const BlackHole hole(io);
  const asio::ip::udp::socket silent_dns(io, {asio::ip::address_v4::loopback(), 0});
  DialRequest resolving = request_to(1);
  resolving.endpoint.host = "console.test";
  resolving.dns_servers = {{loopback, silent_dns.local_endpoint().port()}};
  bool called = false;
  for (const DialRequest& request : {resolving, request_to(hole.port())}) {
    auto running = std::make_unique<Dial>(io.get_executor(), host_context(), request,
                                          [&](DialResult) { called = true; });
    io.restart();
    for (int i = 0; i < 4; ++i) { io.poll(); }
    running.reset();
    io.restart();
    EXPECT_LT(io.poll(), 100U);  // What was pending ends at once.
  }
  EXPECT_FALSE(called);
}

TEST_F(DialerTest, WorksAsACoroutine) {
  listen(console_context());
  std::vector<std::string> log;
  const auto note = [&](const std::exception_ptr& thrown, const DialResult& result) {
    EXPECT_FALSE(thrown);
    log.emplace_back(result ? "connected" : to_string(result.error().error.cause));
  };
  asio::co_spawn(io, dial(host_context(), request_to(port)), note);
  ASSERT_TRUE(run_until([&] { return log.size() == 1; }));
  asio::co_spawn(io, dial(host_context(), request_to(closed_port())), note);
  ASSERT_TRUE(run_until([&] { return log.size() == 2; }));
  EXPECT_EQ(log, (std::vector<std::string>{"connected", "tcp_refused"}));
}

// ---- the race of several addresses ----

class TcpRaceTest : public DialerTest {
 protected:
  Duration per_attempt = 400ms;
  std::expected<TcpWinner, TcpLoss> race(std::vector<IpAddress> addresses, std::uint16_t to) {
    std::optional<std::expected<TcpWinner, TcpLoss>> out;
    const TcpRace running(io.get_executor(),
                          {.addresses = std::move(addresses),
                           .port = to,
                           .binding = {},
                           .tuning = {},
                           .gateway = {},
                           .per_attempt = per_attempt,
                           .stagger = 40ms},
                          [&](std::expected<TcpWinner, TcpLoss> r) { out = std::move(r); });
    EXPECT_TRUE(run_until([&] { return out.has_value(); }));
    return std::move(*out);
  }
};

TEST_F(TcpRaceTest, SilentFirstAddressCostsOneStagger) {
  listen(console_context());
  const BlackHole hole(io, "127.0.0.3", port);
  per_attempt = 5s;
  const auto began = std::chrono::steady_clock::now();
  const auto result = race({IpAddress::v4(127, 0, 0, 3), loopback}, port);
  ASSERT_TRUE(result) << result.error().error.text;
  EXPECT_EQ(to_string(result->address), "127.0.0.1");
  EXPECT_LT(std::chrono::steady_clock::now() - began, 3s);
}

TEST_F(TcpRaceTest, RefusedFirstAddressCostsNothing) {
  listen(console_context());
  const auto result = race({IpAddress::v4(127, 0, 0, 3), loopback}, port);
  ASSERT_TRUE(result);
  EXPECT_EQ(to_string(result->address), "127.0.0.1");
}

TEST_F(TcpRaceTest, WhenAllFailTheMostTellingOneIsReported) {
  const BlackHole hole(io, "127.0.0.3");
  const auto result = race({IpAddress::v4(127, 0, 0, 3), loopback}, hole.port());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().error.cause, PathFailure::tcp_refused);
  EXPECT_EQ(to_string(result.error().address), "127.0.0.1");
}

// ---- a network of its own: routes and neighbours ----

/// Goal: a missing route, a silent gateway and a silent neighbour are told apart.
/// Method: a thread in a fresh network namespace, where nothing leads out (needs root, as the lab).
class OwnNetworkTest : public DialerTest {
 protected:
  void in_own_network(const std::string& set_up, const std::function<void()>& body) {
    std::thread([&] {
      ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root";
      ASSERT_EQ(set_up.empty() ? 0 : std::system(set_up.c_str()), 0) << set_up;
      body();
    }).join();
  }
  DialRequest over_veth() {
    DialRequest request = request_to(443);
    request.endpoint.host = "192.0.2.1";
    request.binding = {.device = "up0", .source4 = IpAddress::v4(10, 9, 9, 2)};
    request.gateway = IpAddress::v4(10, 9, 9, 1);
    request.limits.connect = 150ms;
    return request;
  }
  static constexpr const char* veth =
      "ip link add up0 type veth peer name far0 && ip link set up0 up && ip link set far0 up && "
      "ip address add 10.9.9.2/24 dev up0";
};

TEST_F(OwnNetworkTest, MissingRouteIsTheGatewaysStep) {
  in_own_network("", [&] {
    DialRequest request = request_to(443);
    request.endpoint.host = "192.0.2.1";
    const DialFailure why = failure(request);
    EXPECT_EQ(why.error.cause, PathFailure::gateway);
    EXPECT_EQ(why.error.text, "TCP to 192.0.2.1:443: no route on this port");
  });
}

TEST_F(OwnNetworkTest, SilentGatewayIsTheGatewaysStep) {
  in_own_network(std::string(veth) + " && ip route add default via 10.9.9.1", [&] {
    const DialFailure why = failure(over_veth());
    EXPECT_EQ(why.error.cause, PathFailure::gateway);
    EXPECT_NE(why.error.text.find("the gateway 10.9.9.1 does not answer ARP"), std::string::npos)
        << why.error.text;
    EXPECT_NE(why.error.text.find("over up0 from 10.9.9.2"), std::string::npos) << why.error.text;
  });
}

TEST_F(OwnNetworkTest, ConsoleOnTheLinkThatIsSilentIsUnreachable) {
  in_own_network(veth, [&] {
    DialRequest request = over_veth();
    request.endpoint.host = "10.9.9.77";
    const DialFailure why = failure(request);
    EXPECT_EQ(why.error.cause, PathFailure::tcp_unreachable) << why.error.text;
    EXPECT_NE(why.error.text.find("does not answer ARP"), std::string::npos) << why.error.text;
  });
}

TEST_F(OwnNetworkTest, SilentGatewayThatAnsweredBeforeIsNotBlamed) {
  in_own_network(std::string(veth) +
                     " && ip route add default via 10.9.9.1 && ip neighbour add 10.9.9.1 lladdr "
                     "02:00:00:00:00:01 nud reachable dev up0",
                 [&] {
                   const DialFailure why = failure(over_veth());
                   EXPECT_EQ(why.error.cause, PathFailure::tcp_timeout) << why.error.text;
                 });
}

}  // namespace
}  // namespace edge::tunnel::testing_support
