// A renderer per command; all of them read JSON that may come from another version.
#include "uplink/ctl/render.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <functional>
#include <utility>
#include <vector>

namespace edge::uplink::ctl {

namespace json = boost::json;

namespace {

std::string text_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return "-";
    case json::kind::bool_: return value.get_bool() ? "yes" : "no";
    case json::kind::int64: return fmt::format("{}", value.get_int64());
    case json::kind::uint64: return fmt::format("{}", value.get_uint64());
    case json::kind::double_: return fmt::format("{:.2f}", value.get_double());
    case json::kind::string: return std::string(value.get_string());
    case json::kind::array: {
      std::string out;
      for (const auto& item : value.get_array()) {
        out += (out.empty() ? "" : ", ") + text_of(item);
      }
      return out.empty() ? "-" : out;
    }
    case json::kind::object: return json::serialize(value);
  }
  return "-";
}

const json::value* find(const json::object& row, std::string_view key) {
  return row.if_contains(key);
}
std::string field(const json::object& row, std::string_view key) {
  const auto* value = find(row, key);
  return value == nullptr ? "-" : text_of(*value);
}
bool is_true(const json::object& row, std::string_view key) {
  const auto* value = find(row, key);
  return value != nullptr && value->is_bool() && value->get_bool();
}
bool says_something(const std::string& text) {
  return !text.empty() && text != "-" && text != "none";
}

/// "2026-01-02T03:04:05.678Z" as people read it in a table.
std::string short_time(std::string text) {
  if (text.size() < 19 || text[10] != 'T') { return text; }
  text.resize(19);
  text[10] = ' ';
  return text;
}

std::string duration_text(std::int64_t seconds) {
  if (seconds < 120) { return fmt::format("{} s", seconds); }
  if (seconds < 7200) { return fmt::format("{} min", seconds / 60); }
  if (seconds < 172'800) { return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60); }
  return fmt::format("{} days", seconds / 86'400);
}

/// One word of state, judged the same wherever it stands.
Tone tone_of(std::string_view state) {
  struct Judged {
    std::string_view word;
    Tone tone;
  };
  static constexpr std::array<Judged, 27> table{{
      {"active", Tone::good},
      {"online", Tone::good},
      {"leased", Tone::good},
      {"bound", Tone::good},
      {"up", Tone::good},
      {"connected", Tone::good},
      {"done", Tone::good},
      {"published", Tone::good},
      {"standby", Tone::plain},
      {"dialing", Tone::warn},
      {"suspect", Tone::warn},
      {"stored", Tone::warn},
      {"pending", Tone::warn},
      {"drained", Tone::warn},
      {"applying", Tone::warn},
      {"expired", Tone::bad},
      {"down", Tone::bad},
      {"offline", Tone::bad},
      {"no carrier", Tone::bad},
      {"carrier, no lease", Tone::bad},
      {"absent", Tone::bad},
      {"missing", Tone::bad},
      {"refused", Tone::bad},
      {"rolled_back", Tone::bad},
      {"indeterminate", Tone::bad},
      {"no DHCP", Tone::bad},
      {"disabled locally", Tone::warn},
  }};
  for (const Judged& judged : table) {
    if (judged.word == state) { return judged.tone; }
  }
  return Tone::plain;
}
Cell state_cell(const json::object& row, std::string_view key = "state") {
  std::string text = field(row, key);
  const Tone tone = tone_of(text);
  return {std::move(text), tone};
}
Cell with_unit(const json::object& row, std::string_view key, std::string_view unit) {
  const std::string text = field(row, key);
  return {says_something(text) ? text + std::string(unit) : "-"};
}

std::string rows_text(const json::array& rows, Table table,
                      const std::function<std::vector<Cell>(const json::object&)>& cells,
                      std::string_view none, const Style& style) {
  for (const auto& row : rows) {
    if (row.is_object()) { table.add(cells(row.get_object())); }
  }
  return table.empty() ? fmt::format("{}\n", none) : table.text(style);
}

/// Below a table: what is wrong and what a person can do, a line for each row that has it.
std::string advice_lines(const json::array& rows, std::string_view name_key, const Style& style) {
  std::string out;
  for (const auto& value : rows) {
    if (!value.is_object()) { continue; }
    const auto& row = value.get_object();
    const std::string cause = field(row, "cause"), advice = field(row, "advice"),
                      trouble = field(row, "trouble");
    if (says_something(trouble)) {
      out += fmt::format("{}: {}\n", printable(field(row, name_key)),
                         paint(printable(trouble), Tone::bad, style));
    }
    const std::string step = field(row, "broken_step");
    if (!says_something(step)) { continue; }
    out +=
        fmt::format("{}: {}{}{}\n", printable(field(row, name_key)), paint(step, Tone::bad, style),
                    says_something(cause) ? ": " + printable(cause) : "",
                    says_something(advice) ? "; " + printable(advice) : "");
  }
  return out.empty() ? out : "\n" + out;
}

std::string ports_text(const json::array& rows, const Style& style) {
  return rows_text(
             rows,
             Table({"PORT", "STATE", "ADDRESS", "IPV6", "PATH", "SPEED", "MTU", "MAC", "BRIDGE"}),
             [](const json::object& row) -> std::vector<Cell> {
               return {{field(row, "port"), Tone::strong},
                       state_cell(row),
                       {field(row, "address")},
                       {field(row, "address6")},
                       state_cell(row, "path_state"),
                       with_unit(row, "speed_mbps", " Mbit/s"),
                       {field(row, "mtu")},
                       {field(row, "mac")},
                       {field(row, "bridge")}};
             },
             "no port: no adapter matches [adapters] in uplink.toml", style) +
         advice_lines(rows, "port", style);
}

std::string paths_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows, Table({"PATH", "STATE", "RTT", "SINCE", "BROKEN", "CAUSE", "LAST FAILURE"}),
      [](const json::object& row) -> std::vector<Cell> {
        const std::string step = field(row, "broken_step");
        return {{field(row, "path"), Tone::strong},
                state_cell(row),
                with_unit(row, "rtt_ms", " ms"),
                {short_time(field(row, "since"))},
                {says_something(step) ? step : "-", Tone::bad},
                {field(row, "cause")},
                {field(row, "last_failure"), Tone::faint}};
      },
      "no path: there is no port, or no endpoint in [console]", style);
}

