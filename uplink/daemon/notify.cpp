#include "uplink/daemon/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>

#include <fmt/format.h>

#include "base/unique_fd.hpp"

namespace edge::uplink {

namespace {

/// Nothing: it is not there or no number.
std::optional<std::int64_t> number_in_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) { return std::nullopt; }
  const std::string_view digits(text);
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (ec != std::errc{} || end != digits.data() + digits.size()) { return std::nullopt; }
  return value;
}

std::optional<std::int64_t> watchdog_usec() {
  const auto allowed = number_in_environment("WATCHDOG_USEC");
  const auto whose = number_in_environment("WATCHDOG_PID");
  if (!allowed || *allowed <= 0 || (whose && *whose != ::getpid())) { return std::nullopt; }
  return allowed;
}

}  // namespace

void ReadyNote::after(Duration wait, void (ReadyNote::*then)()) {
  timer_.expires_after(wait);
  timer_.async_wait([this, then](boost::system::error_code ec) {
    if (!ec) { (this->*then)(); }
  });
}

void ReadyNote::say() {
  const auto allowed = watchdog_usec();
  const std::string back = allowed ? fmt::format("\nWATCHDOG_USEC={}", *allowed) : "";
  if (!notify_systemd("READY=1" + back)) {
    return after(std::chrono::milliseconds(100), &ReadyNote::say);
  }
  if (allowed) { alive(); }
}

void ReadyNote::alive() {
  notify_systemd("WATCHDOG=1");
  after(std::chrono::microseconds(*watchdog_usec()) / 2, &ReadyNote::alive);
}

bool notify_systemd(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path == nullptr || (path[0] != '/' && path[0] != '@') ||
      std::strlen(path) >= sizeof(address.sun_path)) {
    return true;
  }
  const std::size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') { address.sun_path[0] = '\0'; }  // Abstract socket.
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) { return true; }
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const auto sent = ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address), size);
  // Lost otherwise: that is systemd's start timeout, which it reports itself.
  return sent >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

std::string reloading_state() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  constexpr std::string_view an_hour = "\nWATCHDOG_USEC=3600000000";
  return fmt::format("RELOADING=1\nMONOTONIC_USEC={}{}",
                     now.tv_sec * 1'000'000 + now.tv_nsec / 1'000,
                     watchdog_usec() ? an_hour : std::string_view());
}

}  // namespace edge::uplink
