// Commands: which of them go together, and what is to become of each, before anything is touched.
#include <algorithm>
#include <ranges>
#include <utility>

#include <fmt/format.h>

#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/commands.hpp"
#include "uplink/daemon/texts.hpp"

namespace edge::uplink {

using store::CommandState;

namespace {

/// Those that wait together are decided in one go, but heartbeats are not kept waiting for long: 40
/// commands on a model of 2 MB held the loop for half a minute (ASan, a busy machine), and the
/// tunnel lost its path.
constexpr std::chrono::milliseconds deciding_max{50};

bool replaces_model(const netmodel::Command& command) {
  return std::ranges::any_of(command.operations, [](const netmodel::ModelOperation& operation) {
    return std::holds_alternative<netmodel::ModelReplace>(operation);
  });
}

std::string class_of(const netmodel::Command& command) {
  for (const auto& operation : command.operations) {
    if (std::holds_alternative<netmodel::PortIdentify>(operation) ||
        std::holds_alternative<netmodel::FailoverDrill>(operation)) {
      return "action";
    }
  }
  return "model";
}

}  // namespace

Commands::Batch Commands::take_batch(std::size_t size_max) {
  Batch batch;
  std::optional<netmodel::Model> changed;  // By those before in this batch.
  std::int64_t revision = revision_;
  const MonoTime end = mono_now() + deciding_max;
  while (!queue_.empty() && batch.size() < size_max && (batch.empty() || mono_now() < end)) {
    const netmodel::Model& base = changed ? *changed : reconciler_.model();
    Decision decision = decide(queue_.front(), base, revision);
    const bool alone = decision.dry_run || decision.trial || !decision.actions.empty() ||
                       !decision.item.undo.empty();
    if (alone && !batch.empty()) { break; }
    queue_.pop_front();
    if (decision.model && !decision.dry_run) {
      if (!decision.trial) {  // A trial foretells with its plan.
        decision.consequences =
            bounded(netmodel::to_lines(reconciler_.foreseen(base, *decision.model)));
      }
      changed = *decision.model;
      number(decision, revision);
      revision = decision.item.number;
    }
    batch.push_back(std::move(decision));
    if (alone) { break; }
  }
  return batch;
}

void Commands::number(Decision& decision, std::int64_t in_force) {
  if (decision.item.number <= in_force) { decision.item.number = ++highest_; }
}

void Commands::put_back(Batch& batch) {
  for (Decision& decision : std::ranges::reverse_view(batch)) {
    decision.item.began = decision.item.began || decision.touches_kernel();
    queue_.push_front(std::move(decision.item));
  }
}

Commands::Decision Commands::decide(Item item, const netmodel::Model& base,
                                    std::int64_t revision) const {
  Decision out;
  out.item = std::move(item);
  out.began = mono_now();
  if (!out.item.undo.empty()) {
    out.state = CommandState::rolled_back;
    out.problems.push_back(
        {std::nullopt, "",
         fmt::format("the daemon stopped while it was tried out; revision {} stands", revision)});
    return out;
  }
  if (out.item.aborted) {
    refuse(out, std::string(aborted_text));
    return out;
  }
  if (!out.item.unresolved.empty()) {
    std::string why = out.item.unresolved;
    refuse(out, std::move(why));
    return out;
  }
  const auto parsed = out.item.resolved ? netmodel::parse_command_value(*out.item.resolved)
                                        : netmodel::parse_command(out.item.payload);
  if (!parsed) {
    out.state = CommandState::refused;
    netmodel::Problems problems = parsed.error();
    add_model_problems(out.item.payload, base, problems);
    out.problems = problems.items();
    out.problems_dropped = problems.dropped();
    return out;
  }
  if (out.item.began && class_of(*parsed) == "action") {
    out.state = CommandState::indeterminate;
    out.problems.push_back(
        {std::nullopt, "", "the daemon was stopped while it ran; it is not run twice"});
    return out;
  }
  if (parsed->deadline && *parsed->deadline < wall_now() && !out.item.began) {
    out.state = CommandState::expired;
    out.problems.push_back(
        {std::nullopt, "deadline", "deadline " + to_iso8601(*parsed->deadline) + " has passed"});
    return out;
  }
  if (parsed->revision && *parsed->revision != revision) {
    out.state = CommandState::superseded;
    out.made_for = parsed->revision;
    out.problems.push_back(
        {std::nullopt, "revision",
         fmt::format("made for revision {}, the host is at {}", *parsed->revision, revision)});
    return out;
  }
  const netmodel::ModelFacts facts = hooks_.facts();
  netmodel::ApplyOutcome wanted = netmodel::apply_operations(base, parsed->operations, facts);
  if (!wanted.problems.empty() || !wanted.model) {
    out.state = CommandState::refused;
    out.problems = wanted.problems.items();
    out.problems_dropped = wanted.problems.dropped();
    return out;
  }
  out.dry_run = parsed->dry_run;
  out.replaces = replaces_model(*parsed);
  if (*wanted.model != base || out.dry_run) { out.model = std::move(wanted.model); }
  out.actions = std::move(wanted.actions);
  out.force = parsed->force;
  out.accept_regression = parsed->accept_regression;
  out.confirm_within = parsed->confirm_within.value_or(confirm_within_default);
  out.trial = out.model && !out.dry_run &&
              (parsed->confirm_within || netmodel::may_touch_ports(base, *out.model, facts.needed));
  return out;
}

/// Who sends a command with two mistakes hears of both at once, also when only one of them is in
/// its form.
void Commands::add_model_problems(const std::string& payload, const netmodel::Model& base,
                                  netmodel::Problems& problems) const {
  std::vector<std::size_t> indexes;
  std::vector<netmodel::ModelOperation> operations;
  for (netmodel::SoundOperation& sound : netmodel::sound_operations(payload)) {
    indexes.push_back(sound.index);
    operations.push_back(std::move(sound.operation));
  }
  if (operations.empty()) { return; }
  const netmodel::ApplyOutcome wanted =
      netmodel::apply_operations(base, operations, hooks_.facts());
  for (netmodel::Problem problem : wanted.problems.items()) {
    if (problem.op) { problem.op = indexes[*problem.op]; }
    problems.add(std::move(problem));
  }
}

void Commands::refuse(Decision& decision, std::string what) {
  decision.state = CommandState::refused;
  decision.model.reset();
  decision.actions.clear();
  decision.problems.push_back({std::nullopt, "", std::move(what)});
}

}  // namespace edge::uplink
