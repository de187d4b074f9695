// Api: the revisions of a host's model, as the host keeps them.
#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include "console/api.hpp"
#include "console/clock.hpp"
#include "console/uuid.hpp"

namespace edge::console {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr std::chrono::seconds kAnswerWithin{5};

HttpResponse json_200(const json::value& value) {
  HttpResponse out;
  out.body = json::serialize(value);
  return out;
}

HttpResponse said_no(unsigned status, std::string detail) {
  return response_of(
      Problem{.status = status, .detail = std::move(detail), .problems = {}, .allow = {}});
}

}  // namespace

/// Of a host that does not answer: what its last snapshot named.
HttpResponse Api::kept_revisions(const Route& route) const {
  const Host* host = fleet_.find(route.host);
  json::array rows = host->kept_revisions();
  if (rows.size() > route.limit) { rows.resize(route.limit); }
  json::object out{{"revisions", std::move(rows)}, {"live", false}, {"as_of", nullptr}};
  if (const auto time = host->snapshot_time()) { out["as_of"] = to_iso8601(*time); }
  return json_200(out);
}

asio::awaitable<Result<std::optional<json::object>>> Api::ask_history(std::string host,
                                                                      const char* key,
                                                                      json::value value) {
  const std::string id = random_uuid();
  auto answer = std::make_shared<Host::Answer>(io_);
  const auto asked = fleet_.find(host)->ask(
      id, {{"type", "history"}, {"id", id}, {key, std::move(value)}}, answer);
  if (!asked) { co_return std::unexpected(asked.error()); }
  answer->timer.expires_after(kAnswerWithin);
  static_cast<void>(co_await answer->timer.async_wait(asio::as_tuple(asio::use_awaitable)));
  fleet_.find(host)->forget(id);
  co_return std::move(answer->said);
}

asio::awaitable<HttpResponse> Api::list_revisions(Route route) {
  std::string host = route.host;
  json::value limit(route.limit);
  const auto answer = co_await ask_history(std::move(host), "limit", std::move(limit));
  const json::value* rows = answer && *answer ? (*answer)->if_contains("revisions") : nullptr;
  if (rows == nullptr || !rows->is_array()) { co_return kept_revisions(route); }
  co_return json_200(json::object{{"revisions", *rows}, {"live", true}});
}

asio::awaitable<HttpResponse> Api::show_revision(Route route) {
  std::string host = route.host;
  json::value revision(route.revision);
  const auto answer = co_await ask_history(std::move(host), "revision", std::move(revision));
  if (!answer) {
    co_return said_no(503, answer.error().what + ": its models are kept by the host alone");
  }
  if (!*answer) {
    co_return said_no(
        504, fmt::format("host {} did not answer within {} s", route.host, kAnswerWithin.count()));
  }
  if (const json::value* found = (*answer)->if_contains("revision");
      found != nullptr && found->is_object()) {
    co_return json_200(*found);
  }
  const json::value* why = (*answer)->if_contains("problem");
  co_return said_no(404,
                    why != nullptr && why->is_string()
                        ? std::string(why->get_string())
                        : fmt::format("host {} keeps no revision {}", route.host, route.revision));
}

/// What it had before it lost its store, ready to be sent again.
asio::awaitable<HttpResponse> Api::list_former(Route route) {
  auto read = [host = route.host](ConsoleDb& db) { return db.former(host); };
  const auto rows = co_await db_.call(std::move(read));
  if (!rows) { co_return said_no(503, rows.error().what); }
  json::array list;
  for (const FormerRow& row : *rows) {
    boost::system::error_code ec;
    json::value model = json::parse(row.model, ec);
    if (ec) { continue; }
    json::array operations{json::object{{"op", "model.replace"}, {"model", std::move(model)}}};
    list.push_back(json::object{{"install_id", row.install_id},
                                {"revision", row.revision},
                                {"as_of", to_iso8601(row.time)},
                                {"operations", std::move(operations)}});
  }
  co_return json_200(json::object{{"former", std::move(list)}});
}

}  // namespace edge::console
