#include "uplink/ctl/results.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <vector>

#include "uplink/ctl/cells.hpp"
#include "uplink/ctl/fields.hpp"

namespace edge::uplink::ctl {

namespace json = boost::json;

namespace {

/// A step of a plan may be several commands, a line each.
std::string step_lines(std::string_view step) {
  std::string out;
  while (!step.empty()) {
    const auto end = std::min(step.find('\n'), step.size());
    out += fmt::format("  {}\n", printable(step.substr(0, end)));
    step.remove_prefix(std::min(end + 1, step.size()));
  }
  return out;
}

/// "operation 3: ..." unless the text says so itself.
std::string problem_line(const json::value& problem, const Style& style) {
  const auto* row = problem.if_object();
  const bool known = row != nullptr && row->contains("what");
  const std::string text = printable(known ? field(*row, "what") : text_of(problem));
  const std::string op = known ? field(*row, "op") : "-";
  const bool named = !says_something(op) || text.starts_with("operation ");
  return fmt::format("  {}{}\n", named ? "" : "operation " + op + ": ",
                     paint(text, Tone::bad, style));
}

}  // namespace

std::string unplug_text(const json::object& data, const Style& style) {
  const bool safe = is_true(data, "safe");
  const std::string consequences = bullet_lines(data, "consequences");
  return fmt::format(
      "{}: {}\n{}", printable(field(data, "port")),
      safe ? paint("safe to unplug", Tone::good, style) : paint("do not unplug", Tone::bad, style),
      consequences.empty() ? "  nothing depends on it\n" : consequences);
}

std::string result_text(const json::object& data, const Style& style) {
  const std::string state = field(data, "state");
  std::string out = paint(printable(state), tone_of(state), style);
  const std::string revision = field(data, "revision"), elapsed = field(data, "elapsed_ms");
  if (says_something(revision)) { out += ", revision " + revision; }
  if (says_something(elapsed)) { out += fmt::format(", {} ms", elapsed); }
  out += '\n';
  if (const auto* problems = array_at(data, "problems")) {
    for (const auto& problem : *problems) { out += problem_line(problem, style); }
  }
  if (const auto* plan = array_at(data, "plan")) {
    if (plan->empty() && state == "done") { out += "  nothing to change\n"; }
    for (const auto& step : *plan) { out += step_lines(text_of(step)); }
  }
  if (const auto* warnings = array_at(data, "warnings")) {
    for (const auto& warning : *warnings) {
      out += "  " + paint("warning: " + printable(text_of(warning)), Tone::warn, style) + "\n";
    }
  }
  return out + bullet_lines(data, "observed") + bullet_lines(data, "consequences");
}

std::string recable_text(const json::object& data, const Style& style) {
  std::string out = fmt::format("recabling {}, begun {}\n", field(data, "state"),
                                short_time(field(data, "began")));
  if (const auto* rows = array_at(data, "ports")) {
    out += rows_text(
        *rows, Table({"PORT", "CHANGE", "WITH", "WAS", "IS"}),
        [](const json::object& row) -> std::vector<Cell> {
          const bool wrong = says_something(field(row, "wrong"));
          return {{field(row, "port"), Tone::strong},
                  {field(row, "change"), wrong ? Tone::bad : Tone::plain},
                  {field(row, "with")},
                  {field(row, "was")},
                  {field(row, "is")}};
        },
        "no port", style);
  }
  const std::string advice = bullet_lines(data, "advice");
  return out + (advice.empty() ? paint("nothing is worse than before", Tone::good, style) + "\n"
                               : paint("wrong now:", Tone::bad, style) + "\n" + advice);
}

std::string history_text(const json::object& data, const Style& style) {
  std::string out;
  if (const auto* rows = array_at(data, "revisions")) {
    out += rows_text(
        *rows, Table({"REVISION", "TIME", "CAUSE", "BYTES"}),
        [](const json::object& row) -> std::vector<Cell> {
          return {{field(row, "revision"), Tone::strong},
                  {short_time(field(row, "time"))},
                  {field(row, "cause")},
                  {field(row, "bytes")}};
        },
        "no revision", style);
  }
  if (const auto* rows = array_at(data, "commands"); rows != nullptr && !rows->empty()) {
    out += "\n" + rows_text(
                      *rows, Table({"COMMAND", "STATE", "RECEIVED", "FINISHED", "CONSOLE HAS IT"}),
                      [](const json::object& row) -> std::vector<Cell> {
                        return {{field(row, "id")},
                                state_cell(row),
                                {short_time(field(row, "received"))},
                                {short_time(field(row, "finished"))},
                                {field(row, "result_acked")}};
                      },
                      "", style);
  }
  return out;
}

}  // namespace edge::uplink::ctl
