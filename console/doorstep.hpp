// Where an authenticated connection waits for its HELLO, within bounds, before any session work.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/throttle.hpp"
#include "console/connection.hpp"
#include "tunnel/core/messages.hpp"
#include "tunnel/core/session.hpp"

namespace edge::console {

/// Time: one timer per waiting connection. Threads: the io_context's.
class Doorstep final : public ConnectionOwner {
 public:
  /// Gets the connection with its HELLO: the host in it is the one of the certificate.
  using OnHello = std::function<void(std::unique_ptr<Connection>, const tunnel::Hello&)>;
  /// What a host is told that cannot be served now; nullopt: it can. Asked before its HELLO is
  /// read.
  using Later = std::function<std::optional<tunnel::Goaway>(const std::string& host)>;
  /// Why a host is not served at all; nullopt: it is. Asked with its HELLO, of the certificate's
  /// id.
  using Revoked = std::function<std::optional<std::string>(const std::string& host)>;
  static constexpr std::chrono::seconds hello_timeout{5};  ///< Source: facts/tunnel.md 5.6.
  static constexpr std::size_t waiting_max = 2048;
  static constexpr std::size_t waiting_per_host_max = tunnel::Session::paths_max;
  static constexpr std::size_t leaving_max = 512;  ///< Being told to come later.

  Doorstep(boost::asio::io_context& io, OnHello on_hello, Later later, Revoked revoked)
      : io_(io),
        on_hello_(std::move(on_hello)),
        later_(std::move(later)),
        revoked_(std::move(revoked)) {}

  void admit(std::unique_ptr<tunnel::TlsStream> stream);
  std::size_t waiting() const { return guests_.size(); }
  std::uint64_t refused() const { return refused_; }
  std::uint64_t told_later() const { return told_later_; }
  void clear() {
    guests_.clear();
    by_host_.clear();
  }

  void on_frame(Connection& connection, tunnel::Frame frame) override;
  void on_part(Connection& /*connection*/) override {}  // It has its time for HELLO, not more.
  void on_garbage(Connection& connection, const Error& error) override;
  void on_closed(Connection& connection, const tunnel::PathError& error) override;
  void on_partial(Connection&) override {}  ///< A HELLO is smaller.

 private:
  struct Guest {
    std::unique_ptr<Connection> connection;
    boost::asio::steady_timer timer;
  };
  using Guests = std::map<Connection*, Guest>;
  /// The connection of the guest, who is no longer one.
  std::unique_ptr<Connection> take(Guests::iterator guest);
  /// Says when to come again, then closes.
  void turn_away(Connection& connection, const tunnel::Goaway& goaway);
  /// Says why, then closes.
  void refuse(Connection& connection, tunnel::ErrorCode code, const std::string& what);
  void complain(const Connection& connection, const std::string& what);

  boost::asio::io_context& io_;
  OnHello on_hello_;
  Later later_;
  Revoked revoked_;
  Guests guests_;
  std::map<std::string, std::size_t> by_host_;  ///< Connections that wait.
  std::uint64_t refused_ = 0;
  std::uint64_t told_later_ = 0;
  Throttle complaints_{20, std::chrono::seconds(1)};  ///< What anybody can cause fills no log.
};

}  // namespace edge::console
