// What commands ask of the host beside its model: drain a port, blink its light.
#include <fmt/format.h>

#include "uplink/daemon/daemon.hpp"

namespace edge::uplink {

namespace {

/// What else tells a port from its neighbours, for a person who gets no blinking light.
std::string marks_of(const Port& port) {
  std::string out = fmt::format("its MAC address is {}", edge::to_string(port.base_mac));
  const bool carrier = port.card_carrier;
  const auto& lease = port.lease ? port.lease : port.stored;
  if (lease) {
    out += fmt::format(", its cable {} to {}", carrier ? "leads" : "led last",
                       edge::to_string(lease->address.network()));
    if (const auto gateway = lease->default_gateway()) {
      out += fmt::format(" with gateway {}", edge::to_string(*gateway));
    }
  }
  return out + (carrier ? "; pulling its cable shows as \"no carrier\" in uplinkctl watch"
                        : "; it has no carrier now");
}

}  // namespace

void Daemon::act(const netmodel::HostAction& action,
                 std::function<void(Result<std::string>)> done) {
  if (const auto* drain = std::get_if<netmodel::DrainPort>(&action)) {
    ports_.drain(drain->adapter, drain->duration);
    done({});
    return;
  }
  if (const auto* drill = std::get_if<netmodel::DrillPort>(&action)) {
    std::optional<std::string> port;
    if (drill->adapter) {
      port = to_hex(netmodel::leader_of(reconciler_.model(), *drill->adapter));
    }
    drill_.begin(port, drill->duration, std::move(done));
    return;
  }
  identify(std::get<netmodel::IdentifyPort>(action), std::move(done));
}

void Daemon::identify(const netmodel::IdentifyPort& wanted,
                      std::function<void(Result<std::string>)> done) {
  const std::string key = to_hex(wanted.adapter);
  const Port* port = ports_.find(key);
  if (port == nullptr || !port->present) {
    done(fail(Errc::not_found,
              fmt::format("port {}: the adapter is not in this machine",
                          port == nullptr ? edge::to_string(wanted.adapter) : port->name)));
    return;
  }
  const std::string driver = driver_of(port->name);
  lights_.blink(port->name, wanted.duration,
                [this, key, driver, seconds = wanted.duration.count(),
                 done = std::move(done)](const Result<void>& blinks) {
                  const Port& asked = *ports_.find(key);
                  if (blinks) {
                    events_.add("port.identify", {{"port", asked.name}, {"seconds", seconds}});
                    done({});
                    return;
                  }
                  const bool never = blinks.error().code == Errc::unsupported;
                  const std::string why =
                      never ? fmt::format("its driver{} has no light to blink",
                                          driver.empty() ? "" : " \"" + driver + "\"")
                            : blinks.error().what;
                  done(fail(blinks.error().code,
                            fmt::format("port {}: {}; {}", asked.name, why, marks_of(asked))));
                });
}

}  // namespace edge::uplink
