// HTTP on a real socket: keep-alive, limits, nonsense, the event stream.
#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "console/http_server.hpp"
#include "console_fixture.hpp"

namespace edge::console {
namespace {

using boost::asio::ip::tcp;

class HttpTest : public ConsoleTest {
 protected:
  struct Client {
    explicit Client(boost::asio::io_context& io) : socket(io) {}
    tcp::socket socket;
    std::string heard;
    bool ended = false;
    std::array<char, 4096> chunk{};
  };

  void serve(HttpLimits limits = {}) {
    start();
    server = HttpServer::listen(io, {"127.0.0.1", 0}, console->api, limits).value();
  }
  std::shared_ptr<Client> client() {
    auto out = std::make_shared<Client>(io);
    out->socket.connect(tcp::endpoint(boost::asio::ip::address_v4::loopback(), server->port()));
    read(out);
    return out;
  }
  void read(const std::shared_ptr<Client>& one) {
    one->socket.async_read_some(boost::asio::buffer(one->chunk),
                                [this, one](boost::system::error_code ec, std::size_t bytes) {
                                  one->heard.append(one->chunk.data(), bytes);
                                  if (ec) {
                                    one->ended = true;
                                  } else {
                                    read(one);
                                  }
                                });
  }
  static std::string request(const std::string& line, const std::string& more = {},
                             const std::string& body = {}) {
    return line + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + std::string(kToken) + "\r\n" +
           more + (body.empty() ? "" : "Content-Length: " + std::to_string(body.size()) + "\r\n") +
           "\r\n" + body;
  }
  static void send(Client& one, const std::string& text) {
    boost::system::error_code ignored;  // A server that has had enough may have closed.
    boost::asio::write(one.socket, boost::asio::buffer(text), ignored);
  }
  /// Of a host that was here and is away now.
  void host_goes(FakeHost& host) {
    host.connect(console->port(), "eth0");
    ASSERT_TRUE(joined(host));
    host.pull("eth0");
    ASSERT_TRUE(run_until([&] { return !online(); }));
  }
  static std::string waiting_command(int n) {
    const json::object body{
        {"id", fmt::format("00000000-0000-4000-8000-{:012}", n)},
        {"operations", json::array{json::object{{"op", "network.delete"}, {"network", "n"}}}}};
    return request("POST /api/v1/hosts/hv-01/commands?wait=300", {}, json::serialize(body));
  }
  static std::size_t count(const std::string& text, std::string_view word) {
    std::size_t found = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      ++found;
    }
    return found;
  }
  void TearDown() override {
    if (server) { server->stop(); }
    if (console) { stop(); }
  }

