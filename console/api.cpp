#include "console/api.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "base/host_id.hpp"
#include "console/clock.hpp"
#include "console/page.hpp"
#include "console/uuid.hpp"

namespace edge::console {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::chrono::seconds kStreamComment{15};  ///< Keeps proxies and dead clients honest.
constexpr std::size_t kEventsPerRead = 256;
/// A turn of a Console with 9,700 hosts waits 250 ms for its next one: 64 hosts a turn took 38 s.
constexpr std::chrono::milliseconds kListTurn{20};

HttpResponse json_response(const json::value& value, unsigned status = 200) {
  HttpResponse out;
  out.status = status;
  out.body = json::serialize(value);
  return out;
}

HttpResponse problem(unsigned status, std::string detail) {
  return response_of(
      Problem{.status = status, .detail = std::move(detail), .problems = {}, .allow = {}});
}

HttpResponse forward_problem(const Error& error) {
  if (error.code == Errc::conflict) { return problem(409, error.what); }
  if (error.code == Errc::no_space) { return problem(429, error.what); }
  return response_of(Problem{.status = 422,
                             .detail = "listen: " + error.what,
                             .problems = {{"listen", error.what}},
                             .allow = {}});
}

/// Nothing new is taken for a host that will not come.
HttpResponse revoked_problem(const Host& host) {
  return problem(
      409, fmt::format("host {} was {} at {}; DELETE /api/v1/hosts/{}/revoke lifts that", host.id(),
                       text_of(*host.revoked()), to_iso8601(host.revoked()->time), host.id()));
}

json::value parse_or_null(const std::string& text) {
  boost::system::error_code ec;
  json::value parsed = json::parse(text, ec);
  return ec ? json::value(nullptr) : parsed;
}

json::object command_json(const CommandRow& row, std::optional<CommandState> live) {
  const CommandState state = is_final(row.state) ? row.state : live.value_or(row.state);
  json::object out{
      {"id", row.id},
      {"host", row.host},
      {"state", to_string(state)},
      {"problems", json::array{}},
      {"revision", nullptr},
      {"plan", json::array{}},
      {"queued", to_iso8601(row.queued)},
      {"finished", row.finished ? json::value(to_iso8601(*row.finished)) : json::value(nullptr)}};
  // The host's words as they are, for the keys that are its own.
  const json::value result = parse_or_null(row.result);
  if (const json::object* said = result.if_object()) {
    for (const auto& [key, value] : *said) {
      if (key != "type" && key != "id" && key != "state" && key != "host") { out[key] = value; }
    }
  }
  out["word"] = nullptr;
  if (row.word != Word::none) { out["word"] = std::string(to_string(row.word)); }
  const json::value message = parse_or_null(row.message);
  if (const json::object* asked = message.if_object();
      asked != nullptr && asked->contains("operations")) {
    out["operations"] = asked->at("operations");
  }
  return out;
}

json::object event_json(const EventRow& row) {
  return {{"n", row.n},
          {"host", row.host},
          {"time", row.time_text},
          {"kind", row.kind},
          {"data", parse_or_null(row.data)}};
}

/// A command in a list, but for its state: the fleet may know that better.
struct ListedCommand {
  std::string id;
  CommandState state = CommandState::queued;
  std::string rest;  ///< Of its JSON, after the state: `"id":...}`.
};
struct CommandPage {
  std::vector<ListedCommand> commands;
  bool more = false;
};
struct EventPage {
  std::string list;  ///< As JSON, without its brackets.
  std::int64_t last = 0;
  bool more = false;
};
/// Of the event stream.
struct StreamPart {
  std::string blocks;
  std::int64_t last = 0;  ///< The seq in it; 0: nothing came.
};

/// The thread of the database makes the text: megabytes of JSON would hold heartbeats back.
Result<CommandPage> read_commands(ConsoleDb& db, const std::string& host, std::size_t limit) {
  EDGE_ASSIGN(const RecentCommands found, db.recent_commands(host, limit));
  CommandPage out{.commands = {}, .more = found.more};
  for (const CommandRow& row : found.rows) {
    json::object shown = command_json(row, std::nullopt);
    shown.erase("plan");
    shown.erase("state");
    out.commands.push_back(
        {.id = row.id, .state = row.state, .rest = json::serialize(shown).substr(1)});
  }
  return out;
}

Result<EventPage> read_events(ConsoleDb& db, const Route& asked) {
  EDGE_ASSIGN(const EventList found, db.events_of(asked.host, asked.after, asked.limit));
  EventPage out{.list = {}, .last = 0, .more = found.more};
  for (const EventRow& row : found.rows) {
    if (!out.list.empty()) { out.list += ','; }
    out.list += json::serialize(event_json(row));
  }
  // What a client asks for may lie beyond all there is: the database was moved aside since.
  EDGE_ASSIGN(out.last, found.rows.empty() ? db.last_event(asked.host)
                                           : Result<std::int64_t>(found.rows.back().n));
  return out;
}

Result<StreamPart> read_stream(ConsoleDb& db, std::int64_t after) {
  EDGE_ASSIGN(const std::vector<EventRow> rows, db.events_since(after, kEventsPerRead));
  StreamPart out;
  for (const EventRow& row : rows) {
    out.blocks += fmt::format("id: {}\nevent: event\ndata: {}\n\n", row.seq,
                              json::serialize(event_json(row)));
    out.last = row.seq;
  }
  return out;
}

}  // namespace

