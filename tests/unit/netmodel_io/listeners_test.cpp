// What /proc/net says about ports that the host itself uses.
#include "netmodel/io/listeners.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unique_fd.hpp"

namespace edge::netmodel {
namespace {

using namespace std::chrono_literals;

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> lines(const std::vector<ReservedPort>& ports) {
  std::vector<std::string> out;
  for (const ReservedPort& port : ports) {
    out.push_back(std::string(to_string(port.protocol)) + " " + std::to_string(port.port) + " " +
                  port.what);
  }
  return out;
}

constexpr std::string_view tcp_text =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n"
    "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "101 1 0000000000000000 100 0 0 10 0\n"
    "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "102 1 0000000000000000 100 0 0 10 0\n"
    "   2: 3201A8C0:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "103 1 0000000000000000 100 0 0 10 0\n"
    "   3: 3201A8C0:B0D5 0A7100CB:20FB 01 00000000:00000000 00:00000000 00000000     0        0 "
    "104 1 0000000000000000 100 0 0 10 0\n"
    "   4: 3201A8C0:B0D6 0A7100CB:20FB 06 00000000:00000000 00:00000000 00000000     0        0 0 "
    "3 "
    "0000000000000000\n";
constexpr std::string_view tcp6_text =
    "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 105 1 0000000000000000 100 0 0 10 0\n"
    "   1: 0000000000000000FFFF00003201A8C0:0051 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 106 1 0000000000000000 100 0 0 10 0\n"
    "   2: B80D0120000000000000000001000000:0052 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 107 1 0000000000000000 100 0 0 10 0\n";
constexpr std::string_view udp_text =
    "  417: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 "
    "108 2 0000000000000000 0\n"
    "  418: 00000000:9C40 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 "
    "109 2 0000000000000000 0\n"
    "  419: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0 "
    "2 "
    "0000000000000000 0\n";

ListenerScope scope() {
  return {.uplink_addresses = {parse_ip("192.168.1.50").value(), parse_ip("2001:db8::1").value()},
          .ephemeral = {32768, 50000},
          .programs = {{101, "\"sshd\" (pid 812)"}},
          .own = {104}};
}

TEST(ListenersTest, APortThatAnUplinkShowsIsReservedWithItsOwner) {
  const auto sockets = parse_proc_net(tcp_text, Transport::tcp);
  ASSERT_EQ(sockets.size(), 4U);  // TIME_WAIT is nobody's.
  EXPECT_EQ(sockets[1].local, parse_ip("127.0.0.1").value());
  EXPECT_THAT(lines(reserved_ports(sockets, scope())),
              ElementsAre("tcp 22 \"sshd\" (pid 812)", "tcp 8081 a program of this host",
                          "tcp 45269 the tunnel"));
}

TEST(ListenersTest, Ipv6AndMappedAddressesCountToo) {
  const auto sockets = parse_proc_net(tcp6_text, Transport::tcp);
  EXPECT_THAT(lines(reserved_ports(sockets, scope())),
              ElementsAre("tcp 80 a program of this host", "tcp 81 a program of this host",
                          "tcp 82 a program of this host"));
}

TEST(ListenersTest, AQuestionInFlightIsNoListener) {
  const auto sockets = parse_proc_net(udp_text, Transport::udp);
  EXPECT_THAT(lines(reserved_ports(sockets, scope())),
              ElementsAre("udp 67 a program of this host", "udp 51820 a program of this host"));
}

TEST(ListenersTest, ASocketInTheEphemeralRangeThatStaysIsAListener) {
  const HostSocket tunnel{.protocol = Transport::udp, .port = 40000, .inode = 7};
  const HostSocket question{.protocol = Transport::udp, .port = 40001, .inode = 8};
  SocketAges ages;
  const MonoTime start{std::chrono::hours(1)};
  EXPECT_TRUE(ages.lasting(std::vector{tunnel}, start).empty());
  const std::vector both{tunnel, question};
  EXPECT_TRUE(ages.lasting(both, start + SocketAges::question_max - 1ms).empty());
  ListenerScope later = scope();
  later.lasting = ages.lasting(both, start + SocketAges::question_max);
  EXPECT_THAT(lines(reserved_ports(both, later)), ElementsAre("udp 40000 a program of this host"));
  EXPECT_TRUE(ages.lasting({}, start + 60s).empty());
  EXPECT_TRUE(ages.lasting(both, start + 61s).empty())
      << "a number that came back is another socket";
}

TEST(ListenersTest, ForeignTextIsSkipped) {
  EXPECT_THAT(parse_proc_net("", Transport::tcp), IsEmpty());
  EXPECT_THAT(
      parse_proc_net("\n\nabc\n  0: zz:22 x 0A q w e r t y\n 1: 00000000:10000 00000000:0000 "
                     "0A a b c 0 0 7\n",
                     Transport::tcp),
      IsEmpty());
}

TEST(ListenersTest, AListenerOfThisProcessIsFoundAndGoes) {
  ListenerReader reader;
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(::listen(fd.get(), 1), 0);
  socklen_t size = sizeof any;
  ASSERT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&any), &size), 0);
  const ReservedPort wanted{Transport::tcp, ntohs(any.sin_port), "this service itself"};
  const auto has = [&] {
    const auto ports = reader.read({}, MonoTime{}).value();
    return std::ranges::any_of(ports, [&](const ReservedPort& p) {
      return p.port == wanted.port && p.what == wanted.what;
    });
  };
  EXPECT_TRUE(has());
  fd.reset();
  EXPECT_FALSE(has());
}

}  // namespace
}  // namespace edge::netmodel