std::string leases_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows,
      Table({"PORT", "STATE", "ADDRESS", "IPV6", "GATEWAY", "DNS", "SERVER", "EXPIRES", "DOMAIN"}),
      [](const json::object& row) -> std::vector<Cell> {
        return {{field(row, "port"), Tone::strong},
                state_cell(row),
                {field(row, "address")},
                {field(row, "address6")},
                {field(row, "gateway")},
                {field(row, "dns")},
                {field(row, "server")},
                {short_time(field(row, "expires"))},
                {field(row, "domain")}};
      },
      "no lease", style);
}

/// "eth0*, eth1 (no carrier)": the star carries.
std::string members_cell(const json::object& row) {
  const auto* members = find(row, "members");
  if (members == nullptr || !members->is_array()) { return field(row, "adapters"); }
  std::string out;
  for (const auto& value : members->get_array()) {
    const auto* member = value.if_object();
    if (member == nullptr) { continue; }
    out += (out.empty() ? "" : ", ") + field(*member, "adapter");
    if (is_true(*member, "active")) { out += "*"; }
    if (!is_true(*member, "present")) {
      out += " (absent)";
    } else if (!is_true(*member, "carrier")) {
      out += " (no carrier)";
    }
  }
  return out.empty() ? "-" : out;
}

std::string groups_text(const json::array& rows, const Style& style) {
  std::string split;
  for (const auto& value : rows) {
    const auto* row = value.if_object();
    const auto* lines = row == nullptr ? nullptr : find(*row, "split");
    if (lines == nullptr || !lines->is_array()) { continue; }
    for (const auto& line : lines->get_array()) {
      split += paint(printable(text_of(line)), Tone::bad, style) + "\n";
    }
  }
  return rows_text(
             rows,
             Table({"GROUP", "MODE", "STATE", "ADAPTERS (* CARRIES)", "ROLE", "VLAN", "MTU",
                    "HEAR EACH OTHER"}),
             [](const json::object& row) -> std::vector<Cell> {
               const Tone tone = is_true(row, "implicit") ? Tone::faint : Tone::plain;
               const std::string check = field(row, "check");
               return {{field(row, "group"), Tone::strong},
                       {field(row, "mode"), tone},
                       state_cell(row),
                       {members_cell(row)},
                       {field(row, "role")},
                       {field(row, "management_vlan")},
                       {field(row, "mtu")},
                       {check == "whole"   ? "yes"
                        : check == "split" ? "no"
                                           : "-",
                        check == "split" ? Tone::bad : Tone::plain}};
             },
             "no group", style) +
         (split.empty() ? "" : "\n" + split);
}