  std::unique_ptr<HttpServer> server;
};

TEST_F(HttpTest, OneConnectionCarriesManyRequests) {
  serve();
  auto one = client();
  send(*one, request("GET /api/v1/hosts") + request("GET /metrics") + request("HEAD /"));
  ASSERT_TRUE(run_until([&] { return count(one->heard, "HTTP/1.1 200 OK") == 3; })) << one->heard;
  EXPECT_FALSE(one->ended);
  send(*one, request("GET /nothing"));
  ASSERT_TRUE(run_until([&] { return count(one->heard, "HTTP/1.1 404") == 1; })) << one->heard;
  EXPECT_NE(one->heard.find("application/problem+json"), std::string::npos);
  send(*one, request("GET /api/v1/hosts", "Connection: close\r\n"));
  ASSERT_TRUE(run_until([&] { return one->ended; }));
}

TEST_F(HttpTest, TooLargeAndNonsenseAreToldAndClosed) {
  serve({.body_bytes_max = 1000, .header_bytes_max = 2000});
  auto large = client();
  send(*large, request("POST /api/v1/hosts/x/commands", {}, std::string(2000, 'x')));
  ASSERT_TRUE(run_until([&] { return large->ended; }));
  EXPECT_NE(large->heard.find("413"), std::string::npos) << large->heard;
  auto header = client();
  send(*header, request("GET /", "X: " + std::string(4000, 'x') + "\r\n"));
  ASSERT_TRUE(run_until([&] { return header->ended; }));
  EXPECT_NE(header->heard.find("431"), std::string::npos) << header->heard;
  auto nonsense = client();
  send(*nonsense, "this is not http\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return nonsense->ended; }));
  EXPECT_NE(nonsense->heard.find("400"), std::string::npos) << nonsense->heard;
}

TEST_F(HttpTest, ConnectionsBeyondTheLimitWaitForASeat) {
  serve({.connections_max = 2});
  auto first = client();
  auto second = client();
  auto third = client();
  ASSERT_TRUE(run_until([&] { return server->connections() == 2; }));
  send(*third, request("GET /"));
  send(*first, request("GET /", "Connection: close\r\n"));
  ASSERT_TRUE(run_until([&] { return first->ended; }));
  EXPECT_TRUE(run_until([&] { return count(third->heard, "200 OK") == 1; })) << "the seat is free";
}

TEST_F(HttpTest, AStrangersConnectionEndsWithItsAnswer) {
  serve();
  auto stranger = client();
  send(*stranger, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return stranger->ended; }, 5s)) << "its ten seconds begin anew";
  EXPECT_EQ(count(stranger->heard, "HTTP/1.1 200 OK"), 1U);
  EXPECT_EQ(count(stranger->heard, "Connection: close"), 1U) << stranger->heard.substr(0, 300);
}

TEST_F(HttpTest, WhenAllSeatsAreTakenTheOldestStrangerLeavesItsOwnToANewOne) {
  serve({.connections_max = 3, .yields_after = 100ms});
  auto person = client();
  send(*person, request("GET /metrics"));
  ASSERT_TRUE(run_until([&] { return count(person->heard, "200 OK") == 1; }));
  auto oldest = client();
  ASSERT_TRUE(run_until([&] { return server->connections() == 2; }));
  auto younger = client();
  ASSERT_TRUE(run_until([&] { return server->connections() == 3; }));
  EXPECT_FALSE(run_until([&] { return oldest->ended; }, 300ms)) << "nobody wants the seat";
  auto next = client();
  send(*next, request("GET /metrics"));
  ASSERT_TRUE(run_until([&] { return count(next->heard, "200 OK") == 1; }, 5s));
  EXPECT_TRUE(run_until([&] { return oldest->ended; }, 5s));
  EXPECT_FALSE(younger->ended);
  EXPECT_FALSE(person->ended) << "who showed the token stays";
}

TEST_F(HttpTest, AStrangerKeepsItsSeatForItsTime) {
  serve({.connections_max = 1, .yields_after = 60s});
  auto stranger = client();
  ASSERT_TRUE(run_until([&] { return server->connections() == 1; }));
  auto next = client();
  send(*next, request("GET /metrics"));
  EXPECT_FALSE(run_until([&] { return stranger->ended || !next->heard.empty(); }, 300ms));
  send(*stranger, request("GET /metrics", "Connection: close\r\n"));
  EXPECT_TRUE(run_until([&] { return count(next->heard, "200 OK") == 1; }, 5s));
}

TEST_F(HttpTest, AWaitEndsWhenItsClientLeaves) {
  serve();
  FakeHost host(io, ca, "hv-01");
  host_goes(host);
  auto leaves = client();
  send(*leaves, waiting_command(1));
  auto leaves_more = client();
  send(*leaves_more, waiting_command(2) + "GET /");
  auto half = client();
  send(*half, waiting_command(3));
  auto stays = client();
  send(*stays, waiting_command(4));
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 4; }));
  EXPECT_EQ(server->connections(), 4U);
  leaves->socket.close();
  leaves_more->socket.close();
  half->socket.shutdown(tcp::socket::shutdown_send);
  ASSERT_TRUE(run_until([&] { return server->connections() == 1; }, 10s));
  EXPECT_TRUE(run_until([&] { return count(half->heard, "HTTP/1.1 202") == 1; }, 5s))
      << "it still listens: " << half->heard;
  EXPECT_TRUE(stays->heard.empty()) << stays->heard;
  host.connect(console->port(), "eth0");
  EXPECT_TRUE(run_until([&] { return count(stays->heard, "HTTP/1.1 200") == 1; })) << stays->heard;
  EXPECT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 0; }))
      << "the commands of those that left are as good";
}

