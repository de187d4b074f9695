// The command line: what is asked of the daemon, and how the answer is to be shown.
#pragma once

#include <boost/json/object.hpp>
#include <expected>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace edge::uplink::ctl {

inline constexpr std::string_view default_socket = "/run/uplink/control.sock";

/// Exit statuses of interfaces.md.
enum class Exit { done = 0, failed = 1, usage = 2, not_safe = 3, no_daemon = 4 };

struct Invocation {
  std::string socket{default_socket};
  bool json = false;
  std::string command;  ///< As the daemon knows it.
  boost::json::object args;
  std::string file;  ///< apply: read operations from it ("-": standard input); diag: write to it.
  bool streaming = false;  ///< More than one answer comes.
};

/// An end without asking the daemon: help, version, or a mistake.
struct EarlyEnd {
  Exit exit = Exit::usage;
  std::string text;  ///< For standard output when exit is done, else for standard error.
};

std::expected<Invocation, EarlyEnd> parse_arguments(int argc, const char* const* argv);

struct DurationBounds {
  std::int64_t min_s;
  std::int64_t max_s;
  std::string_view expected;  ///< Both and the forms, for people.
};

/// "90", "90s", "10m", "2h", "1d" in seconds. Errors: invalid_input with the value and the forms.
Result<std::int64_t> parse_duration_s(std::string_view text, const DurationBounds& bounds);

/// What a file orders, as `{"operations": [...], ...}`: a list of operations, one operation,
/// {"operations": [...]}, {"model": {...}}, or a whole model as `export` prints it, which becomes
/// model.replace. What stands beside the operations or the model (revision, dry_run, ...) is part
/// of the order. Errors: invalid_input, with line and column when it is no JSON, and for a key that
/// is unknown there.
Result<boost::json::object> order_in(std::string_view text);

}  // namespace edge::uplink::ctl
