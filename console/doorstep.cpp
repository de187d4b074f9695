#include "console/doorstep.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "console/clock.hpp"

namespace edge::console {

void Doorstep::admit(std::unique_ptr<tunnel::TlsStream> stream) {
  if (guests_.size() >= waiting_max + leaving_max) {
    ++refused_;
    return;  // Destroying the stream closes it; the host comes again after its back-off.
  }
  const std::string host = stream->peer().host_id;
  auto connection = std::make_unique<Connection>(std::move(stream));
  Connection* key = connection.get();
  const auto guest =
      guests_.emplace(key, Guest{std::move(connection), boost::asio::steady_timer(io_)}).first;
  const std::size_t of_host = ++by_host_[host];
  guest->second.timer.expires_after(hello_timeout);
  guest->second.timer.async_wait([this, key](boost::system::error_code ec) {
    const auto late = ec ? guests_.end() : guests_.find(key);
    if (late == guests_.end()) { return; }
    if (!key->closing) {
      complain(*key, fmt::format("no HELLO within {} s", hello_timeout.count()));
      ++refused_;
    }
    take(late);
  });
  key->start(*this);
  if (of_host > waiting_per_host_max) {
    return refuse(*key, tunnel::ErrorCode::retry_later,
                  fmt::format("{} connections of this host have not said HELLO", of_host - 1));
  }
  auto later = later_(host);
  if (!later && guests_.size() > waiting_max) {
    later = tunnel::Goaway{.reason = "too many hosts at once",
                           .reconnect_in = std::chrono::seconds(1),
                           .spread = hello_timeout,
                           .endpoints = {}};
  }
  if (later) { turn_away(*key, *later); }
}

std::unique_ptr<Connection> Doorstep::take(Guests::iterator guest) {
  auto connection = std::move(guest->second.connection);
  guests_.erase(guest);
  const auto count = by_host_.find(connection->host_id());
  if (count != by_host_.end() && --count->second == 0) { by_host_.erase(count); }
  return connection;
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
  if (const auto why = revoked_(connection.host_id())) {
    return refuse(connection, tunnel::ErrorCode::revoked, *why);
  }
  on_hello_(take(guests_.find(&connection)), *hello);
}

void Doorstep::on_garbage(Connection& connection, const Error& error) {
  refuse(connection, tunnel::ErrorCode::protocol, error.what);
}

void Doorstep::on_closed(Connection& connection, const tunnel::PathError& error) {
  spdlog::debug("connection.left host={} reason=\"{}\"", connection.host_id(), error.text);
  if (const auto guest = guests_.find(&connection); guest != guests_.end()) { take(guest); }
}

void Doorstep::turn_away(Connection& connection, const tunnel::Goaway& goaway) {
  ++told_later_;
  connection.closing = true;
  const auto said = std::make_shared<const tunnel::Bytes>(tunnel::encode(goaway));
  static_cast<void>(connection.stream().send(said));
  connection.stream().close();  // The timer, or on_closed, ends its stay.
}

void Doorstep::complain(const Connection& connection, const std::string& what) {
  const auto more = complaints_.pass(mono_now());
  if (!more) { return; }
  spdlog::warn("connection.refused host={} address={} reason=\"{}\" unsaid_before={}",
               connection.host_id(), to_string(connection.peer().address), what, *more);
}

void Doorstep::refuse(Connection& connection, tunnel::ErrorCode code, const std::string& what) {
  complain(connection, what);
  ++refused_;
  connection.closing = true;
  const auto said =
      std::make_shared<const tunnel::Bytes>(tunnel::encode(tunnel::ErrorMessage{code, what}));
  static_cast<void>(connection.stream().send(said));  // An ended stream needs no reason any more.
  connection.stream().close();                        // The timer, or on_closed, ends its stay.
}

}  // namespace edge::console
