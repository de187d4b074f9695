#include "tunnel/io/stream_relay.hpp"

#include <array>
#include <deque>

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

#include "tunnel/core/stream_feed.hpp"

namespace edge::tunnel {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// One per thread: used within a turn only.
thread_local std::array<std::byte, StreamMux::send_buffer_bytes_max> relay_scratch;

constexpr int reads_per_turn = 4;  ///< So that one socket does not starve the rest.

bool would_block(const error_code& ec) {
  return ec == asio::error::would_block || ec == asio::error::try_again;
}

}  // namespace

struct StreamRelay::Link {
  Link(StreamId link_id, Socket link_socket) : id(link_id), socket(std::move(link_socket)) {}
  StreamId id;
  Socket socket;
  bool open = false;  ///< The peer's end stands.
  bool reading = false;
  bool writing = false;
  bool read_done = false;   ///< The socket's end of file was seen.
  bool eof = false;         ///< No more bytes come from the tunnel.
  bool write_done = false;  ///< ... and the socket was told.
  std::deque<Bytes> queue;  ///< For the socket; bounded by the stream's window.
  std::size_t head = 0;     ///< Of the first, already written.
  /// Small ones are joined: the window counts bytes, and a block of one costs fifty.
  void take(Bytes bytes) {
    if (queue.empty() || queue.back().size() + bytes.size() > stream_data_bytes_max) {
      return queue.push_back(std::move(bytes));
    }
    queue.back().insert(queue.back().end(), bytes.begin(), bytes.end());
  }
};

StreamRelay::StreamRelay(asio::any_io_executor executor, Role role, StreamGrant own, Hooks hooks)
    : executor_(std::move(executor)), hooks_(std::move(hooks)), mux_(role, own) {}

/// Handlers that wait hold their links: the sockets go now.
StreamRelay::~StreamRelay() {
  for (const auto& [id, link] : sockets_) {
    error_code ignored;
    link->socket.close(ignored);
  }
}

void StreamRelay::start(std::optional<StreamGrant> peer, SessionId session) {
  mux_.start(peer, session);
  run_actions();
  notify();
}

Result<void> StreamRelay::on_frame(ByteSpan payload) {
  auto outcome = mux_.on_frame(payload);
  run_actions();
  return outcome;
}

bool StreamRelay::feed(Session& session, MonoTime now) {
  const bool moved = feed_streams(session, mux_, now);
  run_actions();  // Room in a send buffer: the sockets are read again, from the loop.
  return moved;
}

Result<StreamId> StreamRelay::open(std::string_view target, Socket socket) {
  EDGE_ASSIGN(const StreamId id, mux_.open(target));
  error_code ignored;  // A socket that died meanwhile says so when it is read.
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  sockets_.emplace(id, std::make_shared<Link>(id, std::move(socket)));
  notify();
  return id;
}

void StreamRelay::attach(StreamId stream, Socket socket) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  mux_.accept(stream);
  if (mux_.room(stream) == 0) { return; }  // Reset by the peer meanwhile: the socket goes.
  const auto link = std::make_shared<Link>(stream, std::move(socket));
  sockets_[stream] = link;
  begin(*link);
  notify();
}

void StreamRelay::refuse(StreamId stream, StreamRefusal refusal, std::string_view reason) {
  mux_.refuse(stream, refusal, reason);
  notify();
}

void StreamRelay::reset(StreamId stream, const std::string& reason) {
  mux_.reset(stream, reason);
  end(stream, reason, true);
  notify();
}

void StreamRelay::notify() {
  if (notified_ || !hooks_.on_output) { return; }
  notified_ = true;
  asio::post(executor_, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) { return; }
    notified_ = false;
    hooks_.on_output();
  });
}

// ---- from the tunnel ----

void StreamRelay::run_actions() {
  if (acting_) { return; }  // The loop below picks it up.
  acting_ = true;
  while (true) {
    auto actions = mux_.take_actions();
    if (actions.empty()) { break; }
    for (StreamAction& action : actions) { act(action); }
  }
  acting_ = false;
}

