// Dials for the Console: how many are under way, and that one nobody waits for ends.
#include "uplink/daemon/streams.hpp"

#include <boost/asio/ip/tcp.hpp>

#include "tests/unit/uplink_daemon/life.hpp"
#include "tunnel/core/stream_frame.hpp"
#include "uplink/daemon/clock.hpp"

namespace edge::uplink::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using tunnel::StreamFrame;
using tunnel::StreamKind;

/// A listener whose backlog is full: who connects waits.
class BusyTarget {
 public:
  explicit BusyTarget(asio::io_context& io) : acceptor_(io, tcp::v4()) {
    acceptor_.bind({asio::ip::address_v4::loopback(), 0});
    acceptor_.listen(0);
    for (int i = 0; i < 4; ++i) {
      waiting_.emplace_back(io);
      waiting_.back().async_connect(acceptor_.local_endpoint(),
                                    [](const boost::system::error_code&) {});
    }
  }
  std::string name() const {
    return fmt::format("127.0.0.1:{}", acceptor_.local_endpoint().port());
  }

 private:
  tcp::acceptor acceptor_;
  std::vector<tcp::socket> waiting_;
};

class StreamsTest : public testing::Test {
 protected:
  StreamsTest() { streams.start(tunnel::StreamGrant{}, tunnel::SessionId{1}); }
  void say(StreamKind kind, std::uint32_t stream) {
    ASSERT_TRUE(streams.on_frame(
        tunnel::encode(StreamFrame{.kind = kind,
                                   .stream = {stream},
                                   .text = kind == StreamKind::open ? target.name() : std::string(),
                                   .data = {}})));
  }
  std::int64_t dialling() const { return streams.json().at("dialling").to_number<std::int64_t>(); }

  asio::io_context io;
  store::StoreWorker store{io, store::Store::open(":memory:", wall_now()).value()};
  EventLog events{store};
  BusyTarget target{io};
  Streams streams{io, {target.name()}, events, [] {}};
};

TEST_F(StreamsTest, ADialThatTheConsoleGaveUpEndsAtOnce) {
  for (std::uint32_t stream = 1; stream < 1000; stream += 2) {
    say(StreamKind::open, stream);
    EXPECT_EQ(dialling(), 1);
    say(StreamKind::reset, stream);
    EXPECT_EQ(dialling(), 0) << "no descriptor is kept for nobody";
  }
}

TEST_F(StreamsTest, DialsUnderWayAreAsManyAsStreams) {
  for (std::uint32_t stream = 1; stream < 1000; stream += 2) { say(StreamKind::open, stream); }
  EXPECT_EQ(dialling(), 256);
}

}  // namespace
}  // namespace edge::uplink::test
