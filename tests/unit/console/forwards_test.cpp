// Forwards over the API: made, listed, refused, kept over a restart, deleted; and what a connection
// meets.
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <sstream>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "console_fixture.hpp"

namespace edge::console {
namespace {

using boost::asio::ip::tcp;

const std::string kForwards = "/api/v1/hosts/hv-01/forwards";

class ForwardsTest : public ConsoleTest {
 protected:
  void SetUp() override {
    start();
    host = std::make_unique<FakeHost>(io, ca, "hv-01");
    host->connect(console->port(), "eth0");
    ASSERT_TRUE(joined(*host));
  }
  json::object make(const std::string& listen = "127.0.0.1:0") {
    const auto made =
        call("POST", kForwards,
             json::serialize(json::object{{"listen", listen}, {"to", "10.0.0.1:22"}}));
    EXPECT_EQ(made.status, 201U) << made.body;
    return json::parse(made.body).as_object();
  }
  static std::uint16_t port_of(const json::object& forward) {
    return parse_host_port(std::string_view(forward.at("listen").as_string()))->port;
  }
  /// Connects; false: refused.
  bool connects(std::uint16_t port, tcp::socket& socket) {
    boost::system::error_code ec;
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), port}, ec);
    return !ec;
  }
  std::unique_ptr<FakeHost> host;
};

TEST_F(ForwardsTest, IsMadeShownAndDeleted) {
  const auto made = make();
  const std::string id(made.at("id").as_string());
  EXPECT_EQ(made.at("to"), "10.0.0.1:22");
  EXPECT_EQ(made.at("state"), "listening");
  EXPECT_GT(port_of(made), 0);
  EXPECT_EQ(get(kForwards).at("forwards").as_array().size(), 1U);
  EXPECT_EQ(get(kForwards + "/" + id), made);
  EXPECT_EQ(call("DELETE", kForwards + "/" + id).status, 204U);
  EXPECT_EQ(call("GET", kForwards + "/" + id).status, 404U);
  EXPECT_EQ(call("DELETE", kForwards + "/" + id).status, 404U);
  tcp::socket socket(io);
  EXPECT_FALSE(connects(port_of(made), socket));
}

TEST_F(ForwardsTest, EveryProblemOfARequestIsNamed) {
  const auto bad = call("POST", kForwards, R"({"listen":"localhost:22","to":"x:99999","more":1})");
  EXPECT_EQ(bad.status, 422U);
  EXPECT_EQ(bad.content_type, "application/problem+json");
  EXPECT_EQ(json::parse(bad.body).at("problems").as_array().size(), 3U) << bad.body;
  EXPECT_EQ(json::parse(call("POST", kForwards, "{}").body).at("problems").as_array().size(), 2U);
  EXPECT_EQ(call("POST", kForwards, "[]").status, 400U);
  EXPECT_EQ(call("POST", kForwards, "{").status, 400U);
  EXPECT_EQ(call("POST", "/api/v1/hosts/hv-99/forwards", "{}").status, 404U);
  EXPECT_EQ(call("GET", kForwards + "/7").status, 400U);
}

TEST_F(ForwardsTest, APortThatIsTakenAndAnAddressThatIsNotOurs) {
  const auto made = make();
  const auto again =
      call("POST", kForwards,
           json::serialize(json::object{{"listen", made.at("listen")}, {"to", "a:1"}}));
  EXPECT_EQ(again.status, 409U) << again.body;
  const auto foreign = call("POST", kForwards, R"({"listen":"192.0.2.1:4000","to":"a:1"})");
  EXPECT_EQ(foreign.status, 422U);
  EXPECT_EQ(json::parse(foreign.body).at("problems").at(0).at("field"), "listen");
  EXPECT_EQ(get(kForwards).at("forwards").as_array().size(), 1U);
}

TEST_F(ForwardsTest, MoreThanTheLimitAreRefused) {
  for (std::size_t i = 0; i < Forwards::per_host_max; ++i) { make(); }
  const auto more = call("POST", kForwards, R"({"listen":"127.0.0.1:0","to":"a:1"})");
  EXPECT_EQ(more.status, 429U) << more.body;
}

TEST_F(ForwardsTest, IsThereAgainAfterARestart) {
  const auto made = make();
  stop();
  start();
  EXPECT_EQ(get(kForwards + "/" + std::string(made.at("id").as_string())), made);
  tcp::socket socket(io);
  EXPECT_TRUE(connects(port_of(made), socket));
}

TEST_F(ForwardsTest, APortThatSomebodyElseTookIsTriedAgain) {
  const auto made = make();
  const std::string path = kForwards + "/" + std::string(made.at("id").as_string());
  stop();
  auto thief = std::make_unique<tcp::acceptor>(
      io, tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), port_of(made)));
  start();
  const auto failed = get(path);
  EXPECT_EQ(failed.at("state"), "failed");
  EXPECT_NE(failed.at("problem").as_string().find("in use"), std::string::npos);
  thief.reset();
  EXPECT_TRUE(run_until([&] { return get(path).at("state") == "listening"; }));
}

