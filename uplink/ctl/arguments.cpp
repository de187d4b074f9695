// Options by CLI11; durations and operation files by hand.
#include "uplink/ctl/arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <sstream>
#include <utility>

namespace edge::uplink::ctl {

namespace json = boost::json;

namespace {

/// What `path.drain`, `port.identify` and `failover.drill` take.
constexpr DurationBounds drain_bounds{0, 86'400, "0s..1d, as 90s, 10m or 2h; 0s ends a drain"};
constexpr DurationBounds identify_bounds{1, 300, "1s..5m, as 30s or 2m"};
constexpr DurationBounds drill_bounds{1, 3'600, "1s..1h, as 30s or 5m"};

const DurationBounds& bounds_of(std::string_view command) {
  if (command == "identify") { return identify_bounds; }
  return command == "drill" ? drill_bounds : drain_bounds;
}

/// What an order in a file may say beside its operations: as the Console's commands, but for who
/// confirms it and its id.
constexpr std::array<std::string_view, 7> order_keys{
    "type", "revision", "deadline", "dry_run", "force", "accept_regression", "confirm_within_s"};

struct Simple {
  const char* name;
  const char* help;
};
constexpr std::array<Simple, 10> simple_commands{{
    {"status", "Host, Console connection, counts and problems"},
    {"ports", "Physical ports: carrier, lease, address, path, and what to do"},
    {"paths", "Ways to the Console: state, round trip, first broken step"},
    {"leases", "DHCP leases and IPv6 addresses of the ports"},
    {"networks", "VM networks"},
    {"interfaces", "VM interfaces and their taps"},
    {"gateway", "Published ports"},
    {"plan", "What would change if the present configuration were applied now"},
    {"renew", "Ask the Console for a new certificate now; status and events say how it ends"},
    {"watch", "Status, ports and paths, live until interrupted"},
}};

/// Options of commands that have any.
struct Values {
  std::string port, duration, action, file;
  std::int64_t revision = 0, after = -1, limit = 0;
  std::int64_t confirm_within_s = 0;
  bool dry_run = false, follow = false, check = false, force = false, accept_regression = false;
};

void add_commands(CLI::App& app, Values& values) {
  for (const Simple& simple : simple_commands) { app.add_subcommand(simple.name, simple.help); }
  auto* groups = app.add_subcommand("groups", "Adapter groups and their members");
  groups->add_flag("--check", values.check,
                   "First ask whether all members hear each other; exit 3 if some do not");
  auto* doctor = app.add_subcommand(
      "doctor", "First broken step of each port and what to do; exit 3 if any is broken");
  doctor->add_option("port", values.port, "Only this port");
  auto* unplug = app.add_subcommand("unplug", "Is it safe to unplug this port? Exit 3: no");
  unplug->add_option("port", values.port, "Port, as in \"uplinkctl ports\"")->required();
  auto* recable = app.add_subcommand("recable", "Guide through recabling: begin, status, finish");
  recable->add_option("action", values.action, "begin, status or finish")
      ->required()
      ->check(CLI::IsMember({"begin", "status", "finish"}));
  auto* identify = app.add_subcommand("identify", "Blink the light of a port");
  identify->add_option("port", values.port, "Port")->required();
  identify->add_option("duration", values.duration, "For how long: 30s, at most 5m; 10 s without");
  auto* drain = app.add_subcommand("drain", "Move the tunnel off a port for a while");
  drain->add_option("port", values.port, "Port")->required();
  drain
      ->add_option("duration", values.duration,
                   "For how long: 90s, 10m, 2h, at most 1d; 0s: no more")
      ->required();
  drain->add_flag("--force", values.force, "Also when no other path to the Console is up");
  auto* drill = app.add_subcommand(
      "drill", "Fail over on purpose: who takes the tunnel over, and how fast; ends by itself");
  drill->add_option("port", values.port, "Port to leave; the one that carries the tunnel without");
  drill->add_option("--for", values.duration,
                    "How long it is left out: 5m, at most 1h; 30 s without");
  auto* apply =
      app.add_subcommand("apply", "Apply operations or a whole configuration from a JSON file");
  apply->add_option("file", values.file, "File; - for standard input")->required();
  apply->add_flag("--dry-run", values.dry_run, "Only show the plan");
  const auto trial_options = [&values](CLI::App* command) {
    command->add_flag("--force", values.force,
                      "Also when it would cut the last way to the Console");
    command->add_flag("--accept-regression", values.accept_regression,
                      "Keep it although a path that works now is lost by it");
    command
        ->add_option("--confirm-within", values.confirm_within_s,
                     "Seconds until a change that cuts paths is taken back; 120 without")
        ->check(CLI::Range(1, 86'400));
  };
  trial_options(apply);
  auto* rollback =
      app.add_subcommand("rollback", "Back to a revision; without one, to the one before");
  rollback->add_option("revision", values.revision, "Number, as in \"uplinkctl history\"")
      ->check(CLI::PositiveNumber);
  trial_options(rollback);
  auto* history = app.add_subcommand(
      "history", "Revisions of the configuration and the commands that made them, newest first");
  history
      ->add_option("--limit", values.limit,
                   "At most so many of each; all revisions and 50 commands without")
      ->check(CLI::Range(1, 200));
  auto* exported = app.add_subcommand(
      "export", "The present configuration, or that of a revision, as JSON as apply takes it");
  exported->add_option("--revision", values.revision, "Number, as in \"uplinkctl history\"")
      ->check(CLI::PositiveNumber);
  auto* events = app.add_subcommand("events", "What happened, oldest first");
  events->add_flag("--follow", values.follow, "Go on as things happen");
  events->add_option("--after", values.after, "Only events after this number")
      ->check(CLI::NonNegativeNumber);
  events->add_option("--limit", values.limit, "At most so many")->check(CLI::Range(1, 10'000));
  auto* diag = app.add_subcommand("diag", "Collect what a supporter needs into FILE.tar.gz");
  diag->add_option("file", values.file, "FILE.tar.gz")->required();
}

std::expected<Invocation, EarlyEnd> invocation_of(const std::string& command, const Values& values,
                                                  Invocation made) {
  made.command = command;
  made.file = values.file;
  made.streaming = command == "watch" || (command == "events" && values.follow);
  if (!values.port.empty()) { made.args["port"] = values.port; }
  if (!values.action.empty()) { made.args["action"] = values.action; }
  if (values.revision > 0) { made.args["revision"] = values.revision; }
  if (values.after >= 0) { made.args["after"] = values.after; }
  if (values.limit > 0) { made.args["limit"] = values.limit; }
  if (values.follow) { made.args["follow"] = true; }
  if (values.check) { made.args["check"] = true; }
  if (values.dry_run) { made.args["dry_run"] = true; }
  if (values.force) { made.args["force"] = true; }
  if (values.accept_regression) { made.args["accept_regression"] = true; }
  if (values.confirm_within_s > 0) { made.args["confirm_within_s"] = values.confirm_within_s; }
  if (!values.duration.empty()) {
    const auto seconds = parse_duration_s(values.duration, bounds_of(command));
    if (!seconds) {
      return std::unexpected(EarlyEnd{Exit::usage, "uplinkctl: " + seconds.error().what + "\n"});
    }
    made.args["seconds"] = *seconds;
  }
  return made;
}

std::unexpected<Error> refuse(const std::string& what) { return fail(Errc::invalid_input, what); }

/// "line 3, column 7" of an offset.
std::string place_of(std::string_view text, std::size_t offset) {
  const auto before = text.substr(0, offset);
  const auto line = 1 + std::ranges::count(before, '\n');
  const auto last = before.rfind('\n');
  return fmt::format("line {}, column {}", line,
                     before.size() - (last == std::string_view::npos ? 0 : last + 1) + 1);
}

}  // namespace

std::expected<Invocation, EarlyEnd> parse_arguments(int argc, const char* const* argv) {
  CLI::App app{"Shows and steers the uplink daemon of this machine", "uplinkctl"};
  app.footer(
      "Exit status: 0 done; 1 refused or failed; 2 usage; 3 the answer is \"no, not safe\" or "
      "\"degraded\"; 4 no daemon");
  Invocation made;
  Values values;
  app.add_option("--socket", made.socket, "Control socket of the daemon")->capture_default_str();
  app.add_flag("--json", made.json, "Print the data as JSON");
  app.set_version_flag("--version", "uplinkctl 0.1.0");
  app.require_subcommand(1);
  app.fallthrough();  // --json may stand behind the command too.
  add_commands(app, values);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    const bool asked = app.exit(error, out, err) == 0;
    return std::unexpected(
        EarlyEnd{asked ? Exit::done : Exit::usage, asked ? out.str() : err.str()});
  }
  return invocation_of(app.get_subcommands().front()->get_name(), values, std::move(made));
}

Result<std::int64_t> parse_duration_s(std::string_view text, const DurationBounds& bounds) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  std::int64_t scale = 0;
  if (unit.empty() || unit == "s") { scale = 1; }
  if (unit == "m" || unit == "min") { scale = 60; }
  if (unit == "h") { scale = 3600; }
  if (unit == "d") { scale = 86'400; }
  if (error != std::errc{} || scale == 0 || number < 0 || number > bounds.max_s / scale ||
      number * scale < bounds.min_s) {
    return refuse(fmt::format("duration \"{}\": expected {}", text, bounds.expected));
  }
  return number * scale;
}

namespace {

/// What stands beside `key` in an order is passed on, or refused.
Result<json::object> order_of(const json::object& object, std::string_view key,
                              json::array operations) {
  json::object out{{"operations", std::move(operations)}};
  for (const auto& [name, value] : object) {
    if (name == key) { continue; }
    if (std::ranges::find(order_keys, std::string_view(name)) == order_keys.end()) {
      return refuse(fmt::format("\"{}\" is unknown beside \"{}\"; allowed: {}",
                                std::string_view(name), key, fmt::join(order_keys, ", ")));
    }
    out[name] = value;
  }
  return out;
}

json::array replace_by(const json::value& model) {
  return {json::object{{"op", "model.replace"}, {"model", model}}};
}

}  // namespace

Result<json::object> order_in(std::string_view text) {
  json::stream_parser parser;
  boost::system::error_code error;
  std::size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error) { parser.finish(error); }
  if (!error && text.substr(used).find_first_not_of(" \t\r\n") != std::string_view::npos) {
    error = json::make_error_code(json::error::extra_data);
  }
  if (error) {
    return refuse(fmt::format("{}: not JSON: {}", place_of(text, used), error.message()));
  }
  const json::value value = parser.release();
  if (value.is_array()) { return json::object{{"operations", value.get_array()}}; }
  if (!value.is_object()) {
    return refuse("expected a list of operations, {\"operations\": [...]} or a configuration");
  }
  const auto& object = value.get_object();
  if (const auto* operations = object.if_contains("operations")) {
    if (!operations->is_array()) { return refuse("\"operations\": expected a list"); }
    return order_of(object, "operations", operations->get_array());
  }
  if (object.contains("op")) { return json::object{{"operations", json::array{value}}}; }
  if (const auto* model = object.if_contains("model")) {
    return order_of(object, "model", replace_by(*model));
  }
  return json::object{{"operations", replace_by(value)}};
}

}  // namespace edge::uplink::ctl
