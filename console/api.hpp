// The HTTP API: a request as values in, a response as values out.
#pragma once

#include <string>

#include <boost/asio/awaitable.hpp>

#include "console/api_request.hpp"
#include "console/fleet.hpp"
#include "console/forwards.hpp"

namespace edge::console {

struct HttpRequest {
  std::string method;
  std::string target;
  std::string authorization;
  std::string last_event_id;
  std::string body;
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string allow;
  /// Set: the answer is the event stream from after this seq on, not `body`.
  std::optional<std::int64_t> stream_after;
};
HttpResponse response_of(const Problem& problem);
/// What the database did not take, or not give: 507 the disk is full, else 500. Logs it.
HttpResponse db_problem(const Error& error);

/// Time: timers of `?wait`. Threads: the io_context's.
class Api {
 public:
  Api(boost::asio::io_context& io, DbWorker& db, Feed& feed, Fleet& fleet, Forwards& forwards,
      std::string token)
      : io_(io),
        db_(db),
        feed_(feed),
        fleet_(fleet),
        forwards_(forwards),
        token_(std::move(token)) {}

  boost::asio::awaitable<HttpResponse> answer(HttpRequest request);
  /// Does this Authorization header carry the token?
  bool admits(std::string_view authorization) const;
  /// The next part of an event stream: what is new after `cursor` (which it moves), a comment when
  /// nothing came for a while; empty: the stream ends.
  boost::asio::awaitable<std::string> next_events(std::shared_ptr<Subscriber> subscriber,
                                                  std::shared_ptr<std::int64_t> cursor);
  std::shared_ptr<Subscriber> subscribe() { return feed_.subscribe(); }

 private:
  boost::asio::awaitable<HttpResponse> dispatch(Route route, std::string body);
  boost::asio::awaitable<HttpResponse> post_command(Route route, std::string body);
  boost::asio::awaitable<HttpResponse> show_command(std::string host, std::string id,
                                                    unsigned status);
  /// An operator's word about a trial: on disk before it is said to the host or accepted here.
  boost::asio::awaitable<HttpResponse> give_word(Route route, Word word);
  boost::asio::awaitable<HttpResponse> list_commands(Route route);
  boost::asio::awaitable<HttpResponse> list_events(Route route);
  // api_history.cpp
  /// Asks a host about its revisions; nullopt: it did not answer in time. `key`: a literal. Errors:
  /// as Host::ask. Pre: the host is known.
  boost::asio::awaitable<Result<std::optional<boost::json::object>>> ask_history(
      std::string host, const char* key, boost::json::value value);
  boost::asio::awaitable<HttpResponse> list_revisions(Route route);
  boost::asio::awaitable<HttpResponse> show_revision(Route route);
  HttpResponse kept_revisions(const Route& route) const;
  boost::asio::awaitable<HttpResponse> list_former(Route route);
  boost::asio::awaitable<HttpResponse> post_forward(Route route, std::string body);
  boost::asio::awaitable<HttpResponse> delete_forward(Route route);
  HttpResponse show_forward(const Route& route) const;
  boost::asio::awaitable<HttpResponse> revoke(Route route, std::string body);
  boost::asio::awaitable<HttpResponse> restore(Route route);
  boost::asio::awaitable<HttpResponse> renew(Route route);
  HttpResponse goaway(std::string_view body);
  boost::asio::awaitable<HttpResponse> list_certificates(Route route);
  boost::asio::awaitable<HttpResponse> list_hosts(Route route);
  std::string metrics() const;

  boost::asio::io_context& io_;
  DbWorker& db_;
  Feed& feed_;
  Fleet& fleet_;
  Forwards& forwards_;
  std::string token_;
  std::uint64_t requests_ = 0;
};

}  // namespace edge::console
