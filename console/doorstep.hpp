// Where an authenticated connection waits for its HELLO, within bounds, before any session work.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "console/connection.hpp"
#include "tunnel/core/messages.hpp"

namespace edge::console {

/// Time: one timer per waiting connection. Threads: the io_context's.
class Doorstep final : public ConnectionOwner {
 public:
  /// Gets the connection with its HELLO: the host in it is the one of the certificate.
  using OnHello = std::function<void(std::unique_ptr<Connection>, const tunnel::Hello&)>;
  static constexpr std::chrono::seconds hello_timeout{5};  ///< Source: facts/tunnel.md 5.6.
  static constexpr std::size_t waiting_max = 2048;

  Doorstep(boost::asio::io_context& io, OnHello on_hello)
      : io_(io), on_hello_(std::move(on_hello)) {}

  void admit(std::unique_ptr<tunnel::TlsStream> stream);
  std::size_t waiting() const { return guests_.size(); }
  std::uint64_t refused() const { return refused_; }
  void clear() { guests_.clear(); }

  void on_frame(Connection& connection, tunnel::Frame frame) override;
  void on_garbage(Connection& connection, const Error& error) override;
  void on_closed(Connection& connection, const tunnel::PathError& error) override;

 private:
  struct Guest {
    std::unique_ptr<Connection> connection;
    boost::asio::steady_timer timer;
  };
  /// Says why, then closes.
  void refuse(Connection& connection, tunnel::ErrorCode code, const std::string& what);

  boost::asio::io_context& io_;
  OnHello on_hello_;
  std::map<Connection*, Guest> guests_;
  std::uint64_t refused_ = 0;
};

}  // namespace edge::console
