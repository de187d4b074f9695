// What the daemon does with each look at the kernel: tells what is new, hands it on, looks again.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/json.hpp>

#include "uplink/core/takeover.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/daemon.hpp"
#include "uplink/daemon/machine.hpp"

namespace edge::uplink {

namespace json = boost::json;

void Daemon::first_look() {
  struct Standing {
    netmodel::ObservedState observed;
    std::optional<netmodel::NftState> nft;
  };
  // What stands is looked at before anything is planned: a restart must not see its own bridges as
  // strange, nor its publications as new.
  kernel_.run(
      [](KernelBox& box) -> Result<Standing> {
        Standing out;
        EDGE_ASSIGN(out.observed, box.kernel->dump({}));
        EDGE_ASSIGN(out.nft, box.kernel->dump_nft());
        return out;
      },
      [this](const Result<Standing>& standing) {
        if (stopping_) { return; }
        tell_sight(standing.has_value(), standing ? "" : standing.error().what);
        if (!standing) {
          spdlog::error("kernel.unreadable reason={}", standing.error().what);
          retry_timer_.expires_after(std::chrono::seconds(1));
          retry_timer_.async_wait([this](boost::system::error_code ec) {
            if (!ec) { first_look(); }
          });
          return;
        }
        if (standing->nft) { flows_.stood(*standing->nft); }
        tell_takeover(standing->observed);
        ports_.on_dump(standing->observed, reconciler_.model());
        reconciler_.request("start");
        reconciler_.resume();
      });
}

/// Before the first write: what is taken; and, where that is news, what is in the way and what is
/// left alone.
void Daemon::tell_takeover(const netmodel::ObservedState& observed) {
  std::vector<Finding> others;
  for (auto& finding : takeover_findings(observed, ports_.adapters(observed), look_around())) {
    if (finding.kind == takeover_adapter) {
      events_.add(finding.kind, std::move(finding.data));
    } else {
      others.push_back(std::move(finding));
    }
  }
  std::string text;
  for (const auto& finding : others) { text += json::serialize(finding.data) + "\n"; }
  store_.run(
      [text](store::Store& s) -> Result<bool> {
        EDGE_ASSIGN(const auto told, s.setting("takeover_told"));
        if (told.value_or("") == text) { return false; }
        EDGE_TRY(s.put_setting("takeover_told", text));
        return true;
      },
      [this, others](const Result<bool>& news) {
        if (news && !*news) { return; }
        for (const auto& finding : others) { events_.add(finding.kind, finding.data); }
      });
}

void Daemon::on_model(const netmodel::Model& model) {
  ports_.take_places(model);
  tunnel_.use_endpoints(model.host.console_endpoints);
  // A trial may go back to those from before: their paths stay up until it is over.
  if (!commands_.trying()) { retire_endpoints(); }
}

void Daemon::retire_endpoints() {
  if (!tunnel_.retire_endpoints()) { return; }
  events_.add("console.endpoints", tunnel_.endpoints_json());
}

/// Nothing is proven without a look: what runs waits for it, and what stands behind it too.
void Daemon::tell_sight(bool readable, std::string_view why) {
  const auto news = sight_.on_look(readable, mono_now());
  if (!news) { return; }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(news->lasted).count();
  if (news->readable) {
    events_.add("kernel.readable", {{"after_s", seconds}});
    return;
  }
  events_.add("kernel.unreadable",
              {{"what", why}, {"since_s", seconds}, {"commands_wait", !commands_.at_rest()}});
}

void Daemon::on_turn(const TurnResult& turn) {
  tell_sight(turn.seen(), turn.errors.empty() ? "" : turn.errors.front());
  tell_drift(turn);
  tell_notes(turn);
  if (turn.seen()) {
    tell_released(turn);
    if (turn.verified) { sysctl_watch_.expect(turn.observed.sysctls); }
    ports_.on_dump(turn.observed, reconciler_.model());
    // Of a turn that began with another model the guests are still where they were.
    if (turn.verified && turn.of_present_model) { failover_.seated(ports_, reconciler_.model()); }
  }
  services_.apply(turn.rendered.services);
  resolvers_.apply(turn.rendered.resolvers);
  virtual_ip_.apply(turn.rendered.virtual_address);
  if (turn.seen()) { virtual_ip_.observe(turn.observed); }
  group_check_.changed(reconciler_.model());
  // What the kernel shows, not what was wished: a withdrawal that it refused ends no flow.
  if (turn.seen() && turn.look->nft) { flows_.on_rules(*turn.look->nft); }
  if (turn.rendered.automatic_subnets != automatic_subnets_) {
    automatic_subnets_ = turn.rendered.automatic_subnets;
    store_.run([subnets = automatic_subnets_](store::Store& s) { return keep_subnets(s, subnets); },
               [](const Result<void>& stored) {
                 if (!stored) {
                   spdlog::error("subnets.not_stored reason={}", stored.error().what);
                 }
               });
    reconciler_.request("automatic subnets");
  }
  if (!turn.verified &&
      !stopping_) {  // The kernel refused or changed meanwhile: look again, not in a spin.
    retry_timer_.expires_after(std::chrono::milliseconds(turn.errors.empty() ? 50 : 1000));
    retry_timer_.async_wait([this](boost::system::error_code ec) {
      if (!ec) { reconciler_.request("not verified"); }
    });
  }
  host_ports_.refresh(uplink_addresses());  // What listens is told from a question in flight by how
                                            // long it is there.
  if (!std::exchange(recovered_, true)) {
    // A trial from before may have been undone by this turn; if the kernel refused, Commands looks
    // for a state that it takes, and nothing is dialled before that.
    const bool refused = !turn.errors.empty() || !turn.conflicts.empty();
    if (!refused || !has_undo(memory_.unfinished)) { tunnel_.release(); }
    commands_.recover(std::move(memory_.unfinished));
    ready_.say();
  }
  changed();
}

void Daemon::tell_drift(const TurnResult& turn) {
  const auto& before = reconciler_.last();
  const bool same_wish = before && before->verified &&
                         before->rendered.state == turn.rendered.state &&
                         before->rendered.nft == turn.rendered.nft;
  if (!same_wish || turn.plan.empty()) { return; }
  json::array lines;
  for (const auto& line : turn.plan) {
    if (lines.size() == 20) { break; }
    lines.emplace_back(line.substr(0, 400));
  }
  events_.add(
      "drift.repaired",
      {{"writes", turn.plan.size()}, {"lines", std::move(lines)}, {"verified", turn.verified}});
}

/// Ports of somebody else whose bridge went with its network: they are left in no bridge.
void Daemon::tell_released(const TurnResult& turn) {
  for (const auto& [bridge, names] : ports_.foreign_ports()) {
    if (turn.observed.find_link(bridge) != nullptr) { continue; }
    for (const auto& name : names) {
      const auto* link = turn.observed.find_link(name);
      if (link == nullptr || !link->link.master.empty()) { continue; }
      events_.add(
          "port.released",
          {{"link", name},
           {"bridge", bridge},
           {"what", fmt::format("{} is in no bridge any more: its bridge {} went", name, bridge)}});
    }
  }
}

void Daemon::tell_notes(const TurnResult& turn) {
  std::vector<std::string> now;
  for (const auto& note : turn.rendered.notes) {
    now.push_back(note.what);
    if (std::ranges::find(notes_told_, note.what) == notes_told_.end()) {
      events_.add(note.kind, {{"what", note.what}});
    }
  }
  for (const auto& conflict : turn.conflicts) {
    now.push_back(conflict);
    if (std::ranges::find(notes_told_, conflict) == notes_told_.end()) {
      events_.add("conflict", {{"what", conflict}});
    }
  }
  notes_told_ = std::move(now);
}

}  // namespace edge::uplink
