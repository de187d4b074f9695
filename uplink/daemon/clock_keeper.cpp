#include "uplink/daemon/clock_keeper.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>

#include "uplink/daemon/clock.hpp"
#include "uplink/io/system_clock.hpp"

namespace edge::uplink {

namespace json = boost::json;
using tunnel::ClockDoubt;
using tunnel::ClockReading;
using tunnel::TimeBounds;
using tunnel::TimeOffer;

namespace {

using Millis = std::chrono::milliseconds;

/// Longer than any path that fails by its dates waits for its next dial.
constexpr std::chrono::minutes watch_for{6};
/// A step; what NTP slews in a second is 500 us.
constexpr Millis step_min{1000};

Millis offset_of(const ClockReading& reading) {
  return reading.wall.time_since_epoch() -
         std::chrono::floor<Millis>(reading.mono.time_since_epoch());
}

tunnel::ClockPolicy policy_of(const Config::Tunnel& config) {
  return config.clock_trust == Config::Tunnel::ClockTrust::strict ? tunnel::ClockPolicy::strict
                                                                  : tunnel::ClockPolicy::bounded;
}

double seconds_of(Millis time) { return static_cast<double>(time.count()) / 1000.0; }

}  // namespace

ClockPort system_clock_port() {
  return {.read =
              [] {
                return ClockReading{.wall = system_now(),
                                    .mono = mono_now(),
                                    .synchronised = clock_is_synchronised()};
              },
          .set = [](WallTime to) { return set_clock(to); }};
}

ClockKeeper::ClockKeeper(boost::asio::io_context& io, const Config::Tunnel& config,
                         store::StoreWorker& store, EventLog& events, WallTime floor,
                         ClockPort port)
    : config_(config),
      store_(store),
      events_(events),
      port_(std::move(port)),
      trust_(policy_of(config), floor),
      timer_(io) {}

ClockKeeper::~ClockKeeper() { correct_wall_clock(std::nullopt); }

void ClockKeeper::stop() {
  watch_until_.reset();
  timer_.cancel();
}

tunnel::TlsOptions ClockKeeper::options(std::string server_name) {
  return {.server_name = std::move(server_name),
          .wall_clock = [this] { return trust_.now(port_.read()); },
          .clock_floor = trust_.floor(),
          .bounds = [this] { return bounds(); }};
}

std::optional<TimeBounds> ClockKeeper::bounds() const { return trust_.bounds(port_.read()); }

void ClockKeeper::before_dial(const tunnel::CertificateInfo& own) {
  own_ = tunnel::term_of(own);
  trust_.set_certificate(*own_);
  const ClockReading reading = port_.read();
  use_correction(reading);
  tell(reading);
}

/// Once for each doubt that comes or goes.
void ClockKeeper::tell(const ClockReading& reading) {
  const ClockDoubt doubt = trust_.doubt(reading);
  if (std::exchange(told_, doubt) == doubt) { return; }
  if (doubt == ClockDoubt::none) {
    events_.add("clock.right", {{"what", fmt::format("this machine's clock says {}, which can be",
                                                     to_iso8601(reading.wall))}});
    return;
  }
  watch();
  const auto bounds = trust_.bounds(reading);
  if (!bounds) { return; }  // The path says what its dates are judged by.
  const std::string what = fmt::format(
      "{}: bounded trust: until the Console has said the time, its certificate only has to be "
      "valid at some time from {} to {}; all else is checked as ever",
      doubt_text(reading), to_iso8601(bounds->from), to_iso8601(bounds->to));
  spdlog::warn("clock.bounded {}", what);
  events_.add("clock.bounded", {{"clock", to_iso8601(reading.wall)},
                                {"from", to_iso8601(bounds->from)},
                                {"to", to_iso8601(bounds->to)},
                                {"doubt", std::string(tunnel::to_string(doubt))}});
}

std::string ClockKeeper::doubt_text(const ClockReading& reading) const {
  std::string why;
  switch (trust_.doubt(reading)) {
    case ClockDoubt::none: return {};
    case ClockDoubt::before_floor:
      why = fmt::format("before {}, when it was last known right", to_iso8601(trust_.floor()));
      break;
    case ClockDoubt::before_certificate:
      why = fmt::format("before {}, when this host's certificate begins", to_iso8601(own_->from));
      break;
    case ClockDoubt::after_certificate:
      why = fmt::format("after {}, when this host's certificate ends", to_iso8601(own_->to));
      break;
  }
  return fmt::format("this machine's clock says {}, {}, and nothing synchronises it",
                     to_iso8601(reading.wall), why);
}

ClockKeeper::Verdict ClockKeeper::on_welcome(const tunnel::PeerIdentity& peer, WallTime said) {
  const ClockReading reading = port_.read();
  if (!peer.judged_within) {
    // Of two times that both may be wrong the earlier one is the floor.
    keep_floor(std::min(said, trust_.now(reading)));
    return {};
  }
  if (!trust_.bounds(reading)) { return {.kind = Verdict::Kind::redial, .why = {}}; }
  switch (trust_.weigh(said, *peer.judged_within, tunnel::term_of(peer.certificate))) {
    case TimeOffer::take: return take(said);
    case TimeOffer::contradict:
      spdlog::warn("clock.contradiction the Console says {}, before {}: the clock is not set",
                   to_iso8601(said), to_iso8601(trust_.floor()));
      last_set_ =
          fmt::format("the Console says {}, which is before {}, when the time was last known",
                      to_iso8601(said), to_iso8601(trust_.floor()));
      return {};
    case TimeOffer::refuse: break;
  }
  return {.kind = Verdict::Kind::refuse,
          .why = fmt::format("this machine's clock says {}, which cannot be, and the Console says "
                             "{}, when its own certificate is not valid: {}",
                             to_iso8601(reading.wall), to_iso8601(said),
                             tunnel::to_string(peer.certificate))};
}

ClockKeeper::Verdict ClockKeeper::take(WallTime said) {
  set_or_stand_in(port_.read(), said);
  keep_floor(said);
  told_ = trust_.doubt(port_.read());
  return {.kind = Verdict::Kind::redial, .why = {}};
}

void ClockKeeper::set_or_stand_in(const ClockReading& reading, WallTime said) {
  const Millis difference = said - reading.wall;
  const std::string before = doubt_text(reading);
  cannot_set_ = "set_clock is false in uplink.toml";
  if (config_.set_clock) {
    const auto set = port_.set(said);
    const ClockReading after = port_.read();
    const bool stepped = std::chrono::abs(after.wall - said) < std::chrono::minutes(1);
    cannot_set_ = !set ? set.error().what : stepped ? "" : "it was set and is as before";
  }
  const bool is_set = cannot_set_.empty();
  if (!is_set) { trust_.use_console_time(said, reading.mono); }
  const ClockReading now = port_.read();
  use_correction(now);
  wall_minus_mono_ = offset_of(now);  // Our own step is no news.
  last_set_ = fmt::format("{} to {}, by {:.3f} s{}", is_set ? "set" : "not set", to_iso8601(said),
                          seconds_of(difference), is_set ? "" : ": " + cannot_set_);
  spdlog::warn("clock.{} {}; the Console says {}, a difference of {:.3f} s{}{}",
               is_set ? "set" : "not_set", before, to_iso8601(said), seconds_of(difference),
               is_set ? "" : "; its time is used in memory: ", cannot_set_);
  json::object data{{"from", to_iso8601(reading.wall)},
                    {"to", to_iso8601(said)},
                    {"difference_s", seconds_of(difference)}};
  if (!is_set) { data["why"] = cannot_set_; }
  events_.add(is_set ? "clock.set" : "clock.not_set", std::move(data));
}

void ClockKeeper::keep_floor(WallTime known) {
  if (!trust_.raise_floor(known)) { return; }
  store_.run([known](store::Store& s) { return s.raise_clock_floor(known); },
             [](const Result<void>&) {});  // The next WELCOME says it again.
}

void ClockKeeper::use_correction(const ClockReading& reading) {
  correct_wall_clock(trust_.correction(reading));
}

void ClockKeeper::watch() {
  const bool armed = watch_until_.has_value();
  watch_until_ = mono_now() + watch_for;
  if (armed) { return; }
  wall_minus_mono_ = offset_of(port_.read());
  arm();
}

void ClockKeeper::arm() {
  timer_.expires_after(period);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (!ec && watch_until_) { look(); }
  });
}

