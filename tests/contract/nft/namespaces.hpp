// Network namespaces inside the test binary, and sockets that talk across them.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/net.hpp"
#include "base/unique_fd.hpp"

namespace edge::netmodel::test {

using std::chrono::milliseconds;

/// How long nothing may arrive before it is taken for dropped.
constexpr milliseconds silence(250);

/// Namespaces by name, held by descriptors only: they end with this object, whatever the test did.
/// The calling thread is in "host" from construction on, in its own again after destruction.
class Namespaces {
 public:
  Namespaces();
  ~Namespaces();
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  void add(const std::string& name);
  /// Runs `work` with this thread inside; returns to "host".
  void inside(const std::string& name, const std::function<void()>& work);
  /// A shell line inside a namespace. Aborts the test program with the line when it fails.
  void run(const std::string& name, const std::string& line);
  /// Standard output of a shell line in "host".
  std::string output(const std::string& line);
  /// A veth pair: `end` in namespace `name`, `host_end` in "host".
  void link(const std::string& host_end, const std::string& name, const std::string& end);

 private:
  UniqueFd home_;
  std::map<std::string, UniqueFd> fds_;
};

/// What a server saw of a client that reached it.
struct Seen {
  std::string peer;  ///< Source address at the server.
  std::string data;  ///< Which server: its greeting.
  bool operator==(const Seen&) const = default;
};

enum class Kind { tcp, udp };

/// A listening socket in a namespace.
class Server {
 public:
  Server(Namespaces& spaces, const std::string& space, Kind kind, const std::string& address,
         std::uint16_t port);
  Kind kind() const { return kind_; }
  int fd() const { return fd_.get(); }

 private:
  Kind kind_;
  UniqueFd fd_;
};

/// One exchange: the client's request arrives at `server`, whose answer comes back. nullopt: one of
/// the two did not happen before the deadline, or the connection was refused. `source`: bind the
/// client to this address; empty: the kernel chooses.
std::optional<Seen> exchange(Namespaces& spaces, const std::string& client_space,
                             const std::string& to, std::uint16_t port, Server& server,
                             const std::string& source = {},
                             milliseconds deadline = milliseconds(1000));

/// A client that keeps its socket, to see what happens to a flow in the middle.
class Flow {
 public:
  /// `from_port` 0: any.
  Flow(Namespaces& spaces, const std::string& space, Kind kind, const std::string& to,
       std::uint16_t port, std::uint16_t from_port = 0);
  /// Sends one more and waits for it at `server` (UDP only); the source the server saw, nullopt:
  /// lost.
  std::optional<std::string> send(Server& server, milliseconds deadline = milliseconds(500));

 private:
  UniqueFd fd_;
};

}  // namespace edge::netmodel::test
