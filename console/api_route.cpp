// What an HTTP request asks for, by its method and target: the table of all calls.
#include "console/api_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/host_id.hpp"
#include "base/quoted.hpp"
#include "store/core/records.hpp"

namespace edge::console {

namespace {

std::unexpected<Problem> bad_target(unsigned status, std::string detail) {
  return std::unexpected(
      Problem{.status = status, .detail = std::move(detail), .problems = {}, .allow = {}});
}

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> out;
  while (true) {
    const auto at = text.find(by);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) { return out; }
    text.remove_prefix(at + 1);
  }
}

/// Whole number in [low, high].
std::optional<std::int64_t> number(std::string_view text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value < low || value > high) {
    return std::nullopt;
  }
  return value;
}

struct Pattern {
  std::string_view method;
  std::string_view path;  ///< {host} and {id} match one segment, {n} one that is a number.
  Call call;
  std::string_view parameters;  ///< Comma separated.
};
constexpr std::array<Pattern, 24> kPatterns{{
    {"GET", "/", Call::page, ""},
    {"GET", "/metrics", Call::metrics, ""},
    {"GET", "/api/v1/hosts", Call::hosts, "after,limit"},
    {"GET", "/api/v1/events", Call::event_stream, "after"},
    {"POST", "/api/v1/goaway", Call::goaway, ""},
    {"POST", "/api/v1/enrolment-tokens", Call::not_yet, ""},
    {"GET", "/api/v1/hosts/{host}", Call::host, ""},
    {"POST", "/api/v1/hosts/{host}/commands", Call::post_command, "wait"},
    {"GET", "/api/v1/hosts/{host}/commands", Call::commands, "limit"},
    {"GET", "/api/v1/hosts/{host}/events", Call::host_events, "after,limit"},
    {"POST", "/api/v1/hosts/{host}/forwards", Call::post_forward, ""},
    {"GET", "/api/v1/hosts/{host}/forwards", Call::forwards, ""},
    {"GET", "/api/v1/hosts/{host}/forwards/{id}", Call::forward, ""},
    {"DELETE", "/api/v1/hosts/{host}/forwards/{id}", Call::delete_forward, ""},
    {"POST", "/api/v1/hosts/{host}/revoke", Call::revoke, ""},
    {"DELETE", "/api/v1/hosts/{host}/revoke", Call::restore, ""},
    {"POST", "/api/v1/hosts/{host}/renew", Call::renew, ""},
    {"GET", "/api/v1/hosts/{host}/certificates", Call::certificates, "limit"},
    {"GET", "/api/v1/hosts/{host}/commands/{id}", Call::command, ""},
    {"POST", "/api/v1/hosts/{host}/commands/{id}/confirm", Call::confirm, ""},
    {"POST", "/api/v1/hosts/{host}/commands/{id}/abort", Call::abort, ""},
    {"GET", "/api/v1/hosts/{host}/revisions", Call::revisions, "limit"},
    {"GET", "/api/v1/hosts/{host}/revisions/{n}", Call::revision, ""},
    {"GET", "/api/v1/hosts/{host}/former", Call::former, ""},
}};

bool matches(const Pattern& pattern, const std::vector<std::string_view>& segments, Route& out) {
  const auto wanted = split(pattern.path, '/');
  if (wanted.size() != segments.size()) { return false; }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{host}") {
      out.host = segments[i];
    } else if (wanted[i] == "{id}") {
      out.command_id = segments[i];
    } else if (wanted[i] == "{n}") {
      const auto n = number(segments[i], 0, INT64_MAX);
      if (!n) { return false; }
      out.revision = *n;
    } else if (wanted[i] != segments[i]) {
      return false;
    }
  }
  return true;
}

std::expected<void, Problem> read_parameters(std::string_view query, std::string_view allowed,
                                             Route& out) {
  if (query.empty()) { return {}; }
  const auto names = split(allowed, ',');
  for (const auto part : split(query, '&')) {
    const auto equals = part.find('=');
    const auto name = part.substr(0, equals);
    const auto value =
        equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
    const bool known = !allowed.empty() && std::ranges::find(names, name) != names.end();
    if (!known) {
      return bad_target(400, fmt::format("parameter {} is unknown here; allowed: {}", quoted(name),
                                         allowed.empty() ? "none" : allowed));
    }
    if (out.call == Call::hosts && name == "after") {
      if (!is_host_id(value)) {
        return bad_target(400, fmt::format("parameter after={}: expected the id of a host, {}",
                                           quoted(value), host_id_form));
      }
      out.after_host = value;
      continue;
    }
    const std::int64_t low = name == "limit" ? 1 : 0;
    const std::int64_t high = name == "wait" ? 300 : name == "limit" ? 1000 : INT64_MAX;
    const auto parsed = number(value, low, high);
    if (!parsed) {
      return bad_target(400, fmt::format("parameter {}={}: expected a whole number {}..{}", name,
                                         quoted(value), low, high));
    }
    if (name == "wait") { out.wait_s = static_cast<unsigned>(*parsed); }
    if (name == "limit") { out.limit = out.hosts_max = static_cast<unsigned>(*parsed); }
    if (name == "after") { out.after = *parsed; }
  }
  return {};
}

}  // namespace

std::expected<Route, Problem> route(std::string_view method, std::string_view target) {
  const auto question = target.find('?');
  const auto path = target.substr(0, question);
  const auto query =
      question == std::string_view::npos ? std::string_view{} : target.substr(question + 1);
  const auto segments = split(path, '/');
  std::string allow;
  for (const Pattern& pattern : kPatterns) {
    Route out;
    if (!matches(pattern, segments, out)) { continue; }
    if (pattern.method != method && !(pattern.method == "GET" && method == "HEAD")) {
      allow += (allow.empty() ? "" : ", ") + std::string(pattern.method);
      continue;
    }
    out.call = pattern.call;
    if (auto read = read_parameters(query, pattern.parameters, out); !read) {
      return std::unexpected(std::move(read).error());
    }
    for (char& c : out.command_id) {  // As in the command itself: RFC 9562, 4 takes both.
      if (c >= 'A' && c <= 'Z') { c = static_cast<char>(c - 'A' + 'a'); }
    }
    if (!out.command_id.empty() && !store::is_command_id(out.command_id)) {
      return bad_target(400, fmt::format("id {}: expected a UUID", edge::quoted(out.command_id)));
    }
    return out;
  }
  if (!allow.empty()) {
    return std::unexpected(Problem{.status = 405,
                                   .detail = fmt::format("{} is not offered for {}; allowed: {}",
                                                         method, path.substr(0, 128), allow),
                                   .problems = {},
                                   .allow = allow});
  }
  return bad_target(404, fmt::format("there is nothing at {}", path.substr(0, 128)));
}

}  // namespace edge::console