std::string networks_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows,
      Table({"NETWORK", "KIND", "STATE", "VLAN", "GROUP", "ADAPTER", "SUBNET", "DHCP", "INTERFACES",
             "BRIDGE"}),
      [](const json::object& row) -> std::vector<Cell> {
        return {{field(row, "network"), Tone::strong},
                {field(row, "kind")},
                state_cell(row),
                {field(row, "vlan")},
                {field(row, "group")},
                {field(row, "adapter")},
                {field(row, "subnet")},
                {field(row, "dhcp")},
                {field(row, "interfaces")},
                {field(row, "bridge")}};
      },
      "no network", style);
}

std::string interfaces_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows, Table({"INTERFACE", "VM", "NETWORK", "STATE", "ADDRESS", "MAC", "TAP"}),
      [](const json::object& row) -> std::vector<Cell> {
        return {{field(row, "interface"), Tone::strong},
                {field(row, "vm")},
                {field(row, "network")},
                state_cell(row),
                {field(row, "address")},
                {field(row, "mac")},
                {field(row, "tap")}};
      },
      "no interface is attached", style);
}

std::string gateway_text(const json::array& rows, const Style& style) {
  return rows_text(
      rows, Table({"RULE", "PROTOCOL", "PORT", "TO", "TO PORT", "ADAPTERS", "SOURCES", "STATE"}),
      [](const json::object& row) -> std::vector<Cell> {
        const std::string interface = field(row, "interface");
        const std::string adapters = field(row, "adapters"), sources = field(row, "sources");
        return {{field(row, "rule"), Tone::strong},
                {field(row, "protocol")},
                {field(row, "port")},
                {says_something(interface) ? interface : field(row, "address")},
                {field(row, "to_port")},
                {says_something(adapters) ? adapters : "all"},
                {says_something(sources) ? sources : "anyone"},
                state_cell(row)};
      },
      "nothing is published", style);
}

/// {"from":"eth0","to":"eth1"} as from=eth0 to=eth1.
std::string pairs_text(const json::value& data) {
  if (!data.is_object()) { return text_of(data); }
  std::string out;
  for (const auto& [key, value] : data.get_object()) {
    if (!out.empty()) { out += ' '; }
    const std::string text = text_of(value);
    out += fmt::format("{}={}", std::string_view(key),
                       text.find(' ') == std::string::npos ? text : "\"" + text + "\"");
  }
  return out;
}

std::string event_line(const json::object& event, const Style& style) {
  const auto* data = find(event, "data");
  return fmt::format("{:>7}  {}  {:<22} {}\n", field(event, "n"),
                     paint(short_time(field(event, "time")), Tone::faint, style),
                     printable(field(event, "kind")),
                     data == nullptr ? "" : printable(pairs_text(*data)));
}

std::string events_text(const json::value& data, const Style& style) {
  if (data.is_object()) { return event_line(data.get_object(), style); }
  std::string out;
  for (const auto& event : data.get_array()) {
    if (event.is_object()) { out += event_line(event.get_object(), style); }
  }
  return out;
}

