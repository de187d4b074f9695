#include "console/doorstep.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace edge::console {

void Doorstep::admit(std::unique_ptr<tunnel::TlsStream> stream) {
  if (guests_.size() >= waiting_max) {
    ++refused_;
    return;  // Destroying the stream closes it; the host comes again after its back-off.
  }
  auto connection = std::make_unique<Connection>(std::move(stream));
  Connection* key = connection.get();
  const auto guest =
      guests_.emplace(key, Guest{std::move(connection), boost::asio::steady_timer(io_)}).first;
  guest->second.timer.expires_after(hello_timeout);
  guest->second.timer.async_wait([this, key](boost::system::error_code ec) {
    const auto late = ec ? guests_.end() : guests_.find(key);
    if (late == guests_.end()) { return; }
    spdlog::info("connection.refused host={} reason=\"no HELLO within {} s\"", key->host_id(),
                 hello_timeout.count());
    ++refused_;
    guests_.erase(late);
  });
  key->start(*this);
}

void Doorstep::on_frame(Connection& connection, tunnel::Frame frame) {
  if (frame.header.type != tunnel::FrameType::hello) {
    return refuse(
        connection, tunnel::ErrorCode::protocol,
        fmt::format("the first frame is {}, it must be HELLO", to_string(frame.header.type)));
  }
  const auto hello = tunnel::decode_hello(frame.payload);
  if (!hello) { return refuse(connection, tunnel::ErrorCode::protocol, hello.error().what); }
  if (hello->host != connection.host_id()) {
    return refuse(connection, tunnel::ErrorCode::identity,
                  fmt::format("HELLO says host \"{}\", the certificate says \"{}\"", hello->host,
                              connection.host_id()));
  }
  const auto found = guests_.find(&connection);
  auto leaving = std::move(found->second.connection);
  guests_.erase(found);
  on_hello_(std::move(leaving), *hello);
}

void Doorstep::on_garbage(Connection& connection, const Error& error) {
  refuse(connection, tunnel::ErrorCode::protocol, error.what);
}

void Doorstep::on_closed(Connection& connection, const tunnel::PathError& error) {
  spdlog::debug("connection.left host={} reason=\"{}\"", connection.host_id(), error.text);
  guests_.erase(&connection);
}

void Doorstep::refuse(Connection& connection, tunnel::ErrorCode code, const std::string& what) {
  spdlog::warn("connection.refused host={} address={} reason=\"{}\"", connection.host_id(),
               to_string(connection.stream().peer().address), what);
  ++refused_;
  connection.closing = true;
  const auto said =
      std::make_shared<const tunnel::Bytes>(tunnel::encode(tunnel::ErrorMessage{code, what}));
  static_cast<void>(connection.stream().send(said));  // An ended stream needs no reason any more.
  connection.stream().close();                        // The timer, or on_closed, ends its stay.
}

}  // namespace edge::console
