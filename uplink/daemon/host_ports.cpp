#include "uplink/daemon/host_ports.hpp"

#include <utility>

#include <spdlog/spdlog.h>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {

bool HostPorts::older_than(std::chrono::milliseconds age) const {
  return !known_at_ || mono_now() - *known_at_ > age;
}

void HostPorts::refresh(const std::vector<IpAddress>& uplink_addresses) {
  if (!reading_ && older_than(fresh)) { read(uplink_addresses); }
}

void HostPorts::when_usable(const std::vector<IpAddress>& uplink_addresses,
                            std::function<void()> done) {
  const bool too_old = older_than(usable);
  if (too_old) { waiting_.push_back(std::move(done)); }
  refresh(uplink_addresses);
  if (!too_old) { done(); }
}

void HostPorts::read(const std::vector<IpAddress>& uplink_addresses) {
  reading_ = true;
  outdated_ = false;
  const MonoTime began = mono_now();
  worker_.run(
      [uplink_addresses, began](Box& box) { return box.reader.read(uplink_addresses, began); },
      [this, uplink_addresses, began](Result<std::vector<netmodel::ReservedPort>> done) {
        reading_ = false;
        if (done) {
          known_ = std::move(*done);
        } else {
          spdlog::warn("listeners.unreadable what=\"{}\" next=\"the last list counts\"",
                       done.error().what);
        }
        if (outdated_ && !waiting_.empty()) {  // Whoever waits needs a later one.
          read(uplink_addresses);
          return;
        }
        if (!outdated_) { known_at_ = began; }
        for (auto& ready : std::exchange(waiting_, {})) { ready(); }
      });
}

}  // namespace edge::uplink
