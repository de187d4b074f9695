// Polls the carrier of the watched links, each at its own interval, and calls back on a change.
#include "netmodel/io/carrier_poller.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace edge::netmodel {

using Clock = std::chrono::steady_clock;

/// Callbacks run from read_one(), which therefore holds no iterator across them.
struct CarrierPoller::State : std::enable_shared_from_this<State> {
  struct Watched {
    CarrierReader reader;
    CarrierReading last;
    std::chrono::milliseconds interval;
    Clock::time_point due;
  };

  State(const boost::asio::any_io_executor& executor, Callback callback)
      : timer(executor), on_change(std::move(callback)) {}

  void arm();
  void on_timer();
  void read_one(const std::string& link);

  boost::asio::steady_timer timer;
  Callback on_change;
  std::optional<SysfsNet> sysfs;
  std::map<std::string, Watched> watched;
  bool stopped = false;
};

void CarrierPoller::State::arm() {
  if (stopped || watched.empty()) {
    timer.cancel();
    return;
  }
  const auto earliest =
      std::ranges::min_element(watched, {}, [](const auto& entry) { return entry.second.due; });
  timer.expires_at(earliest->second.due);
  timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
    if (!error && !self->stopped) { self->on_timer(); }
  });
}

void CarrierPoller::State::on_timer() {
  const auto now = Clock::now();
  std::vector<std::string> due;
  for (auto& [name, link] : watched) {
    if (link.due > now) { continue; }
    link.due = now + link.interval;
    due.push_back(name);
  }
  for (const std::string& name : due) { read_one(name); }
  arm();
}

void CarrierPoller::State::read_one(const std::string& name) {
  const auto found = watched.find(name);
  if (stopped || found == watched.end()) { return; }
  Watched& link = found->second;
  const auto reading = link.reader.read();
  CarrierChange change{
      .link = name, .index = link.reader.index(), .down_count = link.last.down_count};
  if (!reading) {
    if (reading.error().code != Errc::not_found) { return; }  // Tried again at the next tick.
    change.gone = true;
    watched.erase(found);
  } else {
    if (*reading == link.last) { return; }
    const CarrierReading before = std::exchange(link.last, *reading);
    change.carrier = reading->carrier;
    change.admin_up = reading->admin_up;
    change.down_count = reading->down_count;
    change.short_pull =
        before.carrier && reading->carrier && before.down_count != reading->down_count;
    const bool news = before.carrier != reading->carrier || before.admin_up != reading->admin_up ||
                      change.short_pull;
    if (!news) { return; }
  }
  if (on_change) { on_change(change); }
}

CarrierPoller::CarrierPoller(boost::asio::any_io_executor executor, Callback on_change)
    : state_(std::make_shared<State>(std::move(executor), std::move(on_change))) {
  if (auto sysfs = SysfsNet::open()) {
    state_->sysfs = std::move(*sysfs);
  }  // Else netlink is asked.
}

CarrierPoller::~CarrierPoller() {
  state_->stopped = true;
  state_->timer.cancel();
}

Result<CarrierReading> CarrierPoller::watch(const std::string& link, IfIndex index,
                                            std::chrono::milliseconds interval) {
  const auto due = Clock::now() + interval;
  const auto known = state_->watched.find(link);
  if (known != state_->watched.end() && known->second.reader.index() == index) {
    known->second.interval = interval;
    known->second.due = std::min(known->second.due, due);
    state_->arm();
    return known->second.last;
  }
  if (known == state_->watched.end() && state_->watched.size() >= links_max) {
    return fail(Errc::no_space, "watch carrier of " + link + ": 256 links are watched already");
  }
  EDGE_ASSIGN(CarrierReader reader,
              CarrierReader::open(state_->sysfs ? &*state_->sysfs : nullptr, link, index));
  EDGE_ASSIGN(const CarrierReading reading, reader.read());
  state_->watched.insert_or_assign(
      link, State::Watched{
                .reader = std::move(reader), .last = reading, .interval = interval, .due = due});
  state_->arm();
  return reading;
}

void CarrierPoller::forget(const std::string& link) {
  state_->watched.erase(link);
  state_->arm();
}

std::optional<CarrierReading> CarrierPoller::read(const std::string& link) {
  const auto found = state_->watched.find(link);
  if (found == state_->watched.end()) { return std::nullopt; }
  const auto reading = found->second.reader.read();
  return reading ? std::optional(*reading) : std::nullopt;
}

void CarrierPoller::on_link_event(const LinkEvent& event) {
  const auto found = state_->watched.find(event.name);
  if (found == state_->watched.end() || found->second.reader.index() != event.index) { return; }
  if (event.admin_up && !event.gone) {
    found->second.reader.resync(event.carrier, event.carrier_up_count, event.carrier_down_count);
  }
  state_->read_one(event.name);
}

void CarrierPoller::poll_now() {
  std::vector<std::string> names;
  for (const auto& [name, link] : state_->watched) { names.push_back(name); }
  for (const std::string& name : names) { state_->read_one(name); }
}

}  // namespace edge::netmodel
