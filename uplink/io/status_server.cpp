#include "uplink/io/status_server.hpp"

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace edge::uplink {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

struct StatusServer::State {
  explicit State(asio::io_context& io) : acceptor(io) {}
  tcp::acceptor acceptor;
  Handler handler;
  int connections = 0;
};

namespace {

template <class State>
asio::awaitable<void> serve(std::shared_ptr<State> state, tcp::socket socket) {
  beast::tcp_stream stream(std::move(socket));
  beast::flat_buffer buffer(8 * 1024);
  boost::system::error_code ec;
  while (!ec) {
    stream.expires_after(std::chrono::seconds(10));
    http::request_parser<http::empty_body> parser;
    parser.header_limit(4 * 1024);
    co_await http::async_read(stream, buffer, parser,
                              asio::redirect_error(asio::use_awaitable, ec));
    if (ec) { break; }
    const auto& request = parser.get();
    StatusPage page{405, "text/plain", "only GET\n"};
    if (request.method() == http::verb::get) {
      page = state->handler(std::string(request.target()));
    }
    http::response<http::string_body> response{static_cast<http::status>(page.status),
                                               request.version()};
    response.set(http::field::content_type, page.content_type);
    response.set(http::field::cache_control, "no-store");
    response.keep_alive(request.keep_alive());
    response.body() = std::move(page.body);
    response.prepare_payload();
    co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, ec));
    if (!request.keep_alive()) { break; }
  }
  --state->connections;
}

template <class State>
asio::awaitable<void> accept(std::shared_ptr<State> state) {
  boost::system::error_code ec;
  while (state->acceptor.is_open()) {
    tcp::socket socket =
        co_await state->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, ec));
    if (ec == asio::error::operation_aborted) { break; }
    if (ec || state->connections >= StatusServer::connections_max) { continue; }
    ++state->connections;
    asio::co_spawn(state->acceptor.get_executor(), serve(state, std::move(socket)), asio::detached);
  }
}

}  // namespace

StatusServer::StatusServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

StatusServer::~StatusServer() {
  boost::system::error_code ignored;  // Closing is all that is left to do.
  state_->acceptor.close(ignored);
}

Result<std::unique_ptr<StatusServer>> StatusServer::listen(asio::io_context& io,
                                                           const HostPort& where, Handler handler) {
  auto state = std::make_shared<State>(io);
  state->handler = std::move(handler);
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(where.host, ec);
  if (ec) {
    return fail(Errc::invalid_input,
                fmt::format("status.listen: \"{}\" is not an address", where.host));
  }
  const tcp::endpoint endpoint(address, where.port);
  state->acceptor.open(endpoint.protocol(), ec);
  if (!ec) { state->acceptor.set_option(tcp::acceptor::reuse_address(true), ec); }
  if (!ec) { state->acceptor.bind(endpoint, ec); }
  if (!ec) { state->acceptor.listen(16, ec); }
  if (ec) {
    return fail_errno(ec.value(), fmt::format("status page on {}", edge::to_string(where)));
  }
  asio::co_spawn(io, accept(state), asio::detached);
  return std::unique_ptr<StatusServer>(new StatusServer(std::move(state)));
}

}  // namespace edge::uplink