std::string status_text(const json::object& status, const Style& style) {
  std::string out;
  const auto line = [&out](std::string_view name, const std::string& value) {
    out += fmt::format("{:<10}{}\n", name, value);
  };
  line("host", fmt::format("{}  (uplinkd {})", printable(field(status, "host")),
                           printable(field(status, "version"))));
  if (const auto* uptime = find(status, "uptime_s"); uptime != nullptr && uptime->is_int64()) {
    line("up", duration_text(uptime->get_int64()));
  }
  line("revision", field(status, "revision"));
  if (const auto* value = find(status, "console"); value != nullptr && value->is_object()) {
    const auto& console = value->get_object();
    const std::string state = field(console, "state"), path = field(console, "active_path");
    std::string text = paint(printable(state), tone_of(state), style);
    if (says_something(path)) { text += " over " + printable(path); }
    if (is_true(console, "server_side")) {
      text += "; the network works, the Console itself is the trouble";
    }
    line("console", text);
  }
  if (const auto* value = find(status, "trial"); value != nullptr && value->is_object()) {
    const auto& trial = value->get_object();
    line("trial", fmt::format("command {}, taken back in {} s unless it is confirmed",
                              printable(field(trial, "command")), field(trial, "seconds_left")));
    if (const auto* waits = find(trial, "waits_for"); waits != nullptr && waits->is_array()) {
      for (const auto& reason : waits->get_array()) {
        line("waits for", paint(printable(text_of(reason)), Tone::warn, style));
      }
    }
  }
  if (const auto* value = find(status, "virtual_ip"); value != nullptr && value->is_object()) {
    const auto& address = value->get_object();
    line("virtual ip",
         fmt::format("{}  {}", printable(field(address, "address")),
                     is_true(address, "holder") ? "held by this host" : "held by another host"));
  }
  if (const auto* value = find(status, "counts"); value != nullptr && value->is_object()) {
    std::string text;
    for (const auto& [name, count] : value->get_object()) {
      std::string words(name);
      std::ranges::replace(words, '_', ' ');
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_of(count), words);
    }
    line("counts", text);
  }
  if (const auto* value = find(status, "problems"); value != nullptr && value->is_array()) {
    for (const auto& problem : value->get_array()) {
      line("problem", paint(printable(text_of(problem)), Tone::bad, style));
    }
  }
  return out;
}

std::string doctor_text(const json::array& rows, const Style& style) {
  std::string out;
  for (const auto& value : rows) {
    if (!value.is_object()) { continue; }
    const auto& row = value.get_object();
    const std::string step = field(row, "broken_step"), trouble = field(row, "trouble");
    const std::string port = paint(printable(field(row, "port")), Tone::strong, style);
    if (says_something(step)) {
      out += fmt::format("{}: {} at {}: {}\n", port, paint("broken", Tone::bad, style),
                         printable(step), printable(field(row, "cause")));
      out += fmt::format("  do: {}\n", printable(field(row, "advice")));
    } else {
      out += fmt::format("{}: {}\n", port, paint("works", Tone::good, style));
    }
    if (says_something(trouble)) { out += fmt::format("  note: {}\n", printable(trouble)); }
  }
  return out.empty() ? "no port\n" : out;
}

std::string bullet_lines(const json::object& data, std::string_view key) {
  std::string out;
  const auto* list = find(data, key);
  if (list == nullptr || !list->is_array()) { return out; }
  for (const auto& item : list->get_array()) {
    out += fmt::format("  - {}\n", printable(text_of(item)));
  }
  return out;
}

std::string unplug_text(const json::object& data, const Style& style) {
  const bool safe = is_true(data, "safe");
  const std::string consequences = bullet_lines(data, "consequences");
  return fmt::format(
      "{}: {}\n{}", printable(field(data, "port")),
      safe ? paint("safe to unplug", Tone::good, style) : paint("do not unplug", Tone::bad, style),
      consequences.empty() ? "  nothing depends on it\n" : consequences);
}

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

/// A command's result: state, what was wrong, what was or would be done.
std::string result_text(const json::object& data, const Style& style) {
  const std::string state = field(data, "state");
  std::string out = paint(printable(state), tone_of(state), style);
  const std::string revision = field(data, "revision"), elapsed = field(data, "elapsed_ms");
  if (says_something(revision)) { out += ", revision " + revision; }
  if (says_something(elapsed)) { out += fmt::format(", {} ms", elapsed); }
  out += '\n';
  if (const auto* problems = find(data, "problems"); problems != nullptr && problems->is_array()) {
    for (const auto& problem : problems->get_array()) { out += problem_line(problem, style); }
  }
  if (const auto* plan = find(data, "plan"); plan != nullptr && plan->is_array()) {
    if (plan->get_array().empty() && state == "done") { out += "  nothing to change\n"; }
    for (const auto& step : plan->get_array()) { out += step_lines(text_of(step)); }
  }
  if (const auto* warnings = find(data, "warnings"); warnings != nullptr && warnings->is_array()) {
    for (const auto& warning : warnings->get_array()) {
      out += "  " + paint("warning: " + printable(text_of(warning)), Tone::warn, style) + "\n";
    }
  }
  return out + bullet_lines(data, "consequences");
}

