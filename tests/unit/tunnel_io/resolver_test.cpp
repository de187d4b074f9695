#include "tunnel/io/resolver.hpp"

#include <array>
#include <deque>

#include "fixture.hpp"

namespace edge::tunnel::testing_support {
namespace {

using asio::ip::tcp;
using asio::ip::udp;

/// A tiny DNS server on 127.0.0.1: `answer` turns each question into a datagram, or into none.
class TinyDns {
 public:
  struct Question {
    std::string wire;     ///< The whole datagram.
    std::string section;  ///< Its question section.
    std::uint16_t type = 0;
    udp::endpoint from;
  };
  using Answer = std::function<std::optional<std::string>(const Question&)>;

  TinyDns(asio::io_context& io, Answer answer)
      : socket_(io, {asio::ip::address_v4::loopback(), 0}), answer_(std::move(answer)) {
    receive();
  }
  DnsServer address() const { return {loopback, socket_.local_endpoint().port()}; }
  int questions = 0;
  asio::ip::address last_source;

  /// Header, the question again, and one address record of `type` per value.
  static std::string reply(const Question& q, int rcode, std::uint16_t type = 0,
                           const std::vector<std::string>& values = {}) {
    std::string out = q.wire.substr(0, 2);
    out += static_cast<char>(0x81);
    out += static_cast<char>(0x80 | rcode);
    out += std::string("\0\1\0", 3) + static_cast<char>(values.size()) + std::string(4, '\0');
    out += q.section;
    for (const std::string& value : values) {
      out += std::string("\xc0\x0c\0", 3) + static_cast<char>(type) +
             std::string("\0\1\0\0\0\x3c\0", 7);
      out += static_cast<char>(value.size());
      out += value;
    }
    return out;
  }

 private:
  void receive() {
    socket_.async_receive_from(
        asio::buffer(buffer_), from_,
        [this](const boost::system::error_code& ec, std::size_t size) {
          if (ec) { return; }
          ++questions;
          last_source = from_.address();
          Question q{.wire = std::string(buffer_.data(), size), .section = {}, .from = from_};
          const std::size_t end = q.wire.find('\0', 12) + 5;
          q.section = q.wire.substr(12, end - 12);
          q.type = static_cast<std::uint16_t>(static_cast<unsigned char>(q.wire[end - 3]));
          if (const auto text = answer_(q)) { socket_.send_to(asio::buffer(*text), from_); }
          receive();
        });
  }
  udp::socket socket_;
  Answer answer_;
  std::array<char, 1500> buffer_{};
  udp::endpoint from_;
};

constexpr std::uint16_t type_a = 1, type_aaaa = 28;
const std::string value_a("\xc6\x33\x64\x07", 4);  // 198.51.100.7
const std::string value_aaaa = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x07";

/// Goal: answers become addresses; every way a server can fail is told per server, in time.
class ResolverTest : public TunnelIoTest {
 protected:
  PathResult<Resolved> resolve(std::vector<DnsServer> servers, std::string name = "console.test",
                               PathBinding binding = {}) {
    std::optional<PathResult<Resolved>> out;
    const Resolve running(io.get_executor(),
                          {.host = std::move(name),
                           .servers = std::move(servers),
                           .binding = binding,
                           .limits = limits},
                          [&](PathResult<Resolved> result) { out = std::move(result); });
    EXPECT_FALSE(out) << "never from inside the constructor";
    EXPECT_TRUE(run_until([&] { return out.has_value(); }));
    return out.value_or(path_fail(PathFailure::local, "no result"));
  }
  ResolveLimits limits{
      .try_timeout = 60ms, .tries = 2, .server_stagger = 40ms, .family_delay = 50ms, .total = 2s};
  static TinyDns::Answer both() {
    return [](const TinyDns::Question& q) {
      return q.type == type_a ? TinyDns::reply(q, 0, type_a, {value_a})
                              : TinyDns::reply(q, 0, type_aaaa, {value_aaaa});
    };
  }
  static TinyDns::Answer only(int rcode) {
    return [rcode](const TinyDns::Question& q) { return TinyDns::reply(q, rcode); };
  }
  static TinyDns::Answer silent() {
    return [](const TinyDns::Question&) { return std::nullopt; };
  }
};

TEST_F(ResolverTest, BothFamiliesComeInTurnIpv6First) {
  TinyDns dns(io, both());
  const auto result = resolve({dns.address()});
  ASSERT_TRUE(result) << result.error().text;
  ASSERT_EQ(result->addresses.size(), 2U);
  EXPECT_EQ(to_string(result->addresses[0]), "2001:db8::7");
  EXPECT_EQ(to_string(result->addresses[1]), "198.51.100.7");
  EXPECT_EQ(result->servers[0].text, "ok");
}

TEST_F(ResolverTest, LiteralNeedsNoServer) {
  EXPECT_EQ(to_string(resolve({}, "192.0.2.1")->addresses.at(0)), "192.0.2.1");
  EXPECT_EQ(to_string(resolve({}, "2001:db8::1")->addresses.at(0)), "2001:db8::1");
}

TEST_F(ResolverTest, NoServerIsADnsFailureThatSaysSo) {
  const auto result = resolve({});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().cause, PathFailure::dns);
  EXPECT_NE(result.error().text.find("no DNS server is known"), std::string::npos);
}

TEST_F(ResolverTest, OneFamilyDoesNotWaitLongForTheOther) {
  TinyDns dns(io, [](const TinyDns::Question& q) -> std::optional<std::string> {
    if (q.type == type_aaaa) { return std::nullopt; }
    return TinyDns::reply(q, 0, type_a, {value_a});
  });
  limits.try_timeout = 5s;  // What AAAA would cost.
  limits.total = 20s;
  const auto began = std::chrono::steady_clock::now();
  const auto result = resolve({dns.address()});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->addresses.size(), 1U);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 3s);
}