HttpResponse response_of(const Problem& problem) {
  HttpResponse out;
  out.status = problem.status;
  out.content_type = "application/problem+json";
  out.body = to_json(problem);
  out.allow = problem.allow;
  return out;
}

HttpResponse db_problem(const Error& error) {
  const bool full = error.code == Errc::no_space;
  spdlog::error("database.failed code={} reason=\"{}\"", to_string(error.code), error.what);
  return problem(full ? 507 : 500, fmt::format("nothing was stored: {}", error.what));
}

bool Api::admits(std::string_view authorization) const { return authorized(authorization, token_); }

asio::awaitable<HttpResponse> Api::answer(HttpRequest request) {
  ++requests_;
  auto found = route(request.method, request.target);
  // The page is only a form; without the token nothing else tells whether it exists.
  const bool open = found && found->call == Call::page;
  if (!open && !admits(request.authorization)) {
    co_return problem(401, "the Authorization header does not carry the API's bearer token");
  }
  if (!found) { co_return response_of(found.error()); }
  if (found->call == Call::event_stream && found->after < 0 && !request.last_event_id.empty()) {
    const auto resumed = route("GET", "/api/v1/events?after=" + request.last_event_id);
    if (!resumed) { co_return response_of(resumed.error()); }
    found = resumed;
  }
  HttpResponse out = co_await dispatch(std::move(*found), std::move(request.body));
  co_return out;
}