TEST_F(ForwardsTest, AConnectionBecomesAStreamToTheTarget) {
  const auto made = make();
  tcp::socket person(io);
  ASSERT_TRUE(connects(port_of(made), person));
  ASSERT_TRUE(run_until([&] { return !host->stream_frames.empty(); }));
  const auto asked = tunnel::decode_stream_frame(host->stream_frames.front());
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->kind, tunnel::StreamKind::open);
  EXPECT_EQ(asked->text, "10.0.0.1:22");
  EXPECT_EQ(get(kForwards).at("forwards").at(0).at("connections"), 1);
  host->say_stream({.kind = tunnel::StreamKind::opened, .stream = {1}, .text = {}, .data = {}});
  boost::asio::write(person, boost::asio::buffer(std::string("hello")));
  ASSERT_TRUE(run_until([&] { return host->stream_frames.size() == 2; }));
  const auto data = tunnel::decode_stream_frame(host->stream_frames.back());
  EXPECT_EQ(tunnel::as_text(data->data), "hello");
  host->say_stream({.kind = tunnel::StreamKind::reset, .stream = {1}, .text = "gone", .data = {}});
  EXPECT_TRUE(run_until(
      [&] { return get(kForwards).at("forwards").at(0).at("connections") == json::value(0); }));
}

TEST_F(ForwardsTest, DeletingEndsItsConnections) {
  const auto made = make();
  tcp::socket person(io);
  ASSERT_TRUE(connects(port_of(made), person));
  ASSERT_TRUE(run_until([&] { return !host->stream_frames.empty(); }));
  call("DELETE", kForwards + "/" + std::string(made.at("id").as_string()));
  std::array<char, 1> byte{};
  boost::system::error_code ec;
  person.read_some(boost::asio::buffer(byte), ec);
  EXPECT_EQ(ec, boost::asio::error::connection_reset);
  ASSERT_TRUE(run_until([&] { return host->stream_frames.size() == 2; }));
  EXPECT_EQ(tunnel::decode_stream_frame(host->stream_frames.back())->kind,
            tunnel::StreamKind::reset);
}

TEST_F(ForwardsTest, AConnectionWaitsForAHostThatIsAway) {
  const auto made = make();
  stop();
  start();
  tcp::socket person(io);
  ASSERT_TRUE(connects(port_of(made), person));
  ASSERT_TRUE(run_until(
      [&] { return get(kForwards).at("forwards").at(0).at("connections") == json::value(1); }));
  host->connect(console->port(), "eth1");
  EXPECT_TRUE(run_until([&] { return !host->stream_frames.empty(); }));
}

TEST_F(ForwardsTest, AHostThatBreaksTheRulesLosesItsStreamsNotItsCommands) {
  const auto made = make();
  tcp::socket person(io);
  ASSERT_TRUE(connects(port_of(made), person));
  ASSERT_TRUE(run_until([&] { return !host->stream_frames.empty(); }));
  host->say_stream({.kind = tunnel::StreamKind::eof, .stream = {77}, .text = {}, .data = {}});
  ASSERT_TRUE(run_until([&] { return host->stream_frames.size() == 2; }));
  const auto last = tunnel::decode_stream_frame(host->stream_frames.back());
  EXPECT_EQ(last->kind, tunnel::StreamKind::reset);
  EXPECT_EQ(last->stream, tunnel::all_streams);
  EXPECT_TRUE(online());
  const auto done = post("/api/v1/hosts/hv-01/commands?wait=10",
                         {{"operations", json::array{json::object{{"op", "network.delete"}}}}});
  EXPECT_EQ(done.at("state"), "done");
}

/// Its log lines while it lives.
class LogCapture {
 public:
  LogCapture() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "captured", std::make_shared<spdlog::sinks::ostream_sink_st>(text_)));
  }
  ~LogCapture() { spdlog::set_default_logger(before_); }
  std::size_t count(std::string_view word) const {
    const std::string text = text_.str();
    std::size_t found = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
      ++found;
    }
    return found;
  }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::ostringstream text_;
};

TEST_F(ForwardsTest, RefusedStreamsAndRequestsFillNoLog) {
  const LogCapture log;
  for (std::uint32_t i = 1; i <= 300; ++i) {
    host->say_stream(
        {.kind = tunnel::StreamKind::open, .stream = {2 * i}, .text = "a:22", .data = {}});
    ASSERT_TRUE(run_until([&] { return host->stream_frames.size() == i; }));
  }
  EXPECT_GE(log.count("stream.refused"), 5U);
  EXPECT_LE(log.count("stream.refused"), HostStreams::log_lines_burst + 30) << "one a second";
  const std::size_t before = host->identities.size();
  for (int i = 1; i <= 300; ++i) {
    host->say(tunnel::Channel::commands, {{"type", "renew"},
                                          {"id", fmt::format("00000000-0000-4000-8000-{:012}", i)},
                                          {"csr", "x"}});
    ASSERT_TRUE(run_until([&] { return host->unread(tunnel::Channel::commands) < 100'000; }));
  }
  ASSERT_TRUE(run_until([&] { return host->identities.size() >= before + 100; }));
  EXPECT_LE(log.count("identity.not_signed"), Host::log_lines_burst + 30);
}

TEST_F(ForwardsTest, HostsOpenNoStreamsAtAConsole) {
  host->say_stream(
      {.kind = tunnel::StreamKind::open, .stream = {2}, .text = "127.0.0.1:22", .data = {}});
  ASSERT_TRUE(run_until([&] { return !host->stream_frames.empty(); }));
  const auto answer = tunnel::decode_stream_frame(host->stream_frames.back());
  EXPECT_EQ(answer->kind, tunnel::StreamKind::refused);
  EXPECT_EQ(answer->refusal, tunnel::StreamRefusal::not_allowed);
}

}  // namespace
}  // namespace edge::console
