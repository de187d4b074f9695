#include "console/goaway_request.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/net.hpp"

namespace edge::console {

namespace json = boost::json;

namespace {

constexpr std::size_t endpoints_max = 16;
constexpr std::size_t endpoint_bytes_max = 200;
constexpr std::size_t said_bytes_max = 200;

void take_seconds(const json::value& value, std::int64_t low, std::int64_t high,
                  std::string_view name, std::chrono::milliseconds& out, Problem& wrong) {
  const std::int64_t* seconds = value.if_int64();
  if (seconds != nullptr && *seconds >= low && *seconds <= high) {
    out = std::chrono::seconds(*seconds);
    return;
  }
  wrong.problems.push_back(
      {std::string(name),
       fmt::format("{}: expected {}..{}", json::serialize(value).substr(0, 64), low, high)});
}

void take_endpoints(const json::value& value, tunnel::Goaway& out, Problem& wrong) {
  const json::array* list = value.if_array();
  if (list == nullptr || list->size() > endpoints_max) {
    wrong.problems.push_back(
        {"endpoints", fmt::format("expected a list of at most {} HOST:PORT", endpoints_max)});
    return;
  }
  for (const json::value& item : *list) {
    const std::string text(item.is_string() ? std::string_view(item.get_string())
                                            : std::string_view{});
    if (text.size() <= endpoint_bytes_max && parse_host_port(text)) {
      out.endpoints.push_back(text);
    } else {
      wrong.problems.push_back(
          {"endpoints", fmt::format("{}: expected HOST:PORT as the hosts see it, port 1..65535",
                                    json::serialize(item).substr(0, 64))});
    }
  }
}

void take_said(const json::value& value, tunnel::Goaway& out, Problem& wrong) {
  if (value.is_string()) { out.reason = value.get_string(); }
  const bool one_line =
      std::ranges::none_of(out.reason, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (value.is_string() && one_line && out.reason.size() <= said_bytes_max) { return; }
  wrong.problems.push_back(
      {"reason", fmt::format("expected one line of at most {} bytes", said_bytes_max)});
}

}  // namespace

std::expected<tunnel::Goaway, Problem> parse_goaway(std::string_view body) {
  tunnel::Goaway out{.reason = "asked by an operator", .endpoints = {}};
  if (body.empty()) { return out; }
  boost::system::error_code ec;
  const json::value parsed = json::parse(body, ec, {}, {.max_depth = 4});
  const json::object* object = ec ? nullptr : parsed.if_object();
  if (object == nullptr) {
    return std::unexpected(
        Problem{.detail = "the body is not a JSON object", .problems = {}, .allow = {}});
  }
  Problem wrong{
      .status = 422, .detail = "nothing was said to any host", .problems = {}, .allow = {}};
  for (const auto& [name, value] : *object) {
    if (name == "endpoints") {
      take_endpoints(value, out, wrong);
    } else if (name == "spread_s") {
      take_seconds(value, 0, 3600, name, out.spread, wrong);
    } else if (name == "reconnect_in_s") {
      take_seconds(value, 0, 3600, name, out.reconnect_in, wrong);
    } else if (name == "try_for_s") {
      take_seconds(value, 1, 86400, name, out.try_for, wrong);
    } else if (name == "reason") {
      take_said(value, out, wrong);
    } else {
      wrong.problems.push_back({std::string(name).substr(0, 64),
                                "unknown key; allowed are endpoints, spread_s, reconnect_in_s, "
                                "try_for_s, reason"});
    }
  }
  if (!wrong.problems.empty()) { return std::unexpected(std::move(wrong)); }
  return out;
}

}  // namespace edge::console
