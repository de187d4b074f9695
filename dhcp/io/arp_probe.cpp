// Asks by ARP who has an address on an interface.
#include "dhcp/io/arp_probe.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstring>

#include "base/unique_fd.hpp"
#include "dhcp/io/slow_close.hpp"

namespace edge::dhcp {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds interval_first{20};
constexpr milliseconds interval_max{500};

/// Source: RFC 826; struct ether_arp of <netinet/if_ether.h>.
struct ArpPacket {
  std::uint16_t hardware = htons(ARPHRD_ETHER);
  std::uint16_t protocol = htons(ETHERTYPE_IP);
  std::uint8_t hardware_length = 6;
  std::uint8_t protocol_length = 4;
  std::uint16_t operation = htons(ARPOP_REQUEST);
  std::array<std::uint8_t, 6> sender_mac{};
  std::array<std::uint8_t, 4> sender_ip{};
  std::array<std::uint8_t, 6> target_mac{};
  std::array<std::uint8_t, 4> target_ip{};
};
static_assert(sizeof(ArpPacket) == 28);

std::array<std::uint8_t, 4> first_four(const IpAddress& address) {
  return {address.bytes[0], address.bytes[1], address.bytes[2], address.bytes[3]};
}

struct PacketSocket {
  UniqueFd fd;
  int interface_index = 0;
  MacAddress mac;
};

Result<PacketSocket> open_socket(const std::string& interface) {
  PacketSocket out;
  out.interface_index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (out.interface_index == 0) { return fail_errno(errno, "arp on " + interface); }
  out.fd.reset(socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!out.fd) { return fail_errno(errno, "make packet socket for " + interface); }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ARP);
  address.sll_ifindex = out.interface_index;
  socklen_t length = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  // Receives from here on only: protocol 0 above kept other interfaces' packets out.
  if (bind(out.fd.get(), raw, length) != 0 || getsockname(out.fd.get(), raw, &length) != 0) {
    return fail_errno(errno, "bind packet socket to " + interface);
  }
  std::memcpy(out.mac.bytes.data(), address.sll_addr, out.mac.bytes.size());
  return out;
}

}  // namespace

struct ArpProbe::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(asio::io_context& context) : io(context), stream(context), timer(context) {}

  void finish(Result<ArpAnswer> result) {
    end();
    auto done = std::exchange(handler, {});
    if (done) { done(std::move(result)); }
  }

  void end() {
    ++epoch;
    timer.cancel();
    if (stream.is_open()) { close_apart(UniqueFd(stream.release())); }
  }

  void fail_later(Error error) {
    asio::post(io, [self = shared_from_this(), at = epoch, error = std::move(error)] {
      if (self->epoch == at) { self->finish(std::unexpected(error)); }
    });
  }

  void send() {
    ArpPacket packet;
    packet.sender_mac = mac.bytes;
    packet.sender_ip = first_four(question.source);
    packet.target_ip = first_four(question.target);
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(ETH_P_ARP);
    to.sll_ifindex = interface_index;
    to.sll_halen = 6;
    std::memset(to.sll_addr, 0xff, 6);
    const ssize_t sent = sendto(stream.native_handle(), &packet, sizeof packet, 0,
                                reinterpret_cast<const sockaddr*>(&to), sizeof to);
    // A port that is just coming up refuses for a moment; the next request may pass.
    last_errno = sent < 0 ? errno : 0;
  }

  void send_again_later() {
    const auto elapsed = std::chrono::steady_clock::now() - started;
    const auto left = std::chrono::duration_cast<milliseconds>(question.timeout - elapsed);
    if (left <= milliseconds(0)) {
      finish(fail_errno(last_errno != 0 ? last_errno : ETIMEDOUT,
                        "arp for " + to_string(question.target) + " on " + question.interface));
      return;
    }
    timer.expires_after(std::min(interval, left));
    interval = std::min(interval * 3 / 2, interval_max);
    timer.async_wait([self = shared_from_this(), at = epoch](boost::system::error_code error) {
      if (error || self->epoch != at) { return; }
      self->send();
      self->send_again_later();
    });
  }

  void receive_next() {
    stream.async_wait(asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this(), at = epoch](boost::system::error_code error) {
                        if (error || self->epoch != at) { return; }
                        self->receive();
                      });
  }

  void receive() {
    for (int i = 0; i < packets_per_turn; ++i) {
      ArpPacket packet;
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t size = recvfrom(stream.native_handle(), &packet, sizeof packet, 0,
                                    reinterpret_cast<sockaddr*>(&from), &length);
      if (size < 0) { break; }
      if (size == sizeof packet && from.sll_pkttype != PACKET_OUTGOING && is_answer(packet)) {
        finish(ArpAnswer{.mac = MacAddress{packet.sender_mac},
                         .elapsed = std::chrono::steady_clock::now() - started});
        return;
      }
    }
    receive_next();
  }

  /// Any ARP packet of the target's owner proves it, also a request of its own.
  bool is_answer(const ArpPacket& packet) const {
    const MacAddress sender{packet.sender_mac};
    return packet.hardware == htons(ARPHRD_ETHER) && packet.protocol == htons(ETHERTYPE_IP) &&
           packet.hardware_length == 6 && packet.protocol_length == 4 &&
           packet.sender_ip == first_four(question.target) && sender != mac && !sender.is_zero() &&
           !sender.is_multicast() && sender != question.ignore;
  }

  static constexpr int packets_per_turn = 64;

  asio::io_context& io;
  asio::posix::stream_descriptor stream;
  asio::steady_timer timer;
  ArpQuestion question;
  Handler handler;
  MacAddress mac;
  int interface_index = 0;
  int last_errno = 0;
  milliseconds interval = interval_first;
  std::chrono::steady_clock::time_point started;
  std::uint64_t epoch = 0;
};

ArpProbe::ArpProbe(asio::io_context& io) : impl_(std::make_shared<Impl>(io)) {}

ArpProbe::~ArpProbe() { cancel(); }

void ArpProbe::cancel() {
  impl_->end();
  impl_->handler = {};
}

void ArpProbe::ask(ArpQuestion question, Handler handler) {
  cancel();
  impl_->question = std::move(question);
  impl_->handler = std::move(handler);
  impl_->started = std::chrono::steady_clock::now();
  impl_->interval = interval_first;
  auto opened = open_socket(impl_->question.interface);
  if (!opened) {
    impl_->fail_later(opened.error());
    return;
  }
  impl_->mac = opened->mac;
  impl_->interface_index = opened->interface_index;
  impl_->stream.assign(opened->fd.release());
  impl_->send();
  impl_->receive_next();
  impl_->send_again_later();
}

}  // namespace edge::dhcp