asio::awaitable<HttpResponse> Api::dispatch(Route route, std::string body) {
  const bool about_host = !route.host.empty() && route.call != Call::revoke;
  if (about_host && fleet_.find(route.host) == nullptr) {
    co_return problem(404,
                      fmt::format("host \"{}\" was never seen here", route.host.substr(0, 64)));
  }
  HttpResponse out;
  switch (route.call) {
    case Call::page:
      out.content_type = "text/html; charset=utf-8";
      out.body = page_html();
      co_return out;
    case Call::metrics:
      out.content_type = "text/plain; version=0.0.4";
      out.body = metrics();
      co_return out;
    case Call::hosts: out = co_await list_hosts(std::move(route)); co_return out;
    case Call::host: co_return json_response(fleet_.find(route.host)->details());
    case Call::post_command:
      out = co_await post_command(std::move(route), std::move(body));
      co_return out;
    case Call::commands: out = co_await list_commands(std::move(route)); co_return out;
    case Call::command:
      out = co_await show_command(route.host, route.command_id, 200);
      co_return out;
    case Call::host_events: out = co_await list_events(std::move(route)); co_return out;
    case Call::confirm: out = co_await give_word(std::move(route), Word::confirm); co_return out;
    case Call::abort: out = co_await give_word(std::move(route), Word::abort); co_return out;
    case Call::revisions: out = co_await list_revisions(std::move(route)); co_return out;
    case Call::revision: out = co_await show_revision(std::move(route)); co_return out;
    case Call::former: out = co_await list_former(std::move(route)); co_return out;
    case Call::post_forward:
      out = co_await post_forward(std::move(route), std::move(body));
      co_return out;
    case Call::forwards:
      co_return json_response(json::object{{"forwards", forwards_.list(route.host)}});
    case Call::forward: co_return show_forward(route);
    case Call::delete_forward: out = co_await delete_forward(std::move(route)); co_return out;
    case Call::revoke: out = co_await revoke(std::move(route), std::move(body)); co_return out;
    case Call::restore: out = co_await restore(std::move(route)); co_return out;
    case Call::renew: out = co_await renew(std::move(route)); co_return out;
    case Call::goaway: co_return goaway(body);
    case Call::certificates: out = co_await list_certificates(std::move(route)); co_return out;
    case Call::event_stream:
      out.stream_after = route.after >= 0 ? route.after : feed_.last_seq();
      co_return out;
    case Call::not_yet: co_return problem(501, "this version of the Console does not offer it yet");
  }
  co_return problem(500, "no such call");
}

asio::awaitable<HttpResponse> Api::post_command(Route route, std::string body) {
  auto parsed = parse_command(body);
  if (!parsed) { co_return response_of(parsed.error()); }
  Host* host = fleet_.find(route.host);
  if (host->revoked()) { co_return revoked_problem(*host); }
  const std::string id = parsed->id.empty() ? random_uuid() : parsed->id;
  const std::string message = command_message(id, *parsed);
  const bool known = host->live_state(id).has_value();  // It has its room, and takes no more.
  if (!known) {
    const auto room = host->reserve(message.size());
    if (!room) { co_return problem(429, room.error().what); }
  }
  // Named before the co_await, here and below: GCC 12 destroys a closure that is a temporary of it
  // twice (seen with ASan).
  auto add = [host_id = route.host, id, message, now = wall_now()](ConsoleDb& db) {
    return db.add_command(host_id, id, message, now);
  };
  auto added = co_await db_.call(std::move(add));
  if (!known) { host->release(message.size()); }
  if (!added) { co_return db_problem(added.error()); }
  if (added->added == Added::id_reuse) {
    co_return problem(
        409, fmt::format("id_reuse: id {} was used for another command; its answer stands", id));
  }
  const bool waits = route.wait_s > 0 && !is_final(added->row.state);
  auto timer = std::make_shared<asio::steady_timer>(io_);
  if (waits) { timer->expires_after(std::chrono::seconds(route.wait_s)); }
  const auto sent = added->added == Added::fresh ? Host::Sent::never : Host::Sent::perhaps;
  host->submit(std::move(added->row), sent);
  if (waits && host->notify_final(id, timer)) {
    // Cancelled when the result is on disk; the deadline is an answer too.
    static_cast<void>(co_await timer->async_wait(asio::as_tuple(asio::use_awaitable)));
  }
  HttpResponse out = co_await show_command(route.host, id, 202);
  co_return out;
}

asio::awaitable<HttpResponse> Api::give_word(Route route, Word word) {
  Host* host = fleet_.find(route.host);
  if (host->revoked()) { co_return revoked_problem(*host); }
  const auto taken = host->take_word(route.command_id, word);
  if (!taken) { co_return problem(409, taken.error().what); }
  if (*taken == Host::Taken::to_keep) {
    auto keep = [row = host->row(), id = route.command_id, word](ConsoleDb& db) {
      return db.put_word(row, id, word);
    };
    const auto kept = co_await db_.call(std::move(keep));
    const auto said = host->settle_word(route.command_id, word, kept);
    if (!kept) { co_return db_problem(kept.error()); }
    if (!said) { co_return problem(409, said.error().what); }
  }
  HttpResponse out = co_await show_command(route.host, route.command_id, 202);
  co_return out;
}

