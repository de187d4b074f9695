#include "tunnel/io/tls_stream.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.hpp"
#include "tunnel/io/socket_address.hpp"
#include "tunnel/io/tls_stream_impl.hpp"

namespace edge::tunnel {
namespace {

using Clock = std::chrono::steady_clock;
using asio::ip::tcp;

constexpr std::size_t record_bytes_max = 16 * 1024;  // RFC 8446 5.1.
constexpr int records_per_turn = 16;                 // So that one stream does not starve the rest.

/// One per thread, not per connection: they are only used within a turn.
thread_local std::array<std::byte, record_bytes_max> read_scratch;
thread_local std::array<std::byte, record_bytes_max> write_scratch;

}  // namespace

TlsStream::Impl::Impl(tcp::socket socket, std::unique_ptr<TlsEngine> engine, StreamLimits limits)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      gate_timer_(socket_.get_executor()),
      engine_(std::move(engine)),
      limits_(limits) {
  const int handle = socket_.native_handle();
  const AddressPort remote = remote_address(handle);
  peer_ = PeerIdentity{.certificate = engine_->peer_certificate(),
                       .host_id = engine_->peer_host_id(),
                       .judged_within = engine_->judged_within(),
                       .address = remote.address,
                       .port = remote.port};
  local_ = tunnel::local_address(handle).address;
}

int TlsStream::Impl::fd() { return socket_.is_open() ? socket_.native_handle() : -1; }

void TlsStream::Impl::start(StreamCallbacks callbacks) {
  EDGE_ASSERT(!started_);
  started_ = true;
  callbacks_ = std::make_shared<StreamCallbacks>(std::move(callbacks));
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (!self->ended_) { return self->pump_read(); }
    if (self->early_end_ && self->callbacks_) {
      const auto keep = std::exchange(self->callbacks_, nullptr);
      keep->on_closed(*self->early_end_);
    }
  });
}

// ---- reading ----

void TlsStream::Impl::wait_read() {
  if (read_waiting_ || ended_) { return; }
  read_waiting_ = true;
  socket_.async_wait(tcp::socket::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       self->read_waiting_ = false;
                       if (ec || self->ended_) { return; }
                       self->pump_read();
                       if (self->pinned_bytes_ != 0) { self->schedule_flush(); }
                     });
}

void TlsStream::Impl::pump_read() {
  for (int i = 0; i < records_per_turn && !ended_; ++i) {
    std::size_t got = 0;
    switch (engine_->read(read_scratch, got)) {
      case TlsWant::nothing: {
        bytes_received_ += got;
        const auto keep = callbacks_;
        if (keep && keep->on_bytes) { keep->on_bytes(std::span(read_scratch).first(got)); }
        break;
      }
      case TlsWant::read: return wait_read();
      case TlsWant::write:  // A KeyUpdate must be answered first.
        read_wants_write_ = true;
        return wait_write();
      case TlsWant::failed: return end(engine_->failure());
    }
  }
  if (ended_) { return; }
  // The rest may sit inside TLS, where the kernel does not announce it.
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (!self->ended_) { self->pump_read(); }
  });
}

// ---- writing ----

bool TlsStream::Impl::send(SharedBytes block, SendPriority priority) {
  if (ended_ || closing_ || !block) { return false; }
  if (block->empty()) { return true; }
  if (block->size() > limits_.queue_bytes_max - std::min(queued_bytes_, limits_.queue_bytes_max)) {
    return false;
  }
  queued_bytes_ += block->size();
  if (queue_.empty() || queue_.back().priority <= priority) {
    queue_.push_back({std::move(block), priority});
    schedule_flush();
    return true;
  }
  // Behind what TLS has seen in part, and behind what is as urgent.
  const std::size_t begun = front_offset_ + pinned_bytes_;
  auto place = queue_.begin();
  for (std::size_t seen = 0; place != queue_.end() && (seen < begun || place->priority <= priority);
       ++place) {
    seen += place->block->size();
  }
  queue_.insert(place, {std::move(block), priority});
  if (gate_waiting_) { gate_timer_.cancel(); }  // It may pass.
  schedule_flush();
  return true;
}

void TlsStream::Impl::schedule_flush() {
  if (flush_scheduled_ || write_waiting_ || gate_waiting_ || ended_) { return; }
  flush_scheduled_ = true;
  // Not at once: what one turn of the loop sends shares a TLS record and a segment.
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->flush_scheduled_ = false;
    if (!self->ended_ && !self->write_waiting_) { self->flush(); }
  });
}

