// Whether every member of a group hears every other: small broadcast frames of ours.
#include "netmodel/io/member_check.hpp"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "netmodel/core/names.hpp"
#include "netmodel/io/attributes.hpp"
#include "netmodel/io/packet_socket.hpp"

namespace edge::netmodel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t members_max = 32;
constexpr std::uint32_t magic = 0x47414c4d;  // "GALM"
constexpr std::uint8_t version = 1;
constexpr std::size_t body_bytes = 28;

template <class T>
void put(std::vector<std::byte>& out, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) {
    out.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xffU));
  }
}

/// Pre: enough bytes.
template <class T>
T take(std::span<const std::byte>& bytes) {
  T value = 0;
  for (const std::byte byte : bytes.first(sizeof(T))) {
    value = static_cast<T>((value << 8U) | std::to_integer<T>(byte));
  }
  bytes = bytes.subspan(sizeof(T));
  return value;
}

MacAddress sender_of(const MemberFrame& frame) {
  // Odd constants of splitmix64: every bit of both ids reaches the upper bytes.
  const std::uint64_t mixed =
      (frame.host ^ (frame.group * 0x9e3779b97f4a7c15)) * 0xbf58476d1ce4e5b9;
  MacAddress mac{{0x06, 0, 0, 0, 0, frame.member}};  // Local, no multicast.
  for (std::size_t i = 1; i < 5; ++i) {
    mac.bytes[i] = static_cast<std::uint8_t>((mixed >> (8 * (i + 3))) & 0xffU);
  }
  return mac;
}

struct Received {
  MemberFrame frame;
  std::optional<std::uint16_t> vlan;
};

/// The tag is in the auxiliary data (struct tpacket_auxdata), not in the bytes.
std::optional<std::uint16_t> vlan_of(msghdr& message) {
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_PACKET || one->cmsg_type != PACKET_AUXDATA) { continue; }
    tpacket_auxdata aux{};
    std::memcpy(&aux, CMSG_DATA(one), sizeof aux);
    if ((aux.tp_status & TP_STATUS_VLAN_VALID) != 0) {
      return static_cast<std::uint16_t>(aux.tp_vlan_tci & 0x0fffU);
    }
  }
  return std::nullopt;
}

