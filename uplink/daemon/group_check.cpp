// Sends check frames between the members of groups and keeps the verdict.
#include "uplink/daemon/group_check.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <boost/json.hpp>

#include "netmodel/io/lacp.hpp"
#include "uplink/core/group_check.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/texts.hpp"

namespace edge::uplink {

namespace {

/// A switch does not return a frame to the aggregate that it came from: such bonds are checked
/// before they are made only.
bool can_be_checked_later(const netmodel::Group& group) {
  return group.adapters.size() > 1 && group.mode == netmodel::GroupMode::active_backup;
}

bool speaks_lacp(const netmodel::Group& group) {
  return group.adapters.size() > 1 && group.mode == netmodel::GroupMode::lacp;
}

/// Its switch may be set up before the group is: then silence between the members proves nothing.
constexpr const char* aggregate_note = "; so it is where the switch has them as one aggregate";

}  // namespace

GroupCheck::GroupCheck(boost::asio::io_context& io, const Ports& ports, EventLog& events,
                       std::string host_id)
    : ports_(ports),
      events_(events),
      host_id_(std::move(host_id)),
      worker_(io, CheckBox{}),
      timer_(io),
      lacp_timer_(io),
      run_(static_cast<std::uint32_t>(mono_now().time_since_epoch().count())) {}

void GroupCheck::stop() {
  stopped_ = true;
  timer_.cancel();
  lacp_timer_.cancel();
}

std::vector<std::string> GroupCheck::askable(const netmodel::Group& group) const {
  std::vector<std::string> out;
  for (const MacAddress& mac : group.adapters) {
    const Port* port = ports_.find(to_hex(mac));
    if (port != nullptr && port->present && port->card_carrier) { out.push_back(port->name); }
  }
  return out;
}

void GroupCheck::changed(const netmodel::Model& model) {
  if (stopped_) { return; }
  std::string now;
  for (const auto& [id, group] : model.groups) {
    if (!can_be_checked_later(group) && !speaks_lacp(group)) { continue; }
    now += id + ":";
    for (const auto& name : askable(group)) {
      now += name + "@" + std::to_string(ports_.find_by_name(name)->carrier_changes) + ",";
    }
  }
  if (now == seen_) { return; }
  seen_ = std::move(now);
  model_.groups = model.groups;
  const auto is_gone = [&](const auto& item) { return !model.groups.contains(item.first); };
  std::erase_if(verdicts_, is_gone);
  std::erase_if(lacp_before_, is_gone);
  arm(after_change);
  watch_lacp();
}

void GroupCheck::watch_lacp() {
  const bool any =
      std::ranges::any_of(model_.groups, [](const auto& item) { return speaks_lacp(item.second); });
  if (!any || lacp_watched_ || stopped_) { return; }
  lacp_watched_ = true;
  lacp_timer_.expires_after(lacp_interval);
  lacp_timer_.async_wait([this](boost::system::error_code ec) {
    lacp_watched_ = false;
    if (ec || stopped_) { return; }
    look_at_lacp();
    watch_lacp();
  });
}

void GroupCheck::look_at_lacp() {
  for (const auto& [id, group] : model_.groups) {
    if (!speaks_lacp(group)) { continue; }
    Verdict verdict{.time = wall_now(), .members = askable(group), .lines = {}};
    std::vector<Aggregated> members;
    for (const std::string& name : verdict.members) {
      if (const auto state =
              netmodel::read_lacp(name)) {  // Not yet, or no longer, a member: no verdict.
        members.push_back({name, state->partner, state->aggregator == state->active});
      }
    }
    verdict.lines = lacp_lines(id, members);
    if (std::exchange(lacp_before_[id], verdict.lines) == verdict.lines) { keep(id, verdict); }
  }
}

void GroupCheck::arm(std::chrono::steady_clock::duration delay) {
  timer_.expires_after(delay);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec || stopped_) { return; }
    check_all(model_, [this] {
      const bool split = std::ranges::any_of(
          verdicts_, [](const auto& item) { return !item.second.lines.empty(); });
      if (seen_.empty() || stopped_) { return; }
      arm(split ? std::chrono::steady_clock::duration(interval_split) : interval);
    });
  });
}

void GroupCheck::check_all(const netmodel::Model& model, std::function<void()> done) {
  auto pending = std::make_shared<std::size_t>(1);
  const auto one_less = [pending, done = std::move(done)] {
    if (--*pending == 0) { done(); }
  };
  for (const auto& [id, group] : model.groups) {
    if (!can_be_checked_later(group)) { continue; }
    ++*pending;
    ask(id, askable(group), [this, id, one_less](const Verdict& verdict) {
      keep(id, verdict);
      one_less();
    });
  }
  one_less();
}

void GroupCheck::check_new(const netmodel::Model& before, const netmodel::Model& after,
                           std::function<void(std::vector<std::string>)> done) {
  auto lines = std::make_shared<std::vector<std::string>>();
  auto pending = std::make_shared<std::size_t>(1);
  const auto one_less = [pending, lines, done = std::move(done)] {
    if (--*pending == 0) { done(std::move(*lines)); }
  };
  for (const auto& [id, group] : after.groups) {
    const auto known = before.groups.find(id);
    const bool same = known != before.groups.end() && known->second.adapters == group.adapters;
    if (same || group.adapters.size() < 2) { continue; }
    ++*pending;
    const bool aggregate = group.mode != netmodel::GroupMode::active_backup;
    ask(id, askable(group), [lines, one_less, aggregate](const Verdict& verdict) {
      for (const auto& line : verdict.lines) {
        lines->push_back(aggregate ? line + aggregate_note : line);
      }
      one_less();
    });
  }
  one_less();
}

void GroupCheck::ask(const std::string& id, std::vector<std::string> members, Done done) {
  if (members.size() < 2 || stopped_) {  // Nobody to hear.
    done({.time = wall_now(), .members = std::move(members), .lines = {}});
    return;
  }
  netmodel::MemberCheckOptions options;
  options.host_id = host_id_;
  options.group = id;
  options.members = members;
  options.run = ++run_;
  worker_.run(
      [options](CheckBox&) { return netmodel::check_members(options); },
      [id, members, done](const Result<netmodel::MemberCheckResult>& result) {
        Verdict verdict{.time = wall_now(), .members = members, .lines = {}};
        if (!result) {
          verdict.lines.push_back("group \"" + id + "\": not checked: " + result.error().what);
          done(verdict);
          return;
        }
        std::vector<Hearing> heard;
        for (const auto& pair : result->heard) { heard.push_back({pair.from, pair.by, pair.vlan}); }
        verdict.lines = split_lines(id, members, heard);
        for (const auto& trouble : result->troubles) {
          verdict.lines.push_back(fmt::format("group \"{}\": {}", id, trouble));
        }
        done(verdict);
      });
}

void GroupCheck::keep(const std::string& id, const Verdict& verdict) {
  const std::vector<std::string> before = verdicts_[id].lines;
  verdicts_[id] = verdict;
  if (before == verdict.lines) { return; }
  if (verdict.lines.empty()) {
    events_.add("group.whole", {{"group", id}, {"members", texts(verdict.members)}});
  } else {
    events_.add("group.split", {{"group", id}, {"what", texts(verdict.lines)}});
    if (!stopped_) { arm(interval_split); }  // Also where a person asked.
  }
}

}  // namespace edge::uplink
