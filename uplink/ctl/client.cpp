// A unix stream socket, one JSON object a line.
#include "uplink/ctl/client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace edge::uplink::ctl {

Result<Client> Client::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::invalid_input, fmt::format("socket \"{}\": a path has at most {} characters",
                                                 path, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) { return fail_errno(errno, "open socket"); }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(errno, path);
  }
  return Client(std::move(fd));
}

Result<void> Client::send(std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  for (std::size_t at = 0; at < bytes.size();) {
    const auto sent = ::send(fd_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) { continue; }
    if (sent < 0) { return fail_errno(errno, "ask the daemon"); }
    at += static_cast<std::size_t>(sent);
  }
  return {};
}

Result<std::string> Client::receive(std::chrono::milliseconds patience) {
  std::size_t searched = 0;
  while (true) {
    if (const auto end = buffered_.find('\n', searched); end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    searched = buffered_.size();
    if (searched > line_bytes_max) { return fail(Errc::corrupt, "the daemon's answer has no end"); }
    pollfd one{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&one, 1, static_cast<int>(patience.count()));
    if (ready < 0 && errno == EINTR) { return fail(Errc::transient, "interrupted", EINTR); }
    if (ready == 0) { return fail(Errc::transient, "no answer in time", ETIMEDOUT); }
    std::array<char, 65536>
        chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init): recv fills it.
    const auto size = ::recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (size < 0 && errno == EINTR) { continue; }
    if (size <= 0) {
      return fail(Errc::not_found, "the daemon ended the connection", size < 0 ? errno : 0);
    }
    buffered_.append(chunk.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace edge::uplink::ctl
