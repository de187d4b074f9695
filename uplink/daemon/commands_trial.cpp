// Commands: a change that can touch a path is tried out, judged, and kept or taken back.
#include <algorithm>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "netmodel/core/difference.hpp"
#include "netmodel/core/groups.hpp"
#include "netmodel/core/rescue.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/commands.hpp"

namespace edge::uplink {

namespace asio = boost::asio;
namespace json = boost::json;
using store::CommandState;

namespace {

constexpr std::size_t revisions_tried_max = 20;
constexpr std::size_t refusals_told_max = 5;

json::array array_of(const std::vector<std::string>& lines) {
  json::array out;
  for (const auto& line : lines) { out.emplace_back(line); }
  return out;
}

/// What a restart needs to know: that it was a trial, and of what.
std::string undo_text(std::int64_t revision, std::int64_t number, const TrialTerms& terms,
                      const std::vector<std::string>& known) {
  json::array before;
  for (const PathSight& sight : terms.before) {
    before.push_back(
        json::object{{"path", sight.name}, {"broken", std::string(to_string(sight.broken))}});
  }
  const auto deadline = mono_now() + terms.confirm_within;
  return json::serialize(
      json::object{{"revision", revision},
                   {"number", number},
                   {"deadline_mono_ms", deadline.time_since_epoch() / std::chrono::milliseconds(1)},
                   {"known_trouble", array_of(known)},
                   {"paths", std::move(before)}});
}

std::string to_line(const std::vector<std::string>& refusals) {
  const std::size_t told = std::min(refusals.size(), refusals_told_max);
  const auto first = std::span(refusals).first(told);
  const std::size_t more = refusals.size() - told;
  return fmt::format("{}{}", fmt::join(first, "; "),
                     more == 0 ? "" : fmt::format("; and {} more", more));
}

/// Trouble that was there before the trial that `undo` belongs to.
std::vector<std::string> known_trouble(const std::string& undo) {
  std::vector<std::string> out;
  boost::system::error_code ec;
  const json::value parsed = json::parse(undo, ec);
  const auto* lines =
      ec || !parsed.is_object() ? nullptr : parsed.get_object().if_contains("known_trouble");
  if (lines == nullptr || !lines->is_array()) { return out; }
  for (const json::value& line : lines->get_array()) {
    if (line.is_string()) { out.emplace_back(line.get_string()); }
  }
  return out;
}

}  // namespace

std::string Commands::unproven(const Shown& shown) {
  const bool accepted = !shown.proven && shown.refused.empty();
  return accepted ? " (written, but the kernel does not show all of it yet: see \"uplinkctl plan\")"
                  : "";
}

TrialTerms Commands::terms_of(const Decision& decision, const netmodel::PortImpact& impact) const {
  TrialTerms terms;
  terms.before = trials_.sights();
  for (const MacAddress& leader : impact.touched) { terms.affected.insert(to_hex(leader)); }
  for (const MacAddress& leader : impact.ended) { terms.leaving.insert(to_hex(leader)); }
  // Another list of the Console's addresses: each port has to reach one of it.
  const bool other_addresses =
      reconciler_.model().host.console_endpoints != decision.model->host.console_endpoints;
  for (const PathSight& sight : terms.before) {
    const std::string& port = sight.key.port;
    if (!other_addresses || terms.leaving.contains(port)) { continue; }
    if (terms.affected.insert(port).second) { terms.readdressed.insert(port); }
  }
  // What ends is missed by those that stay: each of them has to prove that it carries the host.
  for (const PathSight& sight : terms.before) {
    if (!impact.ended.empty() && sight.up() && !terms.leaving.contains(sight.key.port)) {
      terms.affected.insert(sight.key.port);
      terms.readdressed.erase(sight.key.port);
    }
  }
  terms.confirm_within = decision.confirm_within;
  terms.begins_within = netmodel::begins_within(reconciler_.model(), *decision.model);
  terms.accept_regression = decision.accept_regression;
  terms.needs_confirm = !decision.item.local;
  return terms;
}

asio::awaitable<void> Commands::try_out(std::shared_ptr<Batch> batch) {
  trying_ = batch->front().item.id;
  if (batch->front().item.undo.empty()) {
    co_await begin_trial(batch);
  } else {
    under_way_ = true;
    co_await undo(batch->front());
  }
  trials_.forget();
  trying_.clear();
  if (hooks_.tried) { hooks_.tried(); }
}

/// A former life left it. The start has shown the stored revision, if the kernel let it.
asio::awaitable<void> Commands::undo(Decision& decision) {
  std::shared_ptr<const netmodel::Model> former = decision.former;
  netmodel::Model stored = co_await stored_model(std::move(former));
  std::vector<std::string> before_it = known_trouble(decision.item.undo);
  Landing landing = co_await go_back(std::move(stored), std::move(before_it));
  if (stopped_) { co_return; }  // The next start undoes it.
  decision.landed = std::move(landing.model);
  if (decision.landed) { decision.problems.push_back({std::nullopt, "", landing.where}); }
  if (hooks_.undone) { hooks_.undone(); }
}

bool Commands::certainly_cuts(const Decision& decision, const TurnResult& planned) {
  if (planned.consequences.cuts_last_path) { return true; }
  return decision.ways && decision.ways->was_active && decision.ways->left.empty() &&
         planned.impact.touched.empty();
}

bool Commands::refuse_certain_cut(Decision& decision, const TurnResult& planned) {
  if (decision.force || !certainly_cuts(decision, planned)) { return false; }
  refuse(decision,
         "it would cut the last way to the Console; to do it all the same, say \"force\": true "
         "(uplinkctl: --force)");
  for (auto& line : netmodel::to_lines_of_ways(planned.consequences)) {
    decision.problems.push_back({std::nullopt, "", std::move(line)});
  }
  return true;
}

asio::awaitable<TurnResult> Commands::foresee(Decision& decision) {
  netmodel::Model candidate = *decision.model;
  TurnResult planned = co_await reconciler_.plan_only(std::move(candidate));
  foretell(decision, planned);
  co_return planned;
}

bool Commands::called_off(Decision& decision) {
  if (stopped_) { return true; }
  if (!trials_.aborted()) { return false; }
  refuse(decision, *trials_.aborted() + " before it was applied");
  return true;
}

asio::awaitable<void> Commands::begin_trial(std::shared_ptr<Batch> batch) {
  Decision& decision = batch->front();
  const netmodel::Model before = reconciler_.model();
  // First: which path is the last one shows when those that were up before the trial before are
  // back.
  co_await trials_.steady(!decision.item.local);
  if (called_off(decision)) { co_return; }
  const TurnResult planned = co_await foresee(decision);
  if (called_off(decision) || refuse_certain_cut(decision, planned)) { co_return; }
  std::vector<std::string> known = reconciler_.trouble();
  TrialTerms terms = terms_of(decision, planned.impact);
  std::string undo = undo_text(revision_, decision.item.number, terms, known);
  const bool begun = co_await begin(batch, std::move(undo));
  if (!begun || called_off(decision)) { co_return; }
  decision.warnings = co_await advice(before, *decision.model);
  if (called_off(decision)) { co_return; }
  decision.before = before;
  decision.known = known;
  trials_.prepare(terms);
  reconciler_.set_model(*decision.model);
  std::string why = "trial " + decision.item.id;
  TurnResult turn = co_await reconciler_.converge(std::move(why));
  decision.plan = turn.plan;
  std::vector<std::string> reasons = turn.reasons_beside(known);
  if (!turn.shows_but(known)) {
    co_await refuse_applied(decision, before, std::move(reasons), std::move(known));
    co_return;
  }
  // A WELCOME from before the change proves nothing: counted from here.
  for (const PathSight& now_sight : trials_.sights()) {
    for (PathSight& sight : terms.before) {
      if (sight.key == now_sight.key) { sight.welcomes = now_sight.welcomes; }
    }
  }
  co_await judge(decision, std::move(terms));
}

asio::awaitable<void> Commands::judge(Decision& decision, TrialTerms terms) {
  const std::string id = decision.item.id;
  auto confirming = [id](store::Store& s) {
    return s.mark(id, CommandState::confirming, "applied");
  };
  const auto marked = co_await store_.call(std::move(confirming));
  if (!marked) {  // The undo is on disk all the same.
    spdlog::warn("command.not_marked id={} reason={}", id, marked.error().what);
  }
  events_.add("trial.began",
              {{"command", id},
               {"confirm_within_s",
                std::chrono::duration_cast<std::chrono::seconds>(terms.confirm_within).count()},
               {"ports", terms.affected.size()}});
  say({{"type", "state"}, {"id", id}, {"state", "confirming"}});
  Judgement judgement = co_await trials_.run(id, std::move(terms));
  if (judgement.verdict == Verdict::wait) { co_return; }  // The daemon stops.
  if (judgement.verdict == Verdict::keep) {
    for (auto& line : judgement.reasons) {
      decision.warnings.push_back("lost by consent: " + std::move(line));
    }
    for (auto& line : unreached(decision)) { decision.warnings.push_back(std::move(line)); }
    events_.add("trial.kept", {{"command", id}, {"lost", array_of(judgement.reasons)}});
    co_return;
  }
  co_await take_back(decision, std::move(judgement.reasons));
}

/// Addresses of the Console that are on the list all the same: one may be of a site that sleeps.
std::vector<std::string> Commands::unreached(const Decision& decision) const {
  std::vector<std::string> out;
  if (decision.before->host.console_endpoints == decision.model->host.console_endpoints) {
    return out;
  }
  const std::vector<PathSight> sights = trials_.sights();
  std::set<std::size_t> told;
  for (const PathSight& sight : sights) {
    const bool reached = std::ranges::any_of(sights, [&sight](const PathSight& other) {
      return other.key.endpoint == sight.key.endpoint && other.up();
    });
    if (sight.replaced || reached || !told.insert(sight.key.endpoint).second) { continue; }
    out.push_back(fmt::format("not reached yet: path {}: {}: {}", sight.name,
                              to_string(sight.broken), sight.cause));
  }
  return out;
}

asio::awaitable<void> Commands::take_back(Decision& decision, std::vector<std::string> reasons) {
  netmodel::Model wanted = *decision.before;
  std::vector<std::string> known = decision.known;
  co_await undrain(decision);  // First: the ports are named as they are now.
  Landing landing = co_await go_back(std::move(wanted), std::move(known));
  if (stopped_) { co_return; }
  decision.state = CommandState::rolled_back;
  decision.model.reset();
  decision.actions.clear();
  decision.landed = std::move(landing.model);
  events_.add(
      "trial.taken_back",
      {{"command", decision.item.id}, {"where", landing.where}, {"reasons", array_of(reasons)}});
  for (auto& line : reasons) { decision.problems.push_back({std::nullopt, "", std::move(line)}); }
  decision.problems.push_back({std::nullopt, "", "taken back: " + landing.where});
}

asio::awaitable<void> Commands::refuse_applied(Decision& decision, const netmodel::Model& before,
                                               std::vector<std::string> reasons,
                                               std::vector<std::string> known) {
  netmodel::Model wanted = before;
  Landing landing = co_await go_back(std::move(wanted), std::move(known));
  if (stopped_) { co_return; }
  refuse(decision, "it could not be applied; the network is back at " + landing.where);
  decision.landed = std::move(landing.model);
  for (auto& reason : reasons) {
    decision.problems.push_back({std::nullopt, "", std::move(reason)});
  }
}

asio::awaitable<Commands::Landing> Commands::go_back(netmodel::Model before,
                                                     std::vector<std::string> known) {
  netmodel::Model wanted = before;
  Shown shown = co_await shows(std::move(wanted), known);
  if (stopped_) { co_return Landing{}; }  // Nothing more is written: it says nothing of the kernel.
  if (shown.refused.empty()) {
    co_return Landing{fmt::format("revision {}{}", revision_, unproven(shown)), std::nullopt};
  }
  events_.add("undo.refused", {{"revision", revision_}, {"what", array_of(shown.refused)}});
  auto newest = [](store::Store& s) { return s.revisions(revisions_tried_max); };
  const auto summaries = co_await store_.call(std::move(newest));
  for (const auto& summary : summaries ? *summaries : std::vector<store::RevisionSummary>{}) {
    const std::int64_t number = summary.number;
    auto read = [number](store::Store& s) { return s.revision(number); };
    const auto revision = co_await store_.call(std::move(read));
    if (!revision || !*revision) { continue; }
    auto older = netmodel::model_from_json((*revision)->model);
    if (!older) { continue; }
    // The kernel has refused a network. Where the Console is has not gone back with it.
    older->host.console_endpoints = before.host.console_endpoints;
    if (*older == before) { continue; }
    wanted = *older;
    shown = co_await shows(std::move(wanted), known);
    if (stopped_) { co_return Landing{}; }
    if (shown.refused.empty()) {
      co_return Landing{fmt::format("the model of revision {}, because the kernel refused that of "
                                    "revision {}{}",
                                    number, revision_, unproven(shown)),
                        std::move(*older)};
    }
  }
  netmodel::Model rescue = netmodel::rescue_of(before);
  wanted = rescue;
  shown = co_await shows(std::move(wanted), known);
  std::string where = "the rescue state: DHCP on every port, no groups" + unproven(shown);
  if (!shown.refused.empty()) {
    where += "; of it the kernel refused: " + to_line(shown.refused);
    events_.add("undo.refused", {{"rescue", true}, {"what", array_of(shown.refused)}});
  }
  co_return Landing{std::move(where), std::move(rescue)};
}

/// Who else writes may hold up the proof for some turns; that alone is no reason to show less. Nor
/// is one refusal: a kernel that was busy takes it when it is asked again. And one that cannot be
/// read refuses nothing: it is asked until it says what stands, or no revision would be shown.
asio::awaitable<Commands::Shown> Commands::shows(netmodel::Model model,
                                                 const std::vector<std::string>& known) {
  reconciler_.set_model(std::move(model));
  Shown shown;
  asio::steady_timer again(io_);
  std::chrono::milliseconds wait = look_again;
  boost::system::error_code ec;
  for (int i = 0; i < proofs_max && !stopped_; ++i) {
    std::string why = "taking back";
    const TurnResult turn = co_await reconciler_.converge(std::move(why));
    if (!turn.seen()) {
      --i;
      again.expires_after(wait);
      wait = std::min(2 * wait, look_again_max);
      co_await again.async_wait(asio::redirect_error(asio::use_awaitable, ec));
      continue;
    }
    shown.refused = turn.trouble_beside(known);
    shown.proven = turn.shows_but(known);
    if (shown.proven || (!shown.refused.empty() && i > 0)) { break; }
  }
  co_return shown;
}

asio::awaitable<std::vector<std::string>> Commands::difference_to(std::int64_t revision) {
  if (revision > highest_) {
    co_return std::vector<std::string>{
        fmt::format("revision {} was never made: nothing to compare with", revision)};
  }
  if (revision > revision_) {
    co_return std::vector<std::string>{
        fmt::format("revision {} was taken back: nothing to compare with", revision)};
  }
  auto read = [revision](store::Store& s) { return s.revision(revision); };
  const auto made_for = co_await store_.call(std::move(read));
  if (!made_for || !*made_for) {
    co_return std::vector<std::string>{fmt::format(
        "revision {} is not kept, or was taken back: nothing to compare with", revision)};
  }
  const auto model = netmodel::model_from_json((*made_for)->model);
  if (!model) { co_return std::vector<std::string>{model.error().what}; }
  co_return netmodel::difference(*model, reconciler_.model());
}

std::optional<std::string> Commands::cuts_all(const netmodel::HostAction& action) const {
  if (std::holds_alternative<netmodel::DrillPort>(action)) {
    std::set<std::string> ports;
    for (const PathSight& sight : trials_.sights()) {
      if (sight.up()) { ports.insert(sight.key.port); }
    }
    if (ports.size() != 1) { return std::nullopt; }
    return "no path to the Console is up but this port's: there is nothing to fail over to; see "
           "uplinkctl paths for what the others lack";
  }
  const auto* drain = std::get_if<netmodel::DrainPort>(&action);
  if (drain == nullptr || drain->duration.count() == 0) { return std::nullopt; }
  const std::string port = to_hex(netmodel::leader_of(reconciler_.model(), drain->adapter));
  bool here = false;
  for (const PathSight& sight : trials_.sights()) {
    if (sight.up() && sight.key.port != port) { return std::nullopt; }
    here = here || sight.up();
  }
  if (!here) { return std::nullopt; }
  return "no other path to the Console is up: the tunnel would stay on this port until one is; to "
         "drain it all the same, say \"force\": true (uplinkctl drain --force)";
}

void Commands::say_confirming() {
  if (!trials_.running()) { return; }
  say({{"type", "state"}, {"id", trials_.command_id()}, {"state", "confirming"}});
}

}  // namespace edge::uplink
