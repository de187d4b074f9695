// Commands to one host at a steady pace, and when each answer came: the product's side of the gap
// figures. A program of its own because twelve threads of Python add up to 15 ms to what they
// measure.
//
//   bench_command_stream ADDRESS PORT TARGET INTERVAL_US CONNECTIONS
//
// Standard input: line 1 the bearer token, line 2 the first number, line 3 the body of a command in
// which @ID@ becomes a new UUID, @N@ its number and @PORT@ 20000 plus its number (modulo 12000).
// Sends until standard input ends; moments that pass while all connections wait are not made up for
// in a burst. Prints each command when it is answered, a line each: its number, id, CLOCK_MONOTONIC
// seconds when sent and answered, the HTTP status and the answer's "state"; at the end those that
// never were, answered at 0.
#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "console/uuid.hpp"

namespace edge::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t port_first = 20000;
constexpr std::uint64_t ports = 12000;

struct Record {
  std::uint64_t number = 0;
  std::string id;
  double sent_s = 0;
  double answered_s = 0;
  unsigned status = 0;
  std::string state = "unanswered";
};

double monotonic_s() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

std::string filled(std::string text, std::string_view mark, std::string_view value) {
  for (auto at = text.find(mark); at != std::string::npos;
       at = text.find(mark, at + value.size())) {
    text.replace(at, mark.size(), value);
  }
  return text;
}

/// The moments are shared by all connections: whichever is free takes the next.
class Stream {
 public:
  Stream(tcp::endpoint where, std::string target, Clock::duration interval)
      : where_(std::move(where)), target_(std::move(target)), interval_(interval) {}

  void read_orders(std::istream& in) {
    std::string first;
    std::getline(in, token_);
    std::getline(in, first);
    std::getline(in, body_);
    next_number_ = std::stoull(first);
  }

  asio::awaitable<void> work() {
    const auto executor = co_await asio::this_coro::executor;
    beast::tcp_stream stream(executor);
    beast::flat_buffer buffer;
    asio::steady_timer timer(executor);
    const auto [refused] = co_await stream.async_connect(where_, tuple_awaitable);
    if (refused) {
      std::cerr << "connect: " << refused.message() << "\n";
      co_return;
    }
    while (!ended_) {
      const auto due = std::max(due_, Clock::now());
      due_ = due + interval_;
      timer.expires_at(due);
      co_await timer.async_wait(tuple_awaitable);
      if (ended_) { break; }
      const std::size_t index = records_.size();
      records_.push_back({.number = next_number_++, .id = console::random_uuid()});
      http::request<http::string_body> request = request_of(records_[index]);
      records_[index].sent_s = monotonic_s();
      const auto [lost, out_bytes] = co_await http::async_write(stream, request, tuple_awaitable);
      if (lost) { co_return; }
      http::response<http::string_body> response;
      const auto [broken, in_bytes] =
          co_await http::async_read(stream, buffer, response, tuple_awaitable);
      if (broken) { co_return; }
      Record& record = records_[index];
      record.answered_s = monotonic_s();
      record.status = response.result_int();
      record.state = state_of(response.body());
      print(record);
    }
  }

  void end() { ended_ = true; }
  void print_unanswered() const {
    for (const Record& record : records_) {
      if (record.answered_s == 0) { print(record); }
    }
  }

 private:
  static void print(const Record& r) {
    fmt::print("{} {} {:.6f} {:.6f} {} {}\n", r.number, r.id, r.sent_s, r.answered_s, r.status,
               r.state);
    std::fflush(stdout);
  }
  http::request<http::string_body> request_of(const Record& record) const {
    http::request<http::string_body> request(http::verb::post, target_, 11);
    request.set(http::field::host, where_.address().to_string());
    request.set(http::field::authorization, "Bearer " + token_);
    request.set(http::field::content_type, "application/json");
    const std::string port = fmt::format("{}", port_first + record.number % ports);
    request.body() = filled(filled(filled(body_, "@ID@", record.id), "@PORT@", port), "@N@",
                            fmt::format("{}", record.number));
    request.prepare_payload();
    return request;
  }

  static std::string state_of(const std::string& body) {
    boost::system::error_code wrong;
    const auto value = boost::json::parse(body, wrong);
    const auto* object = wrong ? nullptr : value.if_object();
    const auto* state = object == nullptr ? nullptr : object->if_contains("state");
    return state != nullptr && state->is_string() ? std::string(state->get_string()) : "?";
  }

  tcp::endpoint where_;
  std::string target_;
  Clock::duration interval_;
  std::string token_;
  std::string body_;
  std::uint64_t next_number_ = 0;
  Clock::time_point due_ = Clock::now();
  std::vector<Record> records_;
  bool ended_ = false;
};

/// Ends the stream when standard input does; commands that are out are still waited for.
asio::awaitable<void> until_input_ends(Stream& stream) {
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor input(executor, 0);
  std::array<char, 64> waste{};
  while (true) {
    const auto [ended, bytes] =
        co_await input.async_read_some(asio::buffer(waste), tuple_awaitable);
    if (ended) { break; }
  }
  stream.end();
}

int run(const std::vector<std::string>& arguments) {
  const tcp::endpoint where(asio::ip::make_address(arguments[1]),
                            static_cast<std::uint16_t>(std::stoul(arguments[2])));
  Stream stream(where, arguments[3], std::chrono::microseconds(std::stoll(arguments[4])));
  std::cin.sync_with_stdio(false);
  stream.read_orders(std::cin);
  asio::io_context io(1);
  for (unsigned left = static_cast<unsigned>(std::stoul(arguments[5])); left > 0; --left) {
    asio::co_spawn(io, stream.work(), asio::detached);
  }
  asio::co_spawn(io, until_input_ends(stream), asio::detached);
  io.run();
  stream.print_unanswered();
  return 0;
}

}  // namespace
}  // namespace edge::bench

int main(int count, char** values) {
  const std::vector<std::string> arguments(values, values + count);
  if (arguments.size() != 6) {
    std::cerr << "usage: bench_command_stream ADDRESS PORT TARGET INTERVAL_US CONNECTIONS\n";
    return 2;
  }
  try {
    return edge::bench::run(arguments);
  } catch (const std::exception& wrong) {
    std::cerr << wrong.what() << "\n";
    return 1;
  }
}
