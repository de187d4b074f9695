#include "uplink/daemon/host_ports.hpp"

#include <utility>

#include <spdlog/spdlog.h>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

void HostPorts::Rests::hurry(bool somebody_waits) {
  {
    const std::scoped_lock lock(mutex_);
    somebody_waits_ = somebody_waits;
  }
  changed_.notify_all();
}

void HostPorts::Rests::begin() { since_ = std::chrono::steady_clock::now(); }

void HostPorts::Rests::breathe() {
  if (std::chrono::steady_clock::now() - since_ < work) { return; }
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, rest, [this] { return somebody_waits_; });
  }
  begin();
}

bool HostPorts::older_than(std::chrono::milliseconds age) const {
  return !known_at_ || mono_now() - *known_at_ > age;
}

void HostPorts::refresh(const std::vector<IpAddress>& uplink_addresses) {
  if (!reading_ && older_than(fresh)) { read(uplink_addresses); }
}

void HostPorts::when_usable(const std::vector<IpAddress>& uplink_addresses,
                            std::function<void()> done) {
  if (older_than(usable)) {
    waiting_.push_back(std::move(done));
    rests_.hurry(true);
    refresh(uplink_addresses);
    return;
  }
  refresh(uplink_addresses);
  done();
}

void HostPorts::read(const std::vector<IpAddress>& uplink_addresses) {
  reading_ = true;
  const MonoTime began = mono_now();
  worker_.run(
      [this, uplink_addresses, began](Box& box) {
        rests_.begin();
        return box.reader.read(uplink_addresses, began, [this] { rests_.breathe(); });
      },
      [this, uplink_addresses, began](Result<std::vector<netmodel::ReservedPort>> done) {
        reading_ = false;
        if (done) {
          known_ = std::move(*done);
        } else {
          spdlog::warn("listeners.unreadable what=\"{}\" next=\"the last list counts\"",
                       done.error().what);
        }
        known_at_ = began;
        rests_.hurry(false);
        for (auto& ready : std::exchange(waiting_, {})) { ready(); }
      });
}

}  // namespace edge::uplink