std::string recable_text(const json::object& data, const Style& style) {
  std::string out = fmt::format("recabling {}, begun {}\n", field(data, "state"),
                                short_time(field(data, "began")));
  if (const auto* rows = find(data, "ports"); rows != nullptr && rows->is_array()) {
    out += rows_text(
        rows->get_array(), Table({"PORT", "CHANGE", "WITH", "WAS", "IS"}),
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
  if (const auto* rows = find(data, "revisions"); rows != nullptr && rows->is_array()) {
    out += rows_text(
        rows->get_array(), Table({"REVISION", "TIME", "CAUSE", "BYTES"}),
        [](const json::object& row) -> std::vector<Cell> {
          return {{field(row, "revision"), Tone::strong},
                  {short_time(field(row, "time"))},
                  {field(row, "cause")},
                  {field(row, "bytes")}};
        },
        "no revision", style);
  }
  if (const auto* rows = find(data, "commands");
      rows != nullptr && rows->is_array() && !rows->get_array().empty()) {
    out += "\n" + rows_text(
                      rows->get_array(),
                      Table({"COMMAND", "STATE", "RECEIVED", "FINISHED", "CONSOLE HAS IT"}),
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

std::string watch_text(const json::object& data, const Style& style) {
  std::string out;
  if (const auto* status = find(data, "status"); status != nullptr && status->is_object()) {
    out += status_text(status->get_object(), style) + "\n";
  }
  if (const auto* ports = find(data, "ports"); ports != nullptr && ports->is_array()) {
    out += ports_text(ports->get_array(), style) + "\n";
  }
  if (const auto* paths = find(data, "paths"); paths != nullptr && paths->is_array()) {
    out += paths_text(paths->get_array(), style);
  }
  return out;
}

using ArrayText = std::string (*)(const json::array&, const Style&);
using ObjectText = std::string (*)(const json::object&, const Style&);

constexpr std::array<std::pair<std::string_view, ArrayText>, 8> array_texts{{
    {"ports", ports_text},
    {"paths", paths_text},
    {"leases", leases_text},
    {"groups", groups_text},
    {"networks", networks_text},
    {"interfaces", interfaces_text},
    {"gateway", gateway_text},
    {"doctor", doctor_text},
}};
constexpr std::array<std::pair<std::string_view, ObjectText>, 10> object_texts{{
    {"status", status_text},
    {"recable", recable_text},
    {"unplug", unplug_text},
    {"history", history_text},
    {"watch", watch_text},
    {"apply", result_text},
    {"plan", result_text},
    {"rollback", result_text},
    {"drain", result_text},
    {"identify", result_text},
}};

void append_pretty(std::string& out, const json::value& value, std::size_t indent) {
  const std::string pad(indent + 2, ' ');
  if (value.is_object() && !value.get_object().empty()) {
    out += "{\n";
    std::size_t left = value.get_object().size();
    for (const auto& [key, item] : value.get_object()) {
      out += pad + json::serialize(json::string(key)) + ": ";
      append_pretty(out, item, indent + 2);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += std::string(indent, ' ') + "}";
  } else if (value.is_array() && !value.get_array().empty()) {
    out += "[\n";
    std::size_t left = value.get_array().size();
    for (const auto& item : value.get_array()) {
      out += pad;
      append_pretty(out, item, indent + 2);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += std::string(indent, ' ') + "]";
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string pretty_json(const json::value& value) {
  std::string out;
  append_pretty(out, value, 0);
  return out + "\n";
}

std::string render(std::string_view command, const json::value& data, const Style& style) {
  if (command == "events" && (data.is_array() || data.is_object())) {
    return events_text(data, style);
  }
  for (const auto& [name, text] : array_texts) {
    if (name == command && data.is_array()) { return text(data.get_array(), style); }
  }
  for (const auto& [name, text] : object_texts) {
    if (name == command && data.is_object()) { return text(data.get_object(), style); }
  }
  return pretty_json(data);
}

}  // namespace edge::uplink::ctl
