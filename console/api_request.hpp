// What an HTTP request asks for, or the problem with it. Pure: text in, values out.
#pragma once

#include <cstdint>
#include <expected>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace edge::console {

/// RFC 9457. Every problem of a request is listed.
struct Problem {
  struct Item {
    std::string field;
    std::string what;
  };
  unsigned status = 400;
  std::string detail;  ///< One line: the thing, the value, what is allowed.
  std::vector<Item> problems;
  std::string allow;  ///< With 405: the methods.
};
/// The body: type, title, status, detail, problems.
std::string to_json(const Problem& problem);
std::string_view title_of(unsigned status);

enum class Call : std::uint8_t {
  page,
  hosts,
  host,
  post_command,
  commands,
  command,
  confirm,
  abort,
  revisions,
  revision,
  former,
  host_events,
  event_stream,
  metrics,
  forwards,
  post_forward,
  forward,
  delete_forward,
  revoke,
  restore,
  renew,
  certificates,
  goaway,
  not_yet,  ///< Known to interfaces.md, not offered by this version.
};

struct Route {
  Call call = Call::page;
  std::string host;
  std::string command_id;  ///< Or a forward's.
  std::int64_t revision = -1;
  std::int64_t after = -1;  ///< ?after=N; -1: not given.
  unsigned limit = 500;     ///< ?limit=1..1000
  /// Of the list of hosts, where `limit` and `after` are these: all unless they are given.
  unsigned hosts_max = std::numeric_limits<unsigned>::max();
  std::string after_host;  ///< May be none that there is.
  unsigned wait_s = 0;     ///< ?wait=0..300
};
/// Errors: 404 unknown path, 405 wrong method, 400 bad parameter.
std::expected<Route, Problem> route(std::string_view method, std::string_view target);

/// A valid command: its id (empty: to be given) and the message for the host without it.
struct CommandRequest {
  std::string id;
  std::string fields;  ///< JSON members after "id", beginning with a comma: `,"operations":[...]`.
};
/// Checks form only, the operations themselves are the host's to judge. Errors: 400 no JSON, 422
/// with all that is wrong, 413.
std::expected<CommandRequest, Problem> parse_command(std::string_view body);
/// `{"type":"command","id":...,...}`
std::string command_message(std::string_view id, const CommandRequest& request);

struct ForwardRequest {
  std::string listen;  ///< IP:port of this machine; port 0: any free one.
  std::string to;      ///< HOST:PORT as the host sees it.
};
/// Errors: 400 no JSON, 422 with all that is wrong.
std::expected<ForwardRequest, Problem> parse_forward(std::string_view body);

struct RevocationRequest {
  std::string reason;
  bool unseen = false;  ///< Also a host that was never here: no slip of the pen is meant.
  bool operator==(const RevocationRequest&) const = default;
};
/// `{"reason"?: one line, "unseen"?: bool}`, or no body at all.
/// Errors: 400 no JSON, 422 with all that is wrong.
std::expected<RevocationRequest, Problem> parse_revocation(std::string_view body);

/// True for `Bearer <token>`; takes the same time for every wrong token of the same length.
bool authorized(std::string_view header, std::string_view token);

}  // namespace edge::console