TEST_F(HttpTest, AClientThatLeavesBeforeItsWaitBeginsHoldsNoSeat) {
  serve();
  FakeHost host(io, ca, "hv-01");
  host_goes(host);
  auto hasty = client();
  send(*hasty, waiting_command(1));
  hasty->socket.close();
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 1; }));
  EXPECT_TRUE(run_until([&] { return server->connections() == 0; }, 10s));
}

TEST_F(HttpTest, HalfOfTheSeatsMayWaitAndTheNextIsAnsweredAtOnce) {
  serve({.connections_max = 4});
  FakeHost host(io, ca, "hv-01");
  host_goes(host);
  auto first = client();
  send(*first, waiting_command(1));
  auto second = client();
  send(*second, waiting_command(2));
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 2; }));
  auto third = client();
  send(*third, waiting_command(3));
  ASSERT_TRUE(run_until([&] { return count(third->heard, "HTTP/1.1 202") == 1; }, 5s))
      << third->heard;
  EXPECT_FALSE(third->ended);
  EXPECT_TRUE(first->heard.empty() && second->heard.empty()) << first->heard << second->heard;
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] {
    return count(first->heard, "HTTP/1.1 200") == 1 && count(second->heard, "HTTP/1.1 200") == 1;
  }));
  host.pull("eth0");
  ASSERT_TRUE(run_until([&] { return !online(); }));
  third->heard.clear();
  send(*third, waiting_command(4));
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->pending() == 1; }));
  EXPECT_FALSE(run_until([&] { return !third->heard.empty(); }, 300ms)) << "it may wait again";
  host.connect(console->port(), "eth0");
  EXPECT_TRUE(run_until([&] { return count(third->heard, "HTTP/1.1 200") == 1; }));
}

TEST_F(HttpTest, AnIdleConnectionIsClosed) {
  serve({.idle = 1s});
  auto one = client();
  EXPECT_TRUE(run_until([&] { return one->ended; }));
}

TEST_F(HttpTest, OfAStrangerNoBodyIsRead) {
  serve();
  auto one = client();
  send(*one,
       "POST /api/v1/hosts/x/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return one->ended; }, 5s)) << "before a byte of the body came";
  EXPECT_NE(one->heard.find("HTTP/1.1 401"), std::string::npos) << one->heard;
  auto asks_first = client();
  send(*asks_first,
       "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return asks_first->ended; }, 5s));
  EXPECT_EQ(asks_first->heard.find("100"), std::string::npos) << asks_first->heard;
}

TEST_F(HttpTest, AHeaderThatComesByteByByteEndsWithItsTimer) {
  serve({.stranger = 1s});
  auto slow = client();
  boost::asio::steady_timer pace(io);
  const std::string text = request("GET /api/v1/hosts", "X: " + std::string(2000, 'x') + "\r\n");
  std::size_t sent = 0;
  const auto goes_on = std::make_shared<bool>(true);  // Outlives this frame, in a handler.
  std::function<void()> dribble = [&] {
    send(*slow, text.substr(sent++, 1));
    pace.expires_after(10ms);
    pace.async_wait([&, goes_on](boost::system::error_code ec) {
      if (!ec && *goes_on && !slow->ended) { dribble(); }
    });
  };
  dribble();
  EXPECT_TRUE(run_until([&] { return slow->ended; }));
  EXPECT_LT(sent, text.size());
  *goes_on = false;
}

TEST_F(HttpTest, WhoShowedTheTokenMayBeIdleForLonger) {
  serve({.idle = 60s, .stranger = 1s});
  auto person = client();
  send(*person, request("GET /api/v1/hosts"));
  ASSERT_TRUE(run_until([&] { return count(person->heard, "200 OK") == 1; }));
  auto stranger = client();
  send(*stranger, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return stranger->ended; })) << "after the page";
  EXPECT_FALSE(person->ended);
}

