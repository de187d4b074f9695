#include "uplink/daemon/outbox.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "uplink/daemon/events.hpp"

namespace edge::uplink {

namespace json = boost::json;
using tunnel::Channel;

Outbox::Outbox(boost::asio::io_context& io, store::StoreWorker& store, Send send, Snapshot snapshot)
    : store_(store),
      send_(std::move(send)),
      snapshot_(std::move(snapshot)),
      snapshot_timer_(io),
      period_timer_(io),
      retry_timer_(io) {
  arm_period();
}

void Outbox::stop() {
  snapshot_timer_.cancel();
  period_timer_.cancel();
  retry_timer_.cancel();
  snapshot_armed_ = true;
  fetching_ = true;
}

void Outbox::restart() {
  ++generation_;
  fetching_ = true;
  store_.run([](store::Store& s) { return s.acked_events(); },
             [this, generation = generation_](const Result<std::int64_t>& acked) {
               if (generation != generation_) { return; }
               acked_ = acked.value_or(acked_);
               sent_ = acked_;
               fetching_ = false;
               pump();
             });
  snapshot_soon();
}

void Outbox::pump() {
  if (fetching_) {
    again_ = true;
    return;
  }
  if (generation_ == 0 || static_cast<std::size_t>(sent_ - acked_) >= in_flight_max) { return; }
  fetching_ = true;
  again_ = false;
  store_.run(
      [after = sent_](store::Store& s) { return s.events_after(after, batch); },
      [this, generation = generation_](const Result<std::vector<store::EventRecord>>& events) {
        if (generation != generation_) { return; }
        fetching_ = false;
        if (!events) {
          spdlog::error("events.unreadable reason={}", events.error().what);
          return;
        }
        for (const auto& event : *events) {
          if (const auto sent = send_event(event); !sent) {
            retry_timer_.expires_after(std::chrono::seconds(1));
            retry_timer_.async_wait([this](boost::system::error_code ec) {
              if (!ec) { pump(); }
            });
            return;
          }
          sent_ = event.number;
        }
        if (again_ || events->size() == batch) { pump(); }
      });
}

Result<void> Outbox::send_event(const store::EventRecord& event) {
  json::object message = to_json(event);
  message["type"] = "event";
  const auto whole = send_(Channel::events, json::serialize(message));
  if (whole || whole.error().code != Errc::invalid_input) { return whole; }
  message["data"] = json::object{{"dropped_bytes", event.json.size()}};
  const auto shortened = send_(Channel::events, json::serialize(message));
  if (shortened) {
    spdlog::warn("event.shortened n={} kind={} reason=\"{}\"", event.number, event.kind,
                 whole.error().what);
  }
  return shortened;
}

void Outbox::on_message(std::string_view text) {
  boost::system::error_code ec;
  const json::value parsed = json::parse(text, ec, {}, {.max_depth = 16});
  const auto* message = ec ? nullptr : parsed.if_object();
  const auto* number = message == nullptr ? nullptr : message->if_contains("n");
  if (number == nullptr || !number->is_int64()) {
    spdlog::warn("events.malformed_ack bytes={}", text.size());
    return;
  }
  acked_ = std::clamp(number->as_int64(), acked_, sent_);
  store_.run([n = acked_](store::Store& s) { return s.ack_events(n); },
             [](const Result<void>&) {});  // Not stored: the Console drops what it has twice.
  pump();
}

void Outbox::snapshot_soon() {
  if (snapshot_armed_) { return; }
  snapshot_armed_ = true;
  snapshot_timer_.expires_after(snapshot_delay);
  snapshot_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    snapshot_armed_ = false;
    send_snapshot();
  });
}

void Outbox::arm_period() {
  period_timer_.expires_after(snapshot_period);
  period_timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) { return; }
    snapshot_soon();
    arm_period();
  });
}

void Outbox::send_snapshot() {
  if (generation_ == 0) { return; }
  json::object message = snapshot_();
  message["type"] = "snapshot";
  // What the Console does not join is named, not cut in the middle.
  json::array left_out;
  std::string text = json::serialize(message);
  for (const char* section : {"model", "gateway", "interfaces", "networks", "revisions"}) {
    if (text.size() <= snapshot_bytes_max) { break; }
    message.erase(section);
    left_out.emplace_back(section);
    message["left_out"] = left_out;
    text = json::serialize(message);
  }
  if (const auto sent = send_(Channel::telemetry, text); !sent) {
    spdlog::debug("snapshot.unsent reason={}", sent.error().what);
  }
}

}  // namespace edge::uplink
