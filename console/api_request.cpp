#include "console/api_request.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/net.hpp"
#include "base/quoted.hpp"
#include "console/clock.hpp"
#include "netmodel/core/command.hpp"
#include "netmodel/core/json_fields.hpp"
#include "store/core/records.hpp"

namespace edge::console {

namespace json = boost::json;
using netmodel::described;

namespace {

constexpr std::size_t kMessageBytesMax =
    (1U << 20) - 256;  ///< A frame of channel 1, less id and type.
constexpr std::int64_t kConfirmSecondsMax = 86'400;
constexpr std::size_t kTargetBytesMax = 300;
constexpr std::size_t kProblemsMax = netmodel::Problems::problems_max;
constexpr std::size_t kReasonBytesMax = 200;  ///< The host is told, in a frame of its own.

std::unexpected<Problem> bad(unsigned status, std::string detail) {
  return std::unexpected(
      Problem{.status = status, .detail = std::move(detail), .problems = {}, .allow = {}});
}

/// An address of this machine; unlike parse_host_port it takes port 0.
bool parse_listen(std::string_view text) {
  const bool any_port = text.ends_with(":0");
  const std::string with_port = any_port ? std::string(text) + "1" : std::string(text);
  const auto where = parse_host_port(with_port);
  return where && parse_ip(where->host).has_value();
}

/// Collects what is wrong with a request: the first kProblemsMax, and how many more there are.
class Checker {
 public:
  void add(std::string field, std::string what) {
    ++total_;
    if (items_.size() < kProblemsMax) { items_.push_back({std::move(field), std::move(what)}); }
  }
  /// `VALUE: expected WHAT`
  void wrong(std::string field, const json::value& value, std::string_view expected) {
    add(std::move(field), fmt::format("{}: expected {}", described(value), expected));
  }
  void unknown(std::string_view key, std::string_view allowed) {
    add(std::string(key.substr(0, 64)),
        fmt::format("{} is no known key; allowed are {}", quoted(key), allowed));
  }
  bool clean() const { return items_.empty(); }
  std::unexpected<Problem> problem() {
    std::string detail = fmt::format("{}: {}", items_.front().field, items_.front().what);
    if (total_ > 1) { detail += fmt::format(" (and {} more)", total_ - 1); }
    return std::unexpected(Problem{
        .status = 422, .detail = std::move(detail), .problems = std::move(items_), .allow = {}});
  }

 private:
  std::vector<Problem::Item> items_;
  std::size_t total_ = 0;
};

/// The host checks what the operations mean; how many it takes is one number for both.
void check_operations(const json::value& value, Checker& check) {
  constexpr std::size_t count_max = netmodel::operations_max;
  const json::array* list = value.if_array();
  if (list == nullptr) {
    return check.wrong("operations", value, fmt::format("a list of 1..{} operations", count_max));
  }
  if (list->empty() || list->size() > count_max) {
    return check.add("operations",
                     fmt::format("{} entries are out of range 1..{}", list->size(), count_max));
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const json::object* operation = (*list)[i].if_object();
    const json::value* op = operation == nullptr ? nullptr : operation->if_contains("op");
    if (operation == nullptr) {
      check.wrong(fmt::format("operations[{}]", i), (*list)[i], "an object with a string \"op\"");
    } else if (op == nullptr) {
      check.add(fmt::format("operations[{}]", i), "\"op\" is missing");
    } else if (!op->is_string()) {
      check.wrong(fmt::format("operations[{}].op", i), *op, "a string");
    }
  }
}

void check_field(std::string_view name, const json::value& value, Checker& check) {
  const std::string field(name);
  const std::int64_t* number = value.if_int64();
  if (name == "id") {
    std::string lower(value.is_string() ? std::string_view(value.get_string())
                                        : std::string_view{});
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    if (!store::is_command_id(lower)) { check.wrong(field, value, "a UUID"); }
  } else if (name == "operations") {
    check_operations(value, check);
  } else if (name == "confirm_within_s") {
    if (number == nullptr || *number < 1 || *number > kConfirmSecondsMax) {
      check.wrong(field, value, fmt::format("a whole number 1..{}", kConfirmSecondsMax));
    }
  } else if (name == "revision") {
    if (number == nullptr || *number < 0) {
      check.wrong(field, value, fmt::format("a revision number 0..{}", INT64_MAX));
    }
  } else if (name == "confirm") {
    if (value != "auto" && value != "manual") { check.wrong(field, value, "auto or manual"); }
  } else if (name == "dry_run" || name == "force" || name == "accept_regression") {
    if (!value.is_bool()) { check.wrong(field, value, "true or false"); }
  } else if (name == "deadline") {
    if (!value.is_string() || !parse_iso8601(value.get_string())) {
      check.wrong(field, value, "a time as 2026-03-04T05:06:07Z or with an offset, +01:00");
    }
  } else {
    check.unknown(name,
                  "id, operations, accept_regression, confirm, confirm_within_s, deadline, "
                  "dry_run, force, revision");
  }
}

/// One object of at most `depth_max` levels. Errors: 400.
std::expected<json::object, Problem> parse_object(std::string_view body, std::size_t depth_max,
                                                  std::string_view keys) {
  boost::system::error_code ec;
  json::value parsed = json::parse(body, ec, {}, {.max_depth = depth_max});
  if (ec) { return bad(400, fmt::format("the body is not JSON: {}", ec.message())); }
  if (!parsed.is_object()) {
    return bad(400, fmt::format("the body is {}: expected a JSON object with {}", described(parsed),
                                keys));
  }
  return std::move(parsed.get_object());
}

}  // namespace

std::string_view title_of(unsigned status) {
  switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 507: return "Insufficient Storage";
    default: return "Internal Server Error";
  }
}