asio::awaitable<HttpResponse> Api::show_command(std::string host, std::string id, unsigned status) {
  auto query = [host, id](ConsoleDb& db) { return db.command(host, id); };
  auto row = co_await db_.call(std::move(query));
  if (!row) { co_return db_problem(row.error()); }
  if (!*row) { co_return problem(404, fmt::format("host {} has no command {}", host, id)); }
  const auto live = fleet_.find(host)->live_state(id);
  co_return json_response(command_json(**row, live), is_final((*row)->state) ? 200 : status);
}

asio::awaitable<HttpResponse> Api::list_commands(Route route) {
  auto query = [host = route.host, limit = route.limit](ConsoleDb& db) {
    return read_commands(db, host, limit);
  };
  const auto page = co_await db_.call(std::move(query));
  if (!page) { co_return db_problem(page.error()); }
  HttpResponse out;
  out.body = R"({"commands":[)";
  const Host* host = fleet_.find(route.host);
  for (const ListedCommand& one : page->commands) {
    const CommandState state =
        is_final(one.state) ? one.state : host->live_state(one.id).value_or(one.state);
    if (out.body.back() != '[') { out.body += ','; }
    out.body += fmt::format(R"({{"state":"{}",)", to_string(state));
    out.body += one.rest;
  }
  out.body += fmt::format(R"(],"more":{}}})", page->more);
  co_return out;
}

asio::awaitable<HttpResponse> Api::list_events(Route route) {
  auto query = [route](ConsoleDb& db) { return read_events(db, route); };
  const auto page = co_await db_.call(std::move(query));
  if (!page) { co_return db_problem(page.error()); }
  HttpResponse out;
  out.body =
      fmt::format(R"({{"events":[{}],"last":{},"more":{}}})", page->list, page->last, page->more);
  co_return out;
}

asio::awaitable<HttpResponse> Api::post_forward(Route route, std::string body) {
  auto parsed = parse_forward(body);
  if (!parsed) { co_return response_of(parsed.error()); }
  if (const Host* host = fleet_.find(route.host); host->revoked()) {
    co_return revoked_problem(*host);
  }
  ForwardRow row{.id = random_uuid(),
                 .host = route.host,
                 .listen = std::move(parsed->listen),
                 .to = std::move(parsed->to),
                 .created = wall_now()};
  // The port is ours before it is on disk, and accepts only after that.
  const auto opened = forwards_.open(row);
  if (!opened) { co_return forward_problem(opened.error()); }
  auto add = [row](ConsoleDb& db) { return db.add_forward(row); };
  const auto added = co_await db_.call(std::move(add));
  if (!added) {
    forwards_.close(row.host, row.id);
    co_return db_problem(added.error());
  }
  forwards_.begin(row.id);
  spdlog::info("forward.made host={} id={} listen={} to={}", row.host, row.id, row.listen, row.to);
  co_return json_response(forwards_.show(row.id), 201);
}

asio::awaitable<HttpResponse> Api::delete_forward(Route route) {
  if (!forwards_.has(route.host, route.command_id)) { co_return show_forward(route); }
  auto remove = [host = route.host, id = route.command_id](ConsoleDb& db) {
    return db.remove_forward(host, id);
  };
  const auto removed = co_await db_.call(std::move(remove));
  if (!removed) { co_return db_problem(removed.error()); }
  forwards_.close(route.host, route.command_id);
  spdlog::info("forward.deleted host={} id={}", route.host, route.command_id);
  HttpResponse out;
  out.status = 204;
  co_return out;
}

