#include "console/connection.hpp"

namespace edge::console {

void Connection::start(ConnectionOwner& owner) {
  owner_ = &owner;
  stream_->start(
      {.on_bytes = [this](std::span<const std::byte> bytes) { on_bytes(bytes); },
       .on_closed = [this](const tunnel::PathError& error) { owner_->on_closed(*this, error); },
       .on_drained = {}});
}

void Connection::on_bytes(std::span<const std::byte> bytes) {
  if (closing) { return; }
  std::vector<tunnel::Frame> frames;
  const auto fed = decoder_.feed(bytes, frames);
  const std::weak_ptr<bool> alive = alive_;
  for (tunnel::Frame& frame : frames) {
    owner_->on_frame(*this, std::move(frame));
    if (alive.expired() || closing) { return; }
  }
  if (!fed) { return owner_->on_garbage(*this, fed.error()); }
  if (frames.empty()) { owner_->on_part(*this); }
  if (alive.expired() || closing) { return; }
  if (partial_bytes() > partial_bytes_told) { owner_->on_partial(*this); }
}

}  // namespace edge::console
