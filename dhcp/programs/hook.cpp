// uplink-dhcp-hook: sends the whole environment that dhcpcd gives it as one message, and ends.
//
// dhcpcd waits for its hook and obeys no signal meanwhile, so this program must be quick and must
// never hang: no shell, no allocation, a send timeout. Exit status: 0 sent; 1 not (dhcpcd only logs
// it).
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

constexpr std::size_t message_bytes_max = 16 * 1024;  // As hook_datagram_bytes_max of the receiver.
constexpr const char* socket_variable = "UPLINK_HOOK_SOCKET";

/// Entries that do not fit are left out whole; dhcpcd puts `interface` and `reason` first.
std::size_t pack_environment(char* out, char** entries) {
  std::size_t used = 0;
  for (char** entry = entries; *entry != nullptr; ++entry) {
    const std::size_t length = std::strlen(*entry) + 1;
    if (length > message_bytes_max - used) { continue; }
    std::memcpy(out + used, *entry, length);
    used += length;
  }
  return used;
}

int connect_to(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) { return -1; }
  std::memcpy(address.sun_path, path, length + 1);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) { return -1; }
  // Covers connect() on a full backlog too. Source: unix(7), socket(7).
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) { return -1; }
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) { return -1; }
  return fd;
}

}  // namespace

int main(int, char**, char** environment) {
  const char* path = std::getenv(socket_variable);
  if (path == nullptr) { return 1; }
  static char message[message_bytes_max];
  const std::size_t length = pack_environment(message, environment);
  const int fd = connect_to(path);
  if (fd < 0) { return 1; }
  return send(fd, message, length, MSG_NOSIGNAL) == static_cast<ssize_t>(length) ? 0 : 1;
}
