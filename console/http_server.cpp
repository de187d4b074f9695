#include "console/http_server.hpp"

#include <poll.h>

#include <algorithm>
#include <exception>
#include <list>
#include <optional>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace edge::console {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {
constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
using Parser = http::request_parser<http::string_body>;

/// How often a connection is looked at that waits for the end of a command.
constexpr std::chrono::seconds kLookPeriod{1};

/// Who talks on a connection, by the last request.
enum class Caller : std::uint8_t { stranger, holder };

/// One connection.
struct Visitor {
  explicit Visitor(tcp::socket socket) : stream(std::move(socket)) {}
  beast::tcp_stream stream;
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
  Caller caller = Caller::stranger;
};
}  // namespace

struct HttpServer::State {
  State(boost::asio::io_context& io, Api& api_in, HttpLimits limits_in)
      : api(api_in), limits(limits_in), acceptor(io), room(io) {}
  Api& api;
  HttpLimits limits;
  tcp::acceptor acceptor;
  asio::steady_timer room;  ///< Cancelled when a connection ends.
  unsigned connections = 0;
  unsigned waiting = 0;            ///< Those of them that wait for the end of a command.
  std::list<Visitor*> visitors{};  ///< By arrival.
  bool stopped = false;
};

namespace {

HttpRequest to_request(Parser& parser) {
  http::request<http::string_body> message = parser.release();
  const auto header = [&](http::field field) {
    return std::string(std::string_view(message[field]));
  };
  HttpRequest out;
  out.method = std::string(std::string_view(message.method_string()));
  out.target = std::string(std::string_view(message.target()));
  out.authorization = header(http::field::authorization);
  out.last_event_id = std::string(std::string_view(message["Last-Event-ID"]));
  out.body = std::move(message.body());
  return out;
}

http::response<http::string_body> to_message(HttpResponse response, bool keep_alive, bool head) {
  http::response<http::string_body> out(static_cast<http::status>(response.status), 11);
  out.set(http::field::server, "uplink-console");
  out.set(http::field::content_type, response.content_type);
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  if (response.content_type.starts_with("text/html")) {
    out.set("Content-Security-Policy",
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
            "connect-src 'self'");
  }
  if (response.status == 401) { out.set(http::field::www_authenticate, "Bearer"); }
  if (!response.allow.empty()) { out.set(http::field::allow, response.allow); }
  out.keep_alive(keep_alive);
  const std::size_t bytes = response.body.size();
  if (!head) { out.body() = std::move(response.body); }
  out.content_length(bytes);
  return out;
}

/// What to say to a request that could not even be read; nullopt: nobody listens.
std::optional<HttpResponse> answer_to_garbage(const beast::error_code& ec,
                                              const HttpLimits& limits) {
  const auto say = [](unsigned status, std::string detail) {
    return response_of(
        Problem{.status = status, .detail = std::move(detail), .problems = {}, .allow = {}});
  };
  if (ec == http::error::body_limit) {
    return say(413, fmt::format("the body is larger than {} bytes", limits.body_bytes_max));
  }
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return say(431, fmt::format("the header is larger than {} bytes", limits.header_bytes_max));
  }
  const bool gone = ec == http::error::end_of_stream || ec == http::error::partial_message ||
                    ec.category() != http::make_error_code(http::error::end_of_stream).category();
  if (gone) { return std::nullopt; }
  return say(400, fmt::format("not an HTTP request: {}", ec.message()));
}

asio::awaitable<bool> write_message(beast::tcp_stream& stream,
                                    http::response<http::string_body> message, HttpLimits limits) {
  stream.expires_after(limits.write);
  const bool keep = message.keep_alive();
  const auto [ec, bytes] = co_await http::async_write(stream, message, tuple_awaitable);
  co_return !ec && keep;
}

asio::awaitable<void> write_stream(beast::tcp_stream& stream, Api& api, std::int64_t after,
                                   HttpLimits limits) {
  const auto subscriber = api.subscribe();
  const auto cursor = std::make_shared<std::int64_t>(after);
  std::string part =
      "HTTP/1.1 200 OK\r\nServer: uplink-console\r\nContent-Type: text/event-stream\r\n"
      "Cache-Control: no-store\r\nConnection: close\r\n\r\n: the stream begins\n\n";
  while (!part.empty()) {
    stream.expires_after(limits.write);
    const auto [ec, bytes] =
        co_await asio::async_write(stream, asio::buffer(part), tuple_awaitable);
    if (ec) { co_return; }
    stream.expires_never();
    part = co_await api.next_events(subscriber, cursor);
  }
}

