#include "uplink/io/control_socket.hpp"

#include <unistd.h>

#include <gtest/gtest.h>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>

namespace edge::uplink {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using Local = asio::local::stream_protocol;
using namespace std::chrono_literals;

/// Goal: a client gets one line per question, whatever it sends.
/// Method: a real socket in a temporary folder, one io_context for both ends.
class ControlSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/uplink-control-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/control.sock";
  }
  void TearDown() override {
    server_.reset();
    ::rmdir(folder_.c_str());
  }
  void listen() {
    auto made = ControlSocket::listen(
        io_, path_, [this](ControlRequest request, std::shared_ptr<ControlClient> client) {
          last_ = request;
          if (request.command == "big") {
            client->answer(json::value(std::string(ControlClient::queued_bytes_max + 1, 'x')));
          } else {
            client->answer(json::object{{"you", "asked"}}, 3);
          }
        });
    ASSERT_TRUE(made) << made.error().what;
    server_ = std::move(*made);
  }
  /// Sends `line`, returns the answer's line, or "closed".
  std::string ask(const std::string& line) {
    Local::socket socket(io_);
    socket.connect(Local::endpoint(path_));
    asio::write(socket, asio::buffer(line));
    asio::streambuf input;
    std::string out = "no answer";
    asio::async_read_until(
        socket, input, '\n', [&](boost::system::error_code ec, std::size_t bytes) {
          out =
              ec ? "closed" : std::string(static_cast<const char*>(input.data().data()), bytes - 1);
          io_.stop();
        });
    io_.restart();
    io_.run_for(10s);
    return out;
  }

  asio::io_context io_;
  std::string folder_;
  std::string path_;
  std::unique_ptr<ControlSocket> server_;
  ControlRequest last_;
};

TEST_F(ControlSocketTest, AnswersWithExitAndData) {
  listen();
  EXPECT_EQ(ask("{\"command\":\"status\",\"args\":{\"port\":\"eth0\"}}\n"),
            R"({"exit":3,"data":{"you":"asked"}})");
  EXPECT_EQ(last_.command, "status");
  EXPECT_EQ(last_.args.at("port").as_string(), "eth0");
}

TEST_F(ControlSocketTest, GarbageGetsOneClearLine) {
  listen();
  for (const char* bad : {"nonsense\n", "[]\n", "{}\n", "{\"command\":7}\n", "\n"}) {
    const std::string answer = ask(bad);
    EXPECT_NE(answer.find("\"exit\":2"), std::string::npos) << bad << answer;
    EXPECT_NE(answer.find("expected one JSON object per line"), std::string::npos) << bad << answer;
  }
}

TEST_F(ControlSocketTest, ClientThatCannotKeepUpLosesTheConnection_TheDaemonDoesNotGrow) {
  listen();
  EXPECT_EQ(ask("{\"command\":\"big\"}\n"), "closed");
}

TEST_F(ControlSocketTest, SecondDaemonIsRefused_StaleFileIsReplaced) {
  listen();
  const auto second = ControlSocket::listen(io_, path_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::conflict);
  server_.reset();
  {  // What a killed daemon leaves: the file, and nobody behind it.
    Local::acceptor stale(io_, Local::endpoint(path_));
    stale.close();
  }
  listen();
  EXPECT_EQ(last_.command, "");
  EXPECT_NE(ask("{\"command\":\"status\"}\n"), "closed");
}

TEST_F(ControlSocketTest, PathBeyondTheKernelsLimitIsRefused) {
  const auto made = ControlSocket::listen(io_, std::string(200, 'a'), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::invalid_input);
}

}  // namespace
}  // namespace edge::uplink
