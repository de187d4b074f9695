#include "uplink/ctl/reports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "uplink/ctl/cells.hpp"
#include "uplink/ctl/fields.hpp"
#include "uplink/ctl/tables.hpp"

namespace edge::uplink::ctl {

namespace json = boost::json;

namespace {

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

/// "strict, 2026-03-04 05:06:07, not synchronised; set to ...".
std::string clock_text(const json::object& clock) {
  const std::string last = field(clock, "last");
  return fmt::format("{}, {}, {}{}", printable(field(clock, "trust")),
                     short_time(field(clock, "time")),
                     is_true(clock, "synchronised") ? "synchronised" : "not synchronised",
                     says_something(last) ? "; " + printable(last) : "");
}

}  // namespace

std::string events_text(const json::value& data, const Style& style) {
  if (data.is_object()) { return event_line(data.get_object(), style); }
  std::string out;
  for (const auto& event : data.get_array()) {
    if (event.is_object()) { out += event_line(event.get_object(), style); }
  }
  return out;
}

std::string identity_text(const json::object& identity, const Style& style) {
  if (!says_something(field(identity, "source"))) {
    return paint("no certificate in use", Tone::warn, style) + "\n";
  }
  std::string out =
      fmt::format("{} until {}, from {}", printable(field(identity, "subject")),
                  short_time(field(identity, "not_after")), printable(field(identity, "source")));
  const auto* renewal = object_at(identity, "renewal");
  if (renewal == nullptr) { return out + "\n"; }
  if (const std::string state = field(*renewal, "state"); state != "rest") {
    out += "; renewal: " + printable(state);
  } else if (is_true(*renewal, "signer")) {
    out += ", to be renewed " + short_time(field(*renewal, "due"));
  }
  if (const auto* last = object_at(*renewal, "last");
      last != nullptr && field(*last, "result") == "failed") {
    out +=
        "; " + paint("last renewal failed: " + printable(field(*last, "what")), Tone::warn, style);
  }
  return out + "\n";
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
  if (const auto* value = object_at(status, "console")) {
    const auto& console = *value;
    const std::string state = field(console, "state"), path = field(console, "active_path");
    std::string text = paint(printable(state), tone_of(state), style);
    if (says_something(path)) { text += " over " + printable(path); }
    if (is_true(console, "server_side")) {
      text += "; the network works, the Console itself is the trouble";
    }
    line("console", text);
    if (const auto* endpoints = array_at(console, "endpoints")) {
      std::string list;
      for (const auto& endpoint : *endpoints) {
        list += (list.empty() ? "" : ", ") + printable(text_of(endpoint));
      }
      const std::string from = field(console, "endpoints_from");
      line("at",
           fmt::format("{}  (from {})", list, printable(from == "command" ? "a command" : from)));
    }
  }
  if (const auto* value = object_at(status, "identity")) {
    std::string text = identity_text(*value, style);
    text.pop_back();
    line("identity", text);
  }
  if (const auto* value = object_at(status, "clock")) { line("clock", clock_text(*value)); }
  if (const auto* value = object_at(status, "trial")) {
    const auto& trial = *value;
    line("trial", fmt::format("command {}, taken back in {} s unless it is confirmed",
                              printable(field(trial, "command")), field(trial, "seconds_left")));
    if (const auto* waits = array_at(trial, "waits_for")) {
      for (const auto& reason : *waits) {
        line("waits for", paint(printable(text_of(reason)), Tone::warn, style));
      }
    }
  }
  if (const auto* value = object_at(status, "virtual_ip")) {
    const auto& address = *value;
    line("virtual ip",
         fmt::format("{}  {}", printable(field(address, "address")),
                     is_true(address, "holder") ? "held by this host" : "held by another host"));
  }
  if (const auto* value = object_at(status, "counts")) {
    std::string text;
    for (const auto& [name, count] : *value) {
      std::string words(name);
      std::ranges::replace(words, '_', ' ');
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_of(count), words);
    }
    line("counts", text);
  }
  if (const auto* value = array_at(status, "problems")) {
    for (const auto& problem : *value) {
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

std::string watch_text(const json::object& data, const Style& style) {
  std::string out;
  if (const auto* status = object_at(data, "status")) { out += status_text(*status, style) + "\n"; }
  if (const auto* ports = array_at(data, "ports")) { out += ports_text(*ports, style) + "\n"; }
  if (const auto* paths = array_at(data, "paths")) { out += paths_text(*paths, style); }
  return out;
}

}  // namespace edge::uplink::ctl