/// Reads one request; of a stranger's the header only. The error of Beast; none: `parser` holds it.
asio::awaitable<beast::error_code> read_request(beast::tcp_stream& stream,
                                                beast::flat_buffer& buffer, Parser& parser,
                                                const Api& api, Caller& caller, HttpLimits limits) {
  parser.body_limit(limits.body_bytes_max);
  parser.header_limit(limits.header_bytes_max);
  stream.expires_after(caller == Caller::holder ? limits.idle
                                                : std::min(limits.idle, limits.stranger));
  const auto [header_ec, header_bytes] =
      co_await http::async_read_header(stream, buffer, parser, tuple_awaitable);
  if (header_ec) { co_return header_ec; }
  const std::string_view said = parser.get()[http::field::authorization];
  caller = api.admits(said) ? Caller::holder : Caller::stranger;
  if (parser.is_done() || caller == Caller::stranger) { co_return header_ec; }
  stream.expires_after(limits.idle);
  if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    http::response<http::empty_body> go_on(http::status::continue_, 11);
    const auto [ec, bytes] = co_await http::async_write(stream, go_on, tuple_awaitable);
    if (ec) { co_return ec; }
  }
  const auto [ec, bytes] = co_await http::async_read(stream, buffer, parser, tuple_awaitable);
  co_return ec;
}

/// Between a connection and the answer that it waits for.
struct LongWait {
  explicit LongWait(const asio::any_io_executor& executor) : look(executor) {}
  asio::cancellation_signal gave_up;
  asio::steady_timer look;  ///< Cancelled when the answer is there.
  std::optional<HttpResponse> answer;
  std::exception_ptr thrown;
};

/// May the answer come minutes later? `?wait` is the only parameter of that call.
bool asks_to_wait(const HttpRequest& request) {
  const auto asked = route(request.method, request.target);
  return asked && asked->call == Call::post_command && asked->wait_s > 0;
}

/// Has the other end closed? Bytes of it that nobody has read hide nothing from poll(2).
bool has_left(tcp::socket& socket) {
  pollfd one{.fd = socket.native_handle(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&one, 1, 0) > 0;
}

/// Cancelled, it waits no longer and does all the rest.
asio::awaitable<HttpResponse> answer_to_the_end(Api& api, HttpRequest request) {
  co_await asio::this_coro::throw_if_cancelled(false);
  HttpResponse out = co_await api.answer(std::move(request));
  co_return out;
}

/// Nothing is read while a command's end is waited for, so the connection is looked at: a client
/// that has closed it waits no more, and has its answer at once if it only ended its half. Told
/// again each time, for the wait may begin after the client went.
asio::awaitable<HttpResponse> answer_while_heard(beast::tcp_stream& stream, Api& api,
                                                 HttpRequest request, unsigned& waiting) {
  struct Counted {
    unsigned& count;
    ~Counted() { --count; }
  };
  ++waiting;
  const Counted counted{waiting};
  const auto wait = std::make_shared<LongWait>(stream.get_executor());
  auto answering = answer_to_the_end(api, std::move(request));
  auto take = [wait](std::exception_ptr thrown, HttpResponse said) {
    wait->thrown = std::move(thrown);
    wait->answer = std::move(said);
    wait->look.cancel();
  };
  auto answered = asio::bind_cancellation_slot(wait->gave_up.slot(), std::move(take));
  asio::co_spawn(stream.get_executor(), std::move(answering), std::move(answered));
  while (!wait->answer) {
    wait->look.expires_after(kLookPeriod);
    static_cast<void>(co_await wait->look.async_wait(tuple_awaitable));
    if (!wait->answer && has_left(stream.socket())) {
      wait->gave_up.emit(asio::cancellation_type::terminal);
    }
  }
  if (wait->thrown) { std::rethrow_exception(wait->thrown); }
  co_return std::move(*wait->answer);
}

/// One connection, request after request; of a stranger one.
asio::awaitable<void> converse(Visitor& visitor, Api& api, HttpLimits limits, unsigned& waiting,
                               std::shared_ptr<const bool> stop) {
  beast::tcp_stream& stream = visitor.stream;
  beast::flat_buffer buffer;
  bool keep = true;
  while (keep && !*stop) {
    Parser parser;
    const beast::error_code ec =
        co_await read_request(stream, buffer, parser, api, visitor.caller, limits);
    if (ec) {
      auto said = answer_to_garbage(ec, limits);
      if (said) {
        co_await write_message(stream, to_message(std::move(*said), false, false), limits);
      }
      co_return;
    }
    const bool head = parser.get().method() == http::verb::head;
    const bool holder = visitor.caller == Caller::holder;
    // Of a stranger's request the body is unread, and its seat is for somebody else.
    keep = holder && parser.get().keep_alive();
    stream.expires_never();  // The answer may wait for a command.
    HttpRequest request = to_request(parser);
    bool waits = holder && asks_to_wait(request);
    if (waits && waiting >= limits.connections_max / 2) {
      request.target.resize(request.target.find('?'));  // As with wait=0: 202.
      waits = false;
    }
    HttpResponse answer;
    if (waits) {
      answer = co_await answer_while_heard(stream, api, std::move(request), waiting);
    } else {
      answer = co_await api.answer(std::move(request));
    }
    if (answer.stream_after) {
      co_await write_stream(stream, api, *answer.stream_after, limits);
      co_return;
    }
    keep = co_await write_message(stream, to_message(std::move(answer), keep, head), limits);
  }
}

}  // namespace

