// TCP to the first of several addresses that answers, each attempt bound to the path (happy
// eyeballs).
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.hpp"
#include "base/net.hpp"
#include "tunnel/io/path_failure.hpp"
#include "tunnel/io/socket_options.hpp"

namespace edge::tunnel {

namespace asio = boost::asio;

struct TcpRaceRequest {
  std::vector<IpAddress> addresses;  ///< In order of preference, not empty.
  std::uint16_t port = 0;
  PathBinding binding;
  TcpTuning tuning{};
  std::optional<IpAddress> gateway;
  Duration per_attempt = std::chrono::seconds(3);
  Duration stagger = std::chrono::milliseconds(250);
};

struct TcpWinner {
  asio::ip::tcp::socket socket;
  IpAddress address;
};
struct TcpLoss {
  PathError error;  ///< Of the address that told most: refused before timed out.
  IpAddress address;
};

/// One race. Destroying it closes all sockets at once, without callback.
/// Source: RFC 8305 section 5. Time: executor's timers. Threads: the executor's one thread.
class TcpRace {
 public:
  using Done = std::function<void(std::expected<TcpWinner, TcpLoss>)>;
  /// `done` is called once, never from inside the constructor.
  TcpRace(asio::any_io_executor executor, TcpRaceRequest request, Done done);
  ~TcpRace();
  TcpRace(const TcpRace&) = delete;
  TcpRace& operator=(const TcpRace&) = delete;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

/// True when the kernel has tried to find this IPv4 neighbour on `device` and got no answer.
/// Source: /proc/net/arp, flag ATF_COM (0x2) missing (net/ipv4/arp.c).
bool neighbour_is_silent(const IpAddress& neighbour, const std::string& device);

}  // namespace edge::tunnel