/// True while what is in front has to wait until the path has drained. What TLS has begun must go
/// on, and a begun block goes on when something more urgent waits for its end.
bool TlsStream::Impl::gated() {
  bulk_room_ = record_bytes_max;
  if (pinned_bytes_ != 0 || closing_) { return false; }
  const bool bulk_in_front = queue_.front().priority == SendPriority::bulk;
  if (!bulk_in_front && queue_.back().priority != SendPriority::bulk) { return false; }
  bulk_room_ = gate_.room(socket_.native_handle(), engine_->wire_bytes_sent(), Clock::now());
  if (!bulk_in_front || bulk_room_ > 0) { return false; }
  const bool urgent_behind =
      front_offset_ > 0 && queue_.size() > 1 && queue_[1].priority != SendPriority::bulk;
  if (urgent_behind) { return false; }
  wait_gate();
  return true;
}

/// A peer that takes nothing for too long is closed, as one that blocks our writes is.
void TlsStream::Impl::wait_gate() {
  if (gate_waiting_) { return; }
  const auto now = Clock::now();
  const std::uint64_t acked = gate_.acked_bytes();
  if (acked != gate_acked_ || gate_progress_at_ == Clock::time_point{}) {
    gate_acked_ = acked;
    gate_progress_at_ = now;
  }
  gate_waiting_ = true;
  if (now - gate_progress_at_ >= limits_.write_deadline) {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->end({PathFailure::silence,
                 fmt::format("{} took nothing of {} bytes for {} ms",
                             to_string(self->peer_.address), self->queued_bytes_,
                             self->limits_.write_deadline / std::chrono::milliseconds(1))});
    });
    return;
  }
  gate_timer_.expires_after(gate_.wait());
  gate_timer_.async_wait([self = shared_from_this()](const boost::system::error_code&) {
    self->gate_waiting_ = false;
    if (!self->ended_ && !self->write_waiting_ && !self->queue_.empty()) { self->flush(); }
  });
}

/// The next bytes for one record: a part of the first block, or several small ones together.
/// A retry offers exactly the same bytes, as OpenSSL demands: the queue only grows behind them.
std::span<const std::byte> TlsStream::Impl::gather() {
  const auto first = std::span(*queue_.front().block).subspan(front_offset_);
  const std::size_t limit = pinned_bytes_ != 0 ? pinned_bytes_ : record_bytes_max;
  if (first.size() >= limit) { return first.first(limit); }
  if (queue_.size() == 1) { return first; }
  std::size_t size = 0;
  std::size_t offset = front_offset_;
  for (const Item& item : queue_) {
    const auto rest = std::span(*item.block).subspan(std::exchange(offset, 0));
    // Of a gated path the first block always goes whole: a smaller piece would be a record more.
    if (item.priority == SendPriority::bulk && size > 0 && pinned_bytes_ == 0 &&
        size + rest.size() > bulk_room_) {
      break;
    }
    const std::size_t part = std::min(rest.size(), limit - size);
    std::memcpy(write_scratch.data() + size, rest.data(), part);
    size += part;
    if (size == limit) { break; }
  }
  return std::span(write_scratch).first(size);
}

void TlsStream::Impl::consume(std::size_t bytes) {
  bytes_sent_ += bytes;
  queued_bytes_ -= bytes;
  front_offset_ += bytes;
  while (!queue_.empty() && front_offset_ >= queue_.front().block->size()) {
    front_offset_ -= queue_.front().block->size();
    queue_.pop_front();
  }
}

void TlsStream::Impl::flush() {
  for (int i = 0; i < records_per_turn && !queue_.empty(); ++i) {
    if (gated()) { return; }
    const auto bytes = gather();
    std::size_t taken = 0;
    switch (engine_->write(bytes, taken)) {
      case TlsWant::nothing:
        pinned_bytes_ = 0;
        consume(taken);
        break;
      case TlsWant::write: pin(bytes.size()); return wait_write();
      case TlsWant::read: pin(bytes.size()); return wait_read();
      case TlsWant::failed: return on_write_failed();
    }
  }
  if (!queue_.empty()) { return schedule_flush(); }
  if (closing_) { return finish_close(); }
  const auto keep = callbacks_;
  if (keep && keep->on_drained) { keep->on_drained(); }
}

void TlsStream::Impl::wait_write() {
  if (write_waiting_ || ended_) { return; }
  write_waiting_ = true;
  socket_.async_wait(tcp::socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       self->write_waiting_ = false;
                       if (ec || self->ended_) { return; }
                       if (std::exchange(self->read_wants_write_, false)) { self->pump_read(); }
                       if (!self->ended_ && !self->queue_.empty()) { self->flush(); }
                     });
}

