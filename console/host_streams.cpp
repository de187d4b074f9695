#include "console/host_streams.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace edge::console {

using boost::system::error_code;
using tunnel::StreamId;

namespace {

void close_with_reset(HostStreams::Socket& socket) {
  error_code ignored;  // It may be gone already.
  socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

}  // namespace

HostStreams::HostStreams(boost::asio::io_context& io, std::string host,
                         std::function<void()> on_output)
    : io_(io),
      host_(std::move(host)),
      lines_(host_, log_lines_burst, std::chrono::seconds(1)),
      relay_(
          io.get_executor(), tunnel::Role::console, tunnel::StreamGrant{},
          {.on_output = std::move(on_output),
           .on_asked =
               [this](StreamId id, const std::string& target) {
                 lines_.say(spdlog::level::warn,
                            "stream.refused host={} stream={} target={}: hosts open none here",
                            host_, id.value, target.substr(0, 64));
                 relay_.refuse(id, tunnel::StreamRefusal::not_allowed, "a Console takes none");
               },
           .on_withdrawn = {},
           .on_refused = [this](StreamId id, const std::string& reason) { forget(id, reason); },
           .on_opened =
               [this](StreamId id) {
                 const auto connection = find(id);
                 if (!connection) { return; }
                 connection->open = true;
                 connection->deadline.cancel();
               },
           .on_closed = [this](StreamId id, const std::string& reason) { forget(id, reason); }}) {}

HostStreams::~HostStreams() = default;

void HostStreams::start(std::optional<tunnel::StreamGrant> peer, tunnel::SessionId session) {
  session_ = true;
  relay_.start(peer, session);
  const Connections waiting = connections_;
  for (const auto& connection : waiting) {
    if (!connection->stream) { open(connection); }
  }
}

void HostStreams::end() {
  session_ = false;
  relay_.start(std::nullopt, {});
}

std::shared_ptr<HostStreams::Connection> HostStreams::find(StreamId stream) const {
  const auto found = std::ranges::find_if(
      connections_, [stream](const auto& one) { return one->stream == stream; });
  return found == connections_.end() ? nullptr : *found;
}

std::size_t HostStreams::count(const std::string& forward) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      connections_, [&forward](const auto& one) { return one->forward == forward; }));
}

void HostStreams::take(Socket socket, const std::string& forward, const std::string& target) {
  if (connections_.size() >= connections_max) {
    lines_.say(spdlog::level::warn, "forward.full host={} forward={} connections={}", host_,
               forward, connections_max);
    return close_with_reset(socket);
  }
  const auto connection = std::make_shared<Connection>(io_);
  connection->forward = forward;
  connection->target = target;
  connection->socket = std::move(socket);
  connections_.push_back(connection);
  connection->deadline.expires_after(open_within);
  connection->deadline.async_wait([this, weak = std::weak_ptr(connection)](const error_code& ec) {
    const auto waited = weak.lock();
    if (!ec && waited && !waited->open) { expire(waited); }
  });
  if (session_) { open(connection); }
}

void HostStreams::open(const std::shared_ptr<Connection>& connection) {
  auto stream = relay_.open(connection->target, std::move(connection->socket));
  if (stream) {
    connection->stream = *stream;
    return;
  }
  lines_.say(spdlog::level::warn, "forward.refused host={} forward={} target={} reason=\"{}\"",
             host_, connection->forward, connection->target, stream.error().what);
  connections_.remove(connection);
}

void HostStreams::expire(const std::shared_ptr<Connection>& connection) {
  lines_.say(spdlog::level::warn,
             "forward.expired host={} forward={} target={}: not open within {} s", host_,
             connection->forward, connection->target, open_within.count());
  if (connection->stream) {
    relay_.reset(*connection->stream, "nobody answered in time");  // on_closed forgets it.
  } else {
    close_with_reset(connection->socket);
    connections_.remove(connection);
  }
}

void HostStreams::forget(StreamId stream, const std::string& reason) {
  const auto connection = find(stream);
  if (!connection) { return; }
  lines_.say(spdlog::level::info, "forward.closed host={} forward={} stream={} reason=\"{}\"",
             host_, connection->forward, stream.value, reason);
  connections_.remove(connection);
}

void HostStreams::drop(const std::string& forward) {
  const Connections all = connections_;
  for (const auto& connection : all) {
    if (connection->forward != forward) { continue; }
    if (connection->stream) {
      relay_.reset(*connection->stream, "the forward was deleted");
    } else {
      close_with_reset(connection->socket);
      connections_.remove(connection);
    }
  }
}

}  // namespace edge::console
