// Blinks the light of a port by ETHTOOL_PHYS_ID.
#include "uplink/io/port_light.hpp"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/unique_fd.hpp"

namespace edge::uplink {

namespace {

using Clock = std::chrono::steady_clock;

/// One ethtool call on a link by name. Returns 0 or the errno.
int ethtool_call(const std::string& link, void* command) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  if (!socket) { return errno; }
  if (link.size() >= sizeof request.ifr_name) { return ENODEV; }
  std::memcpy(request.ifr_name, link.data(), link.size());
  request.ifr_data = static_cast<char*>(command);
  return ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0 ? 0 : errno;
}

}  // namespace

struct PortLight::Light {
  Light(boost::asio::io_context& io, PortLight* of) : owner(of), timer(io) {}

  /// In slices of a second, so that whoever stops us waits no longer than one.
  void run(const std::string& link) {
    int error = 0;
    while (error == 0 && !stopped && Clock::now() < until.load()) {
      ethtool_value order{.cmd = ETHTOOL_PHYS_ID, .data = 1};
      error = ethtool_call(link, &order);
    }
    result = error;
  }

  void say(Result<void> outcome) {
    for (auto& listener : std::exchange(listeners, {})) { listener(outcome); }
  }

  PortLight* owner;  ///< nullptr: gone; touched by the loop's thread only.
  std::atomic<Clock::time_point> until{};
  std::atomic<bool> stopped = false;
  std::atomic<int> result = 0;
  bool proven = false;
  std::vector<std::function<void(Result<void>)>> listeners;
  boost::asio::steady_timer timer;
  std::thread thread;
};

PortLight::~PortLight() {
  for (auto& [link, light] : lights_) {
    light->stopped = true;
    light->owner = nullptr;
    light->timer.cancel();
  }
  for (auto& [link, light] : lights_) { light->thread.join(); }
}

void PortLight::blink(const std::string& link, std::chrono::seconds duration,
                      std::function<void(Result<void>)> done) {
  const auto until = Clock::now() + duration;
  if (const auto found = lights_.find(link); found != lights_.end()) {
    Light& light = *found->second;
    light.until = std::max(light.until.load(), until);
    if (light.proven) {
      done({});
    } else {
      light.listeners.push_back(std::move(done));
    }
    return;
  }
  if (lights_.size() >= lights_max) {
    done(fail(Errc::no_space, fmt::format("{} ports blink already", lights_max)));
    return;
  }
  auto light = std::make_shared<Light>(io_, this);
  lights_[link] = light;
  light->until = until;
  light->listeners.push_back(std::move(done));
  light->timer.expires_after(proof);
  light->timer.async_wait([light](boost::system::error_code ec) {
    if (ec) { return; }
    light->proven = true;
    light->say({});
  });
  light->thread = std::thread([&io = io_, light, link] {
    light->run(link);
    boost::asio::post(io, [light, link] {
      if (light->owner == nullptr) { return; }
      light->timer.cancel();
      const int error = light->result;
      light->say(error == 0 ? Result<void>() : fail_errno(error, "blink " + link));
      light->owner->forget(link);
    });
  });
}

void PortLight::forget(const std::string& link) {
  const auto found = lights_.find(link);
  if (found == lights_.end()) { return; }
  found->second->thread.join();  // It has posted its last word.
  lights_.erase(found);
}

std::string driver_of(const std::string& link) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  if (ethtool_call(link, &info) != 0) { return {}; }
  return std::string(info.driver, ::strnlen(info.driver, sizeof info.driver));
}

}  // namespace edge::uplink