TEST_F(ResolverTest, PathWithIpv4OnlyAsksOnlyForIpv4FromItsOwnSourceAndDevice) {
  TinyDns dns(io, both());
  const auto result = resolve({dns.address()}, "console.test",
                              {.device = "lo", .source4 = IpAddress::v4(127, 0, 0, 5)});
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->addresses.size(), 1U);
  EXPECT_EQ(dns.questions, 1);
  EXPECT_EQ(dns.last_source.to_string(), "127.0.0.5");
}

TEST_F(ResolverTest, EachFailureIsToldInWords) {
  TinyDns nx(io, only(3));
  TinyDns servfail(io, only(2));
  TinyDns refusing(io, only(5));
  TinyDns empty(io, only(0));
  const std::vector<std::pair<TinyDns*, std::string>> cases{
      {&nx, "NXDOMAIN"}, {&servfail, "SERVFAIL"}, {&refusing, "REFUSED"}, {&empty, "no address"}};
  for (const auto& [dns, word] : cases) {
    const auto result = resolve({dns->address()});
    ASSERT_FALSE(result) << word;
    EXPECT_EQ(result.error().cause, PathFailure::dns);
    EXPECT_NE(result.error().text.find(word), std::string::npos) << result.error().text;
    EXPECT_NE(result.error().text.find("127.0.0.1:" + std::to_string(dns->address().port)),
              std::string::npos);
    EXPECT_NE(result.error().text.find("\"console.test\""), std::string::npos);
  }
}

TEST_F(ResolverTest, SilentServerIsGivenUpInBoundedTime) {
  TinyDns dns(io, silent());
  const auto began = std::chrono::steady_clock::now();
  const auto result = resolve({dns.address()});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().text.find("no answer within 180 ms"), std::string::npos)
      << result.error().text;
  EXPECT_LT(std::chrono::steady_clock::now() - began, 1900ms) << "before the total";
  EXPECT_EQ(dns.questions, 4) << "two tries for each family";
}

TEST_F(ResolverTest, SilentFirstServerDelaysByTheStaggerOnly) {
  TinyDns dead(io, silent());
  TinyDns good(io, both());
  const auto result = resolve({dead.address(), good.address()});
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->servers[0].text, "no answer yet");
  EXPECT_EQ(result->servers[1].text, "ok");
}

TEST_F(ResolverTest, DenyingFirstServerDoesNotHideTheSecond) {
  TinyDns nx(io, only(3));
  TinyDns good(io, both());
  const auto result = resolve({nx.address(), good.address()});
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->servers[0].text, "the name does not exist (NXDOMAIN)");
}

TEST_F(ResolverTest, PortWithoutListenerIsToldAtOnce) {
  std::uint16_t closed_port = 0;
  { closed_port = TinyDns(io, silent()).address().port; }
  const auto result = resolve({{loopback, closed_port}});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().text.find("nothing listens on port"), std::string::npos)
      << result.error().text;
}