void StreamRelay::act(StreamAction& action) {
  if (auto* data = std::get_if<StreamData>(&action)) {
    const auto found = sockets_.find(data->stream);
    if (found == sockets_.end()) { return; }
    const auto link = found->second;
    bytes_in_ += data->bytes.size();
    link->take(std::move(data->bytes));
    flush(link);
  } else if (const auto* asked = std::get_if<StreamAsked>(&action)) {
    hooks_.on_asked(asked->stream, asked->target);
  } else if (const auto* opened = std::get_if<StreamOpened>(&action)) {
    if (const auto found = sockets_.find(opened->stream); found != sockets_.end()) {
      begin(*found->second);
    }
    if (hooks_.on_opened) { hooks_.on_opened(opened->stream); }
  } else if (const auto* refused = std::get_if<StreamRefused>(&action)) {
    const std::string why = fmt::format("{}: {}", to_string(refused->refusal), refused->reason);
    if (const auto found = sockets_.find(refused->stream); found != sockets_.end()) {
      error_code ignored;
      found->second->socket.set_option(asio::socket_base::linger(true, 0), ignored);
      found->second->socket.close(ignored);
      sockets_.erase(found);
    }
    if (hooks_.on_refused) { hooks_.on_refused(refused->stream, why); }
  } else if (const auto* eof = std::get_if<StreamEof>(&action)) {
    const auto found = sockets_.find(eof->stream);
    if (found == sockets_.end()) { return; }
    const auto link = found->second;
    link->eof = true;
    flush(link);
  } else if (const auto* writable = std::get_if<StreamWritable>(&action)) {
    const auto found = sockets_.find(writable->stream);
    if (found != sockets_.end()) { wait_read(found->second); }
  } else if (const auto* reset = std::get_if<StreamReset>(&action)) {
    if (!sockets_.contains(reset->stream)) {
      if (hooks_.on_withdrawn) { hooks_.on_withdrawn(reset->stream); }
      return;
    }
    end(reset->stream, reset->reason, true);
  }
}

std::size_t StreamRelay::waiting_blocks() const {
  std::size_t sum = 0;
  for (const auto& [id, link] : sockets_) { sum += link->queue.size(); }
  return sum;
}

void StreamRelay::begin(Link& link) {
  link.open = true;
  wait_read(sockets_.at(link.id));
}

void StreamRelay::wait_write(const std::shared_ptr<Link>& link) {
  if (link->writing) { return; }
  link->writing = true;
  link->socket.async_wait(tcp::socket::wait_write,
                          [this, alive = std::weak_ptr(alive_), link](const error_code& ec) {
                            link->writing = false;
                            if (ec || alive.expired() || !link->socket.is_open()) { return; }
                            flush(link);
                            run_actions();
                          });
}

/// Gives the kernel what it takes; the rest waits, and with it the sender.
void StreamRelay::flush(const std::shared_ptr<Link>& link) {
  std::size_t written = 0;
  error_code ec;
  while (!link->queue.empty()) {
    const Bytes& front = link->queue.front();
    const std::size_t size = link->socket.write_some(
        asio::buffer(front.data() + link->head, front.size() - link->head), ec);
    if (ec) { break; }
    written += size;
    link->head += size;
    if (link->head == front.size()) {
      link->queue.pop_front();
      link->head = 0;
    }
  }
  if (written > 0) {
    mux_.consumed(link->id, written);
    notify();
  }
  if (would_block(ec)) { return wait_write(link); }
  if (ec) {
    mux_.reset(link->id, ec.message());
    notify();
    return end(link->id, ec.message(), true);
  }
  if (link->eof && !link->write_done) {
    link->write_done = true;
    link->socket.shutdown(tcp::socket::shutdown_send, ec);  // It may have gone first.
    end_if_done(link);
  }
}

// ---- from the sockets ----

void StreamRelay::wait_read(const std::shared_ptr<Link>& link) {
  if (link->reading || link->read_done || !link->open) { return; }
  link->reading = true;
  link->socket.async_wait(tcp::socket::wait_read,
                          [this, alive = std::weak_ptr(alive_), link](const error_code& ec) {
                            link->reading = false;
                            if (ec || alive.expired() || !link->socket.is_open()) { return; }
                            read(link);
                            run_actions();
                          });
}

void StreamRelay::read(const std::shared_ptr<Link>& link) {
  for (int i = 0; i < reads_per_turn; ++i) {
    const std::size_t room = mux_.room(link->id);
    if (room == 0) {
      // Asks for StreamWritable, which begins to wait again.
      mux_.write(link->id, std::span(relay_scratch).first(1));
      notify();
      return;
    }
    error_code ec;
    const std::size_t size = link->socket.read_some(asio::buffer(relay_scratch.data(), room), ec);
    if (would_block(ec)) { break; }
    if (ec == asio::error::eof) {
      link->read_done = true;
      mux_.finish(link->id);
      notify();
      return end_if_done(link);
    }
    if (ec) {
      mux_.reset(link->id, ec.message());
      notify();
      return end(link->id, ec.message(), true);
    }
    bytes_out_ += size;
    mux_.write(link->id, std::span(relay_scratch).first(size));
    notify();
    if (size < room) { break; }
  }
  wait_read(link);
}

// ---- ends ----

void StreamRelay::end_if_done(const std::shared_ptr<Link>& link) {
  if (link->read_done && link->write_done) { end(link->id, "both ends closed", false); }
}

void StreamRelay::end(StreamId stream, const std::string& reason, bool with_reset) {
  const auto found = sockets_.find(stream);
  if (found == sockets_.end()) { return; }
  const auto link = found->second;
  sockets_.erase(found);
  error_code ignored;
  if (with_reset) { link->socket.set_option(asio::socket_base::linger(true, 0), ignored); }
  link->socket.close(ignored);
  if (hooks_.on_closed) { hooks_.on_closed(stream, reason); }
}

}  // namespace edge::tunnel