namespace {

template <class ServerState>
asio::awaitable<void> serve(std::shared_ptr<ServerState> state, tcp::socket socket) {
  // Leaves in every way out, also when the io_context is destroyed under it.
  struct Seat {
    std::shared_ptr<ServerState> state;
    Visitor* visitor;
    ~Seat() {
      std::erase(state->visitors, visitor);
      --state->connections;
      if (!state->stopped) { state->room.cancel(); }
    }
  };
  Visitor visitor(std::move(socket));
  state->visitors.push_back(&visitor);
  const Seat seat{state, &visitor};
  const std::shared_ptr<const bool> stop(state, &state->stopped);
  co_await converse(visitor, state->api, state->limits, state->waiting, stop);
  beast::error_code ignored;
  visitor.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

/// All seats are taken and somebody is at the door: closes the oldest connection that has not shown
/// the token, if it has had its time. When to look again.
template <class ServerState>
std::chrono::steady_clock::time_point give_way(ServerState& state) {
  const auto now = std::chrono::steady_clock::now();
  for (Visitor* visitor : state.visitors) {
    const bool leaving = !visitor->stream.socket().is_open();
    if (leaving || visitor->caller == Caller::holder) { continue; }
    const auto due = visitor->since + state.limits.yields_after;
    if (due > now) { return due; }
    visitor->stream.close();
    break;
  }
  return now + state.limits.yields_after;
}

template <class ServerState>
asio::awaitable<void> accept_all(std::shared_ptr<ServerState> state) {
  const auto executor = state->acceptor.get_executor();
  while (!state->stopped) {
    if (state->connections >= state->limits.connections_max) {
      // Nobody has to go before there is somebody to give way to.
      static_cast<void>(
          co_await state->acceptor.async_wait(tcp::acceptor::wait_read, tuple_awaitable));
    }
    while (state->connections >= state->limits.connections_max && !state->stopped) {
      state->room.expires_at(give_way(*state));
      static_cast<void>(co_await state->room.async_wait(tuple_awaitable));
    }
    auto [ec, socket] = co_await state->acceptor.async_accept(tuple_awaitable);
    if (state->stopped) { co_return; }
    if (ec) {
      // Out of descriptors, most likely: those there are end some time.
      spdlog::warn("http.accept_failed reason=\"{}\"", ec.message());
      state->room.expires_after(std::chrono::milliseconds(100));
      static_cast<void>(co_await state->room.async_wait(tuple_awaitable));
      continue;
    }
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    ++state->connections;
    asio::co_spawn(executor, serve(state, std::move(socket)), asio::detached);
  }
}

}  // namespace

HttpServer::HttpServer(std::shared_ptr<State> state) : state_(std::move(state)) {}
HttpServer::~HttpServer() { stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::listen(boost::asio::io_context& io,
                                                       const HostPort& where, Api& api,
                                                       HttpLimits limits) {
  auto state = std::make_shared<State>(io, api, limits);
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(where.host, ec);
  if (ec) {
    return fail(Errc::invalid_input,
                fmt::format("http address \"{}\": expected an IP address", where.host));
  }
  const tcp::endpoint endpoint(address, where.port);
  const auto failed = [&](std::string_view what) {
    return fail(errc_of_errno(ec.value()),
                fmt::format("{} {}: {}", what, to_string(where), ec.message()), ec.value());
  };
  state->acceptor.open(endpoint.protocol(), ec);
  if (ec) { return failed("open"); }
  state->acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (ec) { return failed("reuse"); }
  state->acceptor.bind(endpoint, ec);
  if (ec) { return failed("bind"); }
  state->acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) { return failed("listen on"); }
  asio::co_spawn(io, accept_all(state), asio::detached);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

std::uint16_t HttpServer::port() const {
  boost::system::error_code ec;
  return state_->acceptor.local_endpoint(ec).port();
}

unsigned HttpServer::connections() const { return state_->connections; }

void HttpServer::stop() {
  if (state_->stopped) { return; }
  state_->stopped = true;
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
  state_->room.cancel();
}

}  // namespace edge::console