TEST_F(ResolverTest, GarbageForgeriesAndTruncationAreNoAnswers) {
  const std::vector<TinyDns::Answer> hostile{
      [](const TinyDns::Question&) { return std::string("garbage"); },
      [](const TinyDns::Question& q) { return q.wire.substr(0, 7); },
      [](const TinyDns::Question& q) {  // Another id: not an answer to us.
        std::string text = TinyDns::reply(q, 0, type_a, {value_a});
        text[0] = static_cast<char>(text[0] ^ 0x55);
        return text;
      },
      [](const TinyDns::Question& q) {  // The record ends in the middle.
        const std::string text = TinyDns::reply(q, 0, type_a, {value_a});
        return text.substr(0, text.size() - 3);
      },
      [](const TinyDns::Question& q) {  // A name that points to itself.
        std::string text = TinyDns::reply(q, 0, type_a, {value_a});
        text[text.size() - 16] = static_cast<char>(0xc0);
        text[text.size() - 15] = static_cast<char>(text.size() - 16);
        return text;
      },
      [](const TinyDns::Question& q) {  // "Truncated, ask by TCP", where nobody listens.
        std::string text = TinyDns::reply(q, 0);
        text[2] = static_cast<char>(text[2] | 2);
        return text;
      }};
  for (std::size_t i = 0; i < hostile.size(); ++i) {
    TinyDns dns(io, hostile[i]);
    const auto result = resolve({dns.address()});
    ASSERT_FALSE(result) << "case " << i;
    EXPECT_EQ(result.error().cause, PathFailure::dns) << "case " << i;
  }
}

TEST_F(ResolverTest, TruncatedAnswerIsFetchedByTcp) {
  TinyDns dns(io, [](const TinyDns::Question& q) {
    std::string text = TinyDns::reply(q, 0);
    text[2] = static_cast<char>(text[2] | 2);
    return text;
  });
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), dns.address().port));
  tcp::socket guest(io);
  std::array<char, 512> buffer{};
  std::string reply;
  const std::function<void()> read_one = [&] {
    guest.async_read_some(
        asio::buffer(buffer), [&](const boost::system::error_code& ec, std::size_t size) {
          if (ec) { return; }
          TinyDns::Question q{
              .wire = std::string(buffer.data() + 2, size - 2), .section = {}, .from = {}};
          q.section = q.wire.substr(12, q.wire.find('\0', 12) + 5 - 12);
          reply = TinyDns::reply(q, 0, type_a, {value_a});
          reply = std::string(1, '\0') + static_cast<char>(reply.size()) + reply;
          asio::write(guest, asio::buffer(reply));
          read_one();
        });
  };
  acceptor.async_accept(guest, [&](const boost::system::error_code& ec) {
    if (!ec) { read_one(); }
  });
  const auto result = resolve({dns.address()}, "console.test", {.source4 = loopback});
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(to_string(result->addresses.at(0)), "198.51.100.7");
}

TEST_F(ResolverTest, BindingThatFailsIsNotTheServersFault) {
  TinyDns dns(io, both());
  auto result = resolve({dns.address()}, "console.test", {.device = "no-such-dev"});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().cause, PathFailure::carrier) << result.error().text;
  EXPECT_NE(result.error().text.find("no-such-dev"), std::string::npos);

  result = resolve({dns.address()}, "console.test", {.source4 = IpAddress::v4(192, 0, 2, 99)});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().cause, PathFailure::lease) << result.error().text;
  EXPECT_NE(result.error().text.find("192.0.2.99"), std::string::npos);
}

TEST_F(ResolverTest, HostileNamesFailWithoutAQuestion) {
  TinyDns dns(io, both());
  for (const std::string& name :
       {std::string(300, 'a'), std::string("a..b"), std::string(70, 'x') + ".test"}) {
    const auto result = resolve({dns.address()}, name);
    EXPECT_FALSE(result) << name;
  }
  EXPECT_EQ(dns.questions, 0);
}

TEST_F(ResolverTest, DestroyingItCancelsWithoutACall) {
  TinyDns dns(io, silent());
  bool called = false;
  auto running = std::make_unique<Resolve>(
      io.get_executor(),
      ResolveRequest{.host = "console.test", .servers = {dns.address()}, .binding = {}},
      [&](PathResult<Resolved>) { called = true; });
  ASSERT_TRUE(run_until([&] { return dns.questions > 0; }));
  running.reset();
  io.restart();
  while (io.poll_one() > 0) {}
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace edge::tunnel::testing_support