/// The peer's last words, an alert about our certificate, may wait unread behind a failed write.
void TlsStream::Impl::on_write_failed() {
  const PathError write_failure = engine_->failure();
  for (int i = 0; i < records_per_turn && !ended_; ++i) {
    std::size_t got = 0;
    const TlsWant want = engine_->read(read_scratch, got);
    if (want == TlsWant::failed) {
      const PathError& last = engine_->failure();
      return end(last.cause == PathFailure::tls_rejected || last.cause == PathFailure::tls_expired
                     ? last
                     : write_failure);
    }
    if (want != TlsWant::nothing) { break; }
    bytes_received_ += got;
    const auto keep = callbacks_;
    if (keep && keep->on_bytes) { keep->on_bytes(std::span(read_scratch).first(got)); }
  }
  end(write_failure);
}

void TlsStream::Impl::pin(std::size_t bytes) {
  const std::uint64_t sent = engine_->wire_bytes_sent();
  if (pinned_bytes_ == 0 || sent != blocked_at_byte_) { blocked_since_ = Clock::now(); }
  blocked_at_byte_ = sent;
  pinned_bytes_ = bytes;
  watch_write_deadline();
}

/// Pre: something is pinned. One wait serves many short blockings.
void TlsStream::Impl::watch_write_deadline() {
  if (deadline_watched_ || closing_) { return; }
  deadline_watched_ = true;
  timer_.expires_at(blocked_since_ + limits_.write_deadline);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!self || self->ended_ || ec) { return; }
    self->deadline_watched_ = false;
    if (self->pinned_bytes_ == 0) { return; }
    const auto stuck = Clock::now() - self->blocked_since_;
    if (stuck < self->limits_.write_deadline) { return self->watch_write_deadline(); }
    self->end({PathFailure::silence,
               fmt::format("nothing could be sent to {} for {} ms with {} bytes queued",
                           to_string(self->peer_.address),
                           std::chrono::floor<std::chrono::milliseconds>(stuck).count(),
                           self->queued_bytes_)});
  });
}

// ---- ending ----

void TlsStream::Impl::close() {
  if (ended_ || closing_) { return; }
  closing_ = true;
  timer_.expires_after(limits_.close_deadline);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (self && !ec && !self->ended_) { self->end({PathFailure::closed, "closed by us"}); }
  });
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (!self->ended_ && self->queue_.empty()) { self->finish_close(); }
  });
}

/// The last byte is with the kernel: say goodbye, then read until the peer ends too, so that the
/// kernel has no reason for a RST.
void TlsStream::Impl::finish_close() {
  if (goodbye_sent_) { return; }
  goodbye_sent_ = true;
  engine_->send_close_notify();
  boost::system::error_code ignored;  // The peer may have gone first.
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  if (!started_) { end({PathFailure::closed, "closed by us"}); }
}

void TlsStream::Impl::close_socket() {
  ended_ = true;
  queue_.clear();
  queued_bytes_ = 0;
  timer_.cancel();
  gate_timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void TlsStream::Impl::end(const PathError& why) {
  if (ended_) { return; }
  const PathError reason = closing_ ? PathError{PathFailure::closed, "closed by us"} : why;
  close_socket();
  if (!started_) {
    early_end_ = reason;
    return;
  }
  const auto keep = std::exchange(callbacks_, nullptr);
  if (keep && keep->on_closed) { keep->on_closed(reason); }
}

void TlsStream::Impl::drop(bool reset) {
  callbacks_.reset();
  if (ended_) { return; }
  if (reset) {
    boost::system::error_code ignored;
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  }
  close_socket();
}

// ---- the handle ----

TlsStream::TlsStream(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsStream::~TlsStream() { impl_->drop(false); }

void TlsStream::start(StreamCallbacks callbacks) { impl_->start(std::move(callbacks)); }
bool TlsStream::send(SharedBytes block, SendPriority priority) {
  return impl_->send(std::move(block), priority);
}
std::size_t TlsStream::queued_bytes() const { return impl_->queued_bytes(); }
void TlsStream::close() { impl_->close(); }
void TlsStream::abort() { impl_->drop(true); }
bool TlsStream::is_open() const { return impl_->is_open(); }
const PeerIdentity& TlsStream::peer() const { return impl_->peer(); }
IpAddress TlsStream::local_address() const { return impl_->local(); }
int TlsStream::native_handle() const { return impl_->fd(); }
std::uint64_t TlsStream::bytes_sent() const { return impl_->bytes_sent(); }
std::uint64_t TlsStream::bytes_received() const { return impl_->bytes_received(); }

}  // namespace edge::tunnel