std::string to_json(const Problem& problem) {
  json::object out{{"type", "about:blank"},
                   {"title", title_of(problem.status)},
                   {"status", problem.status},
                   {"detail", problem.detail}};
  if (!problem.problems.empty()) {
    json::array list;
    for (const auto& item : problem.problems) {
      list.emplace_back(json::object{{"field", item.field}, {"what", item.what}});
    }
    out["problems"] = std::move(list);
  }
  return json::serialize(out);
}

std::expected<CommandRequest, Problem> parse_command(std::string_view body) {
  const auto object = parse_object(body, netmodel::command_depth_max, "\"operations\"");
  if (!object) { return std::unexpected(object.error()); }
  Checker check;
  if (!object->contains("operations")) {
    check.add("operations", fmt::format("missing: expected a list of 1..{} operations",
                                        netmodel::operations_max));
  }
  CommandRequest out;
  for (const auto& [name, value] : *object) {
    check_field(name, value, check);
    if (name == "id") {
      if (!value.is_string()) { continue; }
      out.id = value.get_string();
      std::ranges::transform(out.id, out.id.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    } else {
      out.fields +=
          fmt::format(",{}:{}", json::serialize(json::string(name)), json::serialize(value));
    }
  }
  if (!check.clean()) { return check.problem(); }
  if (out.fields.size() > kMessageBytesMax) {
    return bad(413, fmt::format("the command has {} bytes; at most {} are allowed",
                                out.fields.size(), kMessageBytesMax));
  }
  return out;
}

std::expected<ForwardRequest, Problem> parse_forward(std::string_view body) {
  const auto object = parse_object(body, 4, "\"listen\" and \"to\"");
  if (!object) { return std::unexpected(object.error()); }
  Checker check;
  ForwardRequest out;
  for (const auto& [name, value] : *object) {
    const std::string text(value.is_string() ? std::string_view(value.get_string())
                                             : std::string_view{});
    if (name == "listen") {
      out.listen = text;
      if (!parse_listen(text)) {
        check.wrong("listen", value, "IP:PORT of this machine, port 0..65535");
      }
    } else if (name == "to") {
      out.to = text;
      if (text.size() > kTargetBytesMax || !parse_host_port(text)) {
        check.wrong("to", value, "HOST:PORT as the host sees it, port 1..65535");
      }
    } else {
      check.unknown(name, "listen, to");
    }
  }
  for (const char* needed : {"listen", "to"}) {
    if (!object->contains(needed)) { check.add(needed, "missing"); }
  }
  if (!check.clean()) { return check.problem(); }
  return out;
}

std::expected<RevocationRequest, Problem> parse_revocation(std::string_view body) {
  if (body.empty()) { return RevocationRequest{}; }
  const auto object = parse_object(body, 4, "\"reason\"");
  if (!object) { return std::unexpected(object.error()); }
  Checker check;
  RevocationRequest out;
  std::string& reason = out.reason;
  for (const auto& [name, value] : *object) {
    if (name == "unseen") {
      if (value.is_bool()) {
        out.unseen = value.get_bool();
      } else {
        check.wrong("unseen", value, "true or false");
      }
      continue;
    }
    if (name != "reason") {
      check.unknown(name, "reason, unseen");
      continue;
    }
    const bool text = value.is_string();
    if (text) { reason = value.get_string(); }
    const bool one_line =
        std::ranges::none_of(reason, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (!text || !one_line || reason.size() > kReasonBytesMax) {
      check.wrong("reason", value, fmt::format("one line of at most {} bytes", kReasonBytesMax));
    }
  }
  if (!check.clean()) { return check.problem(); }
  return out;
}

std::string command_message(std::string_view id, const CommandRequest& request) {
  return fmt::format(R"({{"type":"command","id":"{}"{}}})", id, request.fields);
}

bool authorized(std::string_view header, std::string_view token) {
  constexpr std::string_view scheme = "Bearer ";
  if (!header.starts_with(scheme)) { return false; }
  header.remove_prefix(scheme.size());
  if (header.size() != token.size()) { return false; }
  unsigned difference = 0;
  for (std::size_t i = 0; i < token.size(); ++i) {
    difference |= static_cast<unsigned>(static_cast<unsigned char>(header[i]) ^
                                        static_cast<unsigned char>(token[i]));
  }
  return difference == 0;
}

}  // namespace edge::console
