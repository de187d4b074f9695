// Reference for the gap figures: a UDP echo over bound sockets, switched on carrier loss or sent on
// all of them.
//
//   bench_udp_reference serve PORT
//   bench_udp_reference switched|twice ADDRESS PORT INTERVAL_US BRIDGE:ADAPTER...
//
// `switched` sends on one socket and goes to the next when netlink or /sys says that its adapter
// lost carrier; `twice` sends on all. Prints the CLOCK_MONOTONIC seconds of each first echo, one a
// line, when standard input ends.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace edge::bench {
namespace {

struct Door {
  std::string adapter;  ///< Whose carrier decides.
  UniqueFd socket;      ///< Bound to the bridge above it.
};

double monotonic_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class Number>
Number number(std::string_view text) {
  Number value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

sockaddr_in address_of(const char* text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, text, &address.sin_addr);
  return address;
}

/// Echoes every datagram until standard input ends.
int serve(std::uint16_t port) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in here = address_of("0.0.0.0", port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0) {
    std::perror("bind");
    return 1;
  }
  std::puts("ready");
  std::fflush(stdout);
  std::array<pollfd, 2> waiting{{{fd.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  while (poll(waiting.data(), waiting.size(), -1) > 0 && waiting[1].revents == 0) {
    std::array<char, 64> data{};
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t size = recvfrom(fd.get(), data.data(), data.size(), 0,
                                  reinterpret_cast<sockaddr*>(&from), &length);
    if (size > 0) {
      sendto(fd.get(), data.data(), static_cast<std::size_t>(size), 0,
             reinterpret_cast<sockaddr*>(&from), length);
    }
  }
  return 0;
}

/// Reads /sys: the truth at once, while netlink may be a second late (facts: link_watch).
bool carrier(const std::string& adapter) {
  const UniqueFd fd(open(("/sys/class/net/" + adapter + "/carrier").c_str(), O_RDONLY | O_CLOEXEC));
  char value = '0';
  return fd && read(fd.get(), &value, 1) == 1 && value == '1';
}

UniqueFd link_events() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl here{};
  here.nl_family = AF_NETLINK;
  here.nl_groups = RTMGRP_LINK;
  bind(fd.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here);
  return fd;
}

UniqueFd every(std::chrono::microseconds interval) {
  UniqueFd fd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const timespec step{interval.count() / 1'000'000, (interval.count() % 1'000'000) * 1000};
  const itimerspec both{step, step};
  timerfd_settime(fd.get(), 0, &both, nullptr);
  return fd;
}

void drain(int fd) {
  std::array<char, 8192> scrap{};
  while (recv(fd, scrap.data(), scrap.size(), MSG_DONTWAIT) > 0) {}
}

/// The client: sends, switches, remembers when each number was echoed first.
class Probe {
 public:
  Probe(bool twice, sockaddr_in to, std::chrono::microseconds interval)
      : twice_(twice), to_(to), interval_(interval) {}

  bool open(std::string_view bridge_and_adapter) {
    const std::size_t colon = bridge_and_adapter.find(':');
    const std::string bridge(bridge_and_adapter.substr(0, colon));
    Door door{std::string(bridge_and_adapter.substr(colon + 1)),
              UniqueFd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))};
    if (setsockopt(door.socket.get(), SOL_SOCKET, SO_BINDTODEVICE, bridge.data(),
                   static_cast<socklen_t>(bridge.size())) != 0) {
      std::perror(bridge.c_str());
      return false;
    }
    doors_.push_back(std::move(door));
    return true;
  }

  void run() {
    const UniqueFd netlink = link_events();
    const UniqueFd send_timer = every(interval_);
    const UniqueFd look_timer = every(std::chrono::milliseconds(1));
    std::vector<pollfd> waiting{{STDIN_FILENO, POLLIN, 0},
                                {send_timer.get(), POLLIN, 0},
                                {look_timer.get(), POLLIN, 0},
                                {netlink.get(), POLLIN, 0}};
    for (const Door& door : doors_) { waiting.push_back({door.socket.get(), POLLIN, 0}); }
    while (poll(waiting.data(), waiting.size(), -1) > 0 && waiting[0].revents == 0) {
      std::uint64_t ticks = 0;
      for (std::size_t i = 4; i < waiting.size(); ++i) {
        if (waiting[i].revents != 0) { receive(waiting[i].fd); }
      }
      const bool look = waiting[2].revents != 0 && read(look_timer.get(), &ticks, sizeof ticks) > 0;
      if (waiting[3].revents != 0) { drain(netlink.get()); }
      if (!twice_ && (look || waiting[3].revents != 0)) { switch_if_dead(); }
      if (waiting[1].revents != 0 && read(send_timer.get(), &ticks, sizeof ticks) > 0) { send(); }
    }
    for (const double moment : echoed_at_) { std::printf("%.6f\n", moment); }
  }

 private:
  void switch_if_dead() {
    if (carrier(doors_[active_].adapter)) { return; }
    active_ = (active_ + 1) % doors_.size();
    send();
  }

  void send() {
    ++number_;
    for (std::size_t i = 0; i < doors_.size(); ++i) {
      if (twice_ || i == active_) {
        sendto(doors_[i].socket.get(), &number_, sizeof number_, 0,
               reinterpret_cast<const sockaddr*>(&to_), sizeof to_);
      }
    }
  }

  void receive(int fd) {
    std::uint64_t number = 0;
    if (recv(fd, &number, sizeof number, MSG_DONTWAIT) == static_cast<ssize_t>(sizeof number) &&
        number > last_) {
      last_ = number;
      echoed_at_.push_back(monotonic_s());
    }
  }

  bool twice_;
  sockaddr_in to_;
  std::chrono::microseconds interval_;
  std::vector<Door> doors_;
  std::vector<double> echoed_at_;
  std::size_t active_ = 0;
  std::uint64_t number_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace
}  // namespace edge::bench

int main(int argc, char** argv) {
  using namespace edge::bench;
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  if (words.size() == 2 && words[0] == "serve") { return serve(number<std::uint16_t>(words[1])); }
  if (words.size() < 5 || (words[0] != "switched" && words[0] != "twice")) {
    std::fputs(
        "usage: bench_udp_reference serve PORT | switched|twice ADDRESS PORT INTERVAL_US "
        "BRIDGE:ADAPTER...\n",
        stderr);
    return 2;
  }
  Probe probe(words[0] == "twice", address_of(argv[2], number<std::uint16_t>(words[2])),
              std::chrono::microseconds(number<int>(words[3])));
  for (std::size_t i = 4; i < words.size(); ++i) {
    if (!probe.open(words[i])) { return 1; }
  }
  probe.run();
  return 0;
}
