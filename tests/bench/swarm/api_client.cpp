#include "tests/bench/swarm/api_client.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace edge::swarm {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t answer_bytes_max = 256UZ << 20;  // The list of 10,000 hosts is large.

/// What is left of one send(), shared by its connections.
struct Batch {
  std::deque<ApiRequest> left;
  std::function<void(const ApiRequest&, const ApiAnswer&)> done;
  std::uint16_t port = 0;
  std::string token;
  std::shared_ptr<const bool> alive;
};

asio::awaitable<ApiAnswer> exchange(beast::tcp_stream& stream, beast::flat_buffer& buffer,
                                    const Batch& batch, const ApiRequest& request) {
  http::request<http::string_body> message(http::string_to_verb(request.method), request.target,
                                           11);
  message.set(http::field::host, "127.0.0.1");
  message.set(http::field::authorization, "Bearer " + batch.token);
  message.body() = request.body;
  message.prepare_payload();
  stream.expires_after(std::chrono::seconds(120));
  const auto [sent, out_bytes] = co_await http::async_write(stream, message, tuple_awaitable);
  if (sent) { co_return ApiAnswer{}; }
  http::response_parser<http::string_body> parser;
  parser.body_limit(answer_bytes_max);
  const auto [got, in_bytes] = co_await http::async_read(stream, buffer, parser, tuple_awaitable);
  if (got) { co_return ApiAnswer{}; }
  co_return ApiAnswer{.status = parser.get().result_int(), .body = parser.get().body()};
}

asio::awaitable<void> work_off(std::shared_ptr<Batch> batch) {
  const auto executor = co_await asio::this_coro::executor;
  beast::tcp_stream stream(executor);
  beast::flat_buffer buffer;
  const tcp::endpoint where(asio::ip::address_v4::loopback(), batch->port);
  const auto [failed] = co_await stream.async_connect(where, tuple_awaitable);
  while (*batch->alive && !batch->left.empty()) {
    const ApiRequest request = std::move(batch->left.front());
    batch->left.pop_front();
    ApiAnswer answer;
    if (!failed) { answer = co_await exchange(stream, buffer, *batch, request); }
    if (*batch->alive) { batch->done(request, answer); }
    if (answer.status == 0) { co_return; }
  }
}

}  // namespace

ApiClient::ApiClient(asio::io_context& io, std::uint16_t port, std::string token)
    : io_(io), port_(port), token_(std::move(token)) {}

ApiClient::~ApiClient() { *alive_ = false; }

void ApiClient::send(std::vector<ApiRequest> requests, unsigned connections,
                     std::function<void(const ApiRequest&, const ApiAnswer&)> done) {
  auto batch = std::make_shared<Batch>();
  batch->left.assign(std::make_move_iterator(requests.begin()),
                     std::make_move_iterator(requests.end()));
  batch->done = std::move(done);
  batch->port = port_;
  batch->token = token_;
  batch->alive = alive_;
  for (unsigned i = 0; i < connections; ++i) {
    asio::co_spawn(io_, work_off(batch), asio::detached);
  }
}

}  // namespace edge::swarm