/// nullopt: the socket is empty. Frames that are not ours come out with host 0.
std::optional<Received> receive(int fd) {
  std::array<std::byte, 256> bytes{};
  alignas(cmsghdr) std::array<std::byte, 256> control{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(fd, &message, MSG_DONTWAIT);
  if (size < 0) { return std::nullopt; }
  const auto frame =
      decode_member_frame(std::span<const std::byte>(bytes).first(static_cast<std::size_t>(size)));
  return Received{.frame = frame.value_or(MemberFrame{}), .vlan = vlan_of(message)};
}

/// One run: the sockets, and who heard whom so far.
class Run {
 public:
  explicit Run(const MemberCheckOptions& options)
      : options_(options),
        frame_{
            .host = fnv1a64(options.host_id), .group = fnv1a64(options.group), .run = options.run} {
  }

  Result<void> open() {
    for (const std::string& name : options_.members) {
      EDGE_ASSIGN(const IfIndex index, index_of_link(name));
      EDGE_ASSIGN(UniqueFd fd, open_packet_listener(index, member_check_ethertype));
      sockets_.push_back(std::move(fd));
    }
    return {};
  }

  MemberCheckResult run() {
    const auto end = Clock::now() + options_.wait;
    auto next_send = Clock::now();
    while (Clock::now() < end && !complete()) {
      if (Clock::now() >= next_send) {
        send_all();
        next_send += options_.interval;
      }
      wait_until(std::min(end, next_send));
    }
    return result();
  }

 private:
  bool complete() const {
    const std::size_t count = options_.members.size();
    return heard_.size() == count * (count - 1);
  }

  void send_all() {
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      MemberFrame frame = frame_;
      frame.member = static_cast<std::uint8_t>(i);
      const std::vector<std::byte> bytes = encode_member_frame(frame);
      // Bound to the link: no address needed, and a member of a bond sends it itself.
      if (::send(sockets_[i].get(), bytes.data(), bytes.size(), 0) < 0) {
        troubles_[i] = fail_errno(errno, options_.members[i]).error().what;
      }
    }
  }

  void wait_until(Clock::time_point until) {
    std::vector<pollfd> ready;
    ready.reserve(sockets_.size());
    for (const UniqueFd& fd : sockets_) {
      ready.push_back({.fd = fd.get(), .events = POLLIN, .revents = 0});
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    (void)::poll(ready.data(), ready.size(), std::max(0, static_cast<int>(left.count())));
    for (std::size_t by = 0; by < sockets_.size(); ++by) {
      while (const auto received = receive(sockets_[by].get())) { on_frame(by, *received); }
    }
  }

  void on_frame(std::size_t by, const Received& received) {
    const std::size_t from = received.frame.member;
    MemberFrame expected = frame_;
    expected.member = received.frame.member;
    if (received.frame != expected || from >= sockets_.size() || from == by) { return; }
    const auto [entry, first] = heard_.try_emplace({from, by}, received.vlan);
    if (!first && !received.vlan) { entry->second.reset(); }  // Untagged is the better news.
  }

  MemberCheckResult result() const {
    MemberCheckResult result;
    for (std::size_t from = 0; from < sockets_.size(); ++from) {
      for (std::size_t by = 0; by < sockets_.size(); ++by) {
        if (from == by) { continue; }
        const auto found = heard_.find({from, by});
        HeardMember pair{.from = options_.members[from], .by = options_.members[by]};
        if (found != heard_.end()) { pair.vlan = found->second; }
        (found != heard_.end() ? result.heard : result.missed).push_back(std::move(pair));
      }
    }
    for (const auto& [member, trouble] : troubles_) { result.troubles.push_back(trouble); }
    return result;
  }

  const MemberCheckOptions& options_;
  MemberFrame frame_;
  std::vector<UniqueFd> sockets_;  ///< In the order of the members.
  std::map<std::pair<std::size_t, std::size_t>, std::optional<std::uint16_t>> heard_;  ///< from, by
  std::map<std::size_t, std::string> troubles_;
};

}  // namespace

std::vector<std::byte> encode_member_frame(const MemberFrame& frame) {
  std::vector<std::byte> out;
  for (const MacAddress& mac : {broadcast_mac, sender_of(frame)}) {
    for (const std::uint8_t byte : mac.bytes) { out.push_back(std::byte{byte}); }
  }
  put(out, member_check_ethertype);
  put(out, magic);
  put(out, version);
  put(out, frame.member);
  put(out, std::uint16_t{0});
  put(out, frame.host);
  put(out, frame.group);
  put(out, frame.run);
  out.resize(ethernet_frame_min);
  return out;
}

std::optional<MemberFrame> decode_member_frame(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(ethhdr) + body_bytes) { return std::nullopt; }
  bytes = bytes.subspan(offsetof(ethhdr, h_proto));
  if (take<std::uint16_t>(bytes) != member_check_ethertype || take<std::uint32_t>(bytes) != magic ||
      take<std::uint8_t>(bytes) != version) {
    return std::nullopt;
  }
  MemberFrame frame;
  frame.member = take<std::uint8_t>(bytes);
  (void)take<std::uint16_t>(bytes);
  frame.host = take<std::uint64_t>(bytes);
  frame.group = take<std::uint64_t>(bytes);
  frame.run = take<std::uint32_t>(bytes);
  return frame;
}

Result<MemberCheckResult> check_members(const MemberCheckOptions& options) {
  if (options.members.size() < 2 || options.members.size() > members_max) {
    return fail(Errc::invalid_input, "member check of group " + options.group + ": " +
                                         std::to_string(options.members.size()) +
                                         " members, 2 to 32 are allowed");
  }
  Run run(options);
  EDGE_TRY(run.open());
  return run.run();
}

}  // namespace edge::netmodel