asio::awaitable<HttpResponse> Api::revoke(Route route, std::string body) {
  auto asked = parse_revocation(body);
  if (!asked) { co_return response_of(asked.error()); }
  if (fleet_.find(route.host) == nullptr) {
    if (!asked->unseen) {
      co_return problem(404, fmt::format("host \"{}\" was never seen here; {{\"unseen\": true}} "
                                         "revokes it all the same",
                                         route.host.substr(0, 64)));
    }
    if (!is_host_id(route.host)) {
      co_return problem(422, fmt::format("host \"{}\": {}", route.host.substr(0, 64),
                                         "an id is [a-z0-9][a-z0-9-]{0,31}"));
    }
  }
  Host* host = &fleet_.expect(route.host);
  // Said again: the reason is the new one, it holds since the first time.
  const WallTime since = host->revoked() ? host->revoked()->time : wall_now();
  const HostRow row = host->row_with(Revocation{.time = since, .reason = std::move(asked->reason)});
  auto put = [row](ConsoleDb& db) { return db.put_revocation(row); };
  const auto stored = co_await db_.call(std::move(put));
  if (!stored) { co_return db_problem(stored.error()); }
  host->set_revoked(row.revoked);
  co_return json_response(host->summary());
}

asio::awaitable<HttpResponse> Api::restore(Route route) {
  Host* host = fleet_.find(route.host);
  auto put = [row = host->row_with(std::nullopt)](ConsoleDb& db) { return db.put_revocation(row); };
  const auto stored = co_await db_.call(std::move(put));
  if (!stored) { co_return db_problem(stored.error()); }
  host->set_revoked(std::nullopt);
  HttpResponse out;
  out.status = 204;
  co_return out;
}

HttpResponse Api::show_forward(const Route& route) const {
  if (!forwards_.has(route.host, route.command_id)) {
    return problem(404, fmt::format("host {} has no forward {}", route.host, route.command_id));
  }
  return json_response(forwards_.show(route.command_id));
}

/// In turns, and as text: the list of ten thousand hosts must hold no heartbeat back. In the order
/// of their names, so that a page goes on after the last one of the page before.
asio::awaitable<HttpResponse> Api::list_hosts(Route route) {
  HttpResponse out;
  out.body = R"({"hosts":[)";
  auto began = mono_now();
  unsigned listed = 0;
  const auto& hosts = fleet_.hosts();  // They come, but never go.
  auto next = hosts.upper_bound(route.after_host);
  for (; next != hosts.end() && listed < route.hosts_max; ++next, ++listed) {
    if (out.body.back() != '[') { out.body += ','; }
    out.body += json::serialize(next->second->summary());
    if (mono_now() - began < kListTurn) { continue; }
    co_await asio::post(io_, asio::use_awaitable);
    began = mono_now();
  }
  out.body += fmt::format(R"(],"more":{}}})", next != hosts.end());
  co_return out;
}

asio::awaitable<std::string> Api::next_events(std::shared_ptr<Subscriber> subscriber,
                                              std::shared_ptr<std::int64_t> cursor) {
  std::string out;
  if (*cursor > feed_.last_seq()) {
    // A number of a database that was moved aside: of this one the client has heard nothing. What
    // it got from this one is no larger, for the worker says `stored` before it answers a read.
    *cursor = 0;
    out = fmt::format("id: 0\nevent: reset\ndata: {{\"last\":{}}}\n\n", feed_.last_seq());
    co_return out;
  }
  if (*cursor >= feed_.last_seq() && subscriber->updates.empty() && !subscriber->ended) {
    subscriber->wake.expires_after(kStreamComment);
    static_cast<void>(co_await subscriber->wake.async_wait(asio::as_tuple(asio::use_awaitable)));
  }
  if (subscriber->ended) { co_return out; }
  if (*cursor < feed_.last_seq()) {
    auto query = [after = *cursor](ConsoleDb& db) { return read_stream(db, after); };
    auto part = co_await db_.call(std::move(query));
    if (!part) { co_return out; }  // The client comes again with Last-Event-ID.
    *cursor = part->last == 0 ? feed_.last_seq() : part->last;
    out = std::move(part->blocks);
  }
  out += subscriber->take();
  if (out.empty()) { out = ": nothing new\n\n"; }
  co_return out;
}

}  // namespace edge::console