void ClockKeeper::look() {
  const ClockReading reading = port_.read();
  const Millis offset = offset_of(reading);
  const Millis step = offset - std::exchange(wall_minus_mono_, offset);
  use_correction(reading);
  tell(reading);
  if (std::chrono::abs(step) >= step_min) {
    spdlog::info("clock.stepped by_s={:.3f} now={}", seconds_of(step), to_iso8601(reading.wall));
    if (changed_) { changed_(); }
  }
  // Doubt keeps looking: the Console's time stands in only until the clock is right.
  if (mono_now() >= *watch_until_ && trust_.doubt(reading) == ClockDoubt::none) {
    watch_until_.reset();
    return;
  }
  arm();
}

json::object ClockKeeper::json() const {
  const ClockReading reading = port_.read();
  const auto bounds = trust_.bounds(reading);
  json::object out{
      {"trust", bounds                              ? "bounded"
                : trust_.uses_console_time(reading) ? "console"
                                                    : "strict"},
      {"time", to_iso8601(trust_.now(reading))},
      {"system_time", to_iso8601(reading.wall)},
      {"synchronised", reading.synchronised},
      {"doubt", std::string(tunnel::to_string(trust_.doubt(reading)))},
      {"floor", to_iso8601(trust_.floor())},
      {"policy", config_.clock_trust == Config::Tunnel::ClockTrust::strict ? "strict" : "bounded"},
      {"set_clock", config_.set_clock}};
  if (bounds) {
    out["bounds"] = {{"from", to_iso8601(bounds->from)}, {"to", to_iso8601(bounds->to)}};
  }
  if (!last_set_.empty()) { out["last"] = last_set_; }
  return out;
}

std::string ClockKeeper::problem() const {
  const ClockReading reading = port_.read();
  std::string text = doubt_text(reading);
  if (text.empty()) { return text; }
  if (trust_.uses_console_time(reading)) {
    return fmt::format(
        "{}; the Console's time is used instead ({}), because the clock could not "
        "be set: {}",
        text, to_iso8601(trust_.now(reading)), cannot_set_);
  }
  if (const auto bounds = trust_.bounds(reading)) {
    return fmt::format("{}; the Console's certificate is judged as of some time from {} to {}",
                       text, to_iso8601(bounds->from), to_iso8601(bounds->to));
  }
  return text + "; certificates are judged by it all the same";
}

}  // namespace edge::uplink
