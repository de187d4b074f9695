// API: what hosts are told about themselves: certificates, where to connect.
#include <boost/json.hpp>

#include "console/api.hpp"
#include "console/clock.hpp"
#include "console/goaway_request.hpp"
#include "tunnel/io/certificate.hpp"

namespace edge::console {

namespace json = boost::json;
namespace asio = boost::asio;

/// The order is out, not done: `renewal` of the host says what came of it.
asio::awaitable<HttpResponse> Api::renew(Route route) {
  Host* host = fleet_.find(route.host);
  const auto row = host->row_with_order();
  if (!row) { co_return response_of(Problem{.status = 409, .detail = row.error().what}); }
  auto put = [row = *row](ConsoleDb& db) { return db.put_renewal(row); };
  const auto stored = co_await db_.call(std::move(put));
  if (!stored) { co_return db_problem(stored.error()); }
  host->order_renewal(*row->renewal);
  HttpResponse out;
  out.status = 202;
  out.body = json::serialize(host->summary());
  co_return out;
}

/// Said, not done: a host keeps each connection until it has the next one.
HttpResponse Api::goaway(std::string_view body) {
  const auto said = parse_goaway(body);
  if (!said) { return response_of(said.error()); }
  HttpResponse out;
  out.status = 202;
  out.body = json::serialize(json::object{{"hosts", fleet_.send_away(*said)}});
  return out;
}

asio::awaitable<HttpResponse> Api::list_certificates(Route route) {
  auto read = [host = route.host, limit = route.limit](ConsoleDb& db) {
    return db.issued(host, limit);
  };
  const auto rows = co_await db_.call(std::move(read));
  if (!rows) { co_return response_of(Problem{.status = 503, .detail = rows.error().what}); }
  json::array list;
  for (const IssuedRow& row : *rows) {
    list.push_back(json::object{{"serial", row.serial},
                                {"issuer", row.issuer},
                                {"not_before", tunnel::to_iso8601(row.not_before)},
                                {"not_after", tunnel::to_iso8601(row.not_after)},
                                {"issued", to_iso8601(row.issued)}});
  }
  HttpResponse out;
  out.body = json::serialize(json::object{{"certificates", std::move(list)}});
  co_return out;
}

}  // namespace edge::console