TEST_F(HttpTest, AReaderThatIsSlowHoldsAMebibyteAndGetsTheNewest) {
  Feed feed(io);
  const auto slow = feed.subscribe();
  for (int i = 0; i < 200; ++i) { feed.update("host", std::string(20'000, 'a')); }
  feed.update("host", "newest");
  EXPECT_LE(slow->updates_bytes, Subscriber::updates_bytes_max);
  const std::string all = slow->take();
  EXPECT_GT(all.size(), Subscriber::updates_bytes_max - 30'000);
  EXPECT_LE(all.size(), Subscriber::updates_bytes_max);
  EXPECT_TRUE(all.ends_with("newest\n\n"));
  EXPECT_EQ(slow->updates_bytes, 0U);
}

TEST_F(HttpTest, AListOfLargeCommandsIsCutAndSaysSo) {
  start();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  const std::string commands = "/api/v1/hosts/hv-01/commands";
  const auto id = [](int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); };
  host.mute = true;
  ASSERT_EQ(
      call("POST", commands, R"({"operations":[{"op":"network.delete","network":"n"}]})").status,
      202U);
  ASSERT_TRUE(run_until([&] { return host.executed() == 1; }));
  const json::object small = get(commands);
  ASSERT_EQ(small.at("commands").as_array().size(), 1U);
  EXPECT_EQ(small.at("commands").as_array().at(0).at("state"), "sent") << "as the fleet knows it";
  EXPECT_EQ(small.at("commands").as_array().at(0).at("operations").as_array().size(), 1U);
  EXPECT_FALSE(small.at("more").as_bool());

  std::optional<bool> stored;
  console->db().run(
      [id](ConsoleDb& db) -> Result<void> {
        const std::string result =
            json::serialize(json::object{{"note", std::string((1U << 20) - 11, 'x')}});
        for (int n = 1; n <= 20; ++n) {
          EDGE_TRY(db.finish_command("hv-01", id(n), CommandState::done, result, wall_now()));
        }
        return {};
      },
      [&stored](const Result<void>& done) { stored = done.has_value(); });
  ASSERT_TRUE(run_until([&] { return stored.has_value(); }));
  ASSERT_TRUE(*stored);
  const auto answer = call("GET", commands + "?limit=1000");
  EXPECT_LE(answer.body.size(), (4U << 20) + 4096U);
  const json::object large = json::parse(answer.body).as_object();
  const auto& shown = large.at("commands").as_array();
  ASSERT_GE(shown.size(), 1U);
  EXPECT_EQ(shown.at(0).at("id"), json::value(id(20))) << "newest first";
  EXPECT_EQ(shown.at(0).at("state"), "done");
  EXPECT_TRUE(large.at("more").as_bool());
}

TEST_F(HttpTest, AListOfLargeEventsIsCutAndSaysSo) {
  start();
  console->fleet().expect("hv-01");
  constexpr std::int64_t all = 600;
  std::optional<bool> stored;
  console->db().run(
      [](ConsoleDb& db) -> Result<void> {
        const std::string data = json::serialize(json::value(std::string(15'998, 'x')));
        for (std::int64_t n = 1; n <= all; ++n) {
          const EventRow one[]{{.seq = 0,
                                .host = "hv-01",
                                .n = n,
                                .time = wall_now(),
                                .time_text = "2026-01-02T03:04:05.678Z",
                                .kind = "k",
                                .data = data}};
          EDGE_TRY(db.add_events(one));
        }
        return {};
      },
      [&stored](const Result<void>& done) { stored = done.has_value(); });
  ASSERT_TRUE(run_until([&] { return stored.has_value(); }));
  ASSERT_TRUE(*stored);
  std::int64_t last = 0;
  int pages = 0;
  for (bool more = true; more && pages < 10; ++pages) {
    const auto answer =
        call("GET", fmt::format("/api/v1/hosts/hv-01/events?after={}&limit=1000", last));
    ASSERT_LE(answer.body.size(), (4U << 20) + 65'536U);
    const json::object page = json::parse(answer.body).as_object();
    for (const auto& shown : page.at("events").as_array()) {
      ASSERT_EQ(shown.at("n"), json::value(++last)) << "in order, once";
    }
    EXPECT_EQ(page.at("last"), json::value(last));
    more = page.at("more").as_bool();
  }
  EXPECT_EQ(last, all);
  EXPECT_EQ(pages, 3);
  const json::object none = get(fmt::format("/api/v1/hosts/hv-01/events?after={}", last));
  EXPECT_TRUE(none.at("events").as_array().empty());
  EXPECT_EQ(none.at("last"), json::value(all));
  EXPECT_FALSE(none.at("more").as_bool());
}

TEST_F(HttpTest, AReaderFromBeforeTheDatabaseWasMovedAsideHearsEverything) {
  serve();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  auto live = client();
  send(*live, request("GET /api/v1/events", "Last-Event-ID: 5000\r\n"));
  ASSERT_TRUE(run_until([&] { return count(live->heard, "event: reset\n") == 1; })) << live->heard;
  for (int n = 1; n <= 3; ++n) { host.event(n); }
  ASSERT_TRUE(run_until([&] { return count(live->heard, "event: event\n") == 3; })) << live->heard;
  EXPECT_EQ(count(live->heard, "event: reset\n"), 1U) << "told once";
  EXPECT_EQ(get("/api/v1/hosts/hv-01/events?after=5000").at("last"), json::value(3));
  EXPECT_EQ(get("/api/v1/hosts/hv-01/events?after=3").at("last"), json::value(3));

  auto resumed = client();
  send(*resumed, request("GET /api/v1/events", "Last-Event-ID: 3\r\n"));
  ASSERT_TRUE(run_until([&] { return count(resumed->heard, "the stream begins") == 1; }));
  host.event(4);
  ASSERT_TRUE(run_until([&] { return count(resumed->heard, "event: event\n") == 1; }))
      << resumed->heard;
  EXPECT_EQ(count(resumed->heard, "event: reset\n"), 0U) << "the last number is none beyond it";
  EXPECT_EQ(count(resumed->heard, "\"n\":4,"), 1U);
}

TEST_F(HttpTest, TheEventStreamGivesEachEventOnceAndResumes) {
  serve();
  FakeHost host(io, ca, "hv-01");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(host));
  auto live = client();
  send(*live, request("GET /api/v1/events"));
  ASSERT_TRUE(run_until([&] { return count(live->heard, "the stream begins") == 1; }))
      << live->heard;
  for (int n = 1; n <= 30; ++n) { host.event(n); }
  ASSERT_TRUE(run_until([&] { return count(live->heard, "event: event\n") == 30; })) << live->heard;
  EXPECT_EQ(count(live->heard, "\"n\":17,"), 1U);
  auto resumed = client();
  send(*resumed, request("GET /api/v1/events", "Last-Event-ID: 20\r\n"));
  ASSERT_TRUE(run_until([&] { return count(resumed->heard, "event: event\n") == 10; }))
      << resumed->heard;
  EXPECT_EQ(count(resumed->heard, "id: 21\n"), 1U);
}

}  // namespace
}  // namespace edge::console
