#include "tunnel/io/tls_stream.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "fixture.hpp"

namespace edge::tunnel::testing_support {
namespace {

/// Goal: bytes arrive whole and in order whatever the sizes and speeds; every end has its cause.
class TlsStreamTest : public TunnelIoTest {};

/// Pattern that shows loss, repetition and reordering: a counter.
SharedBytes pattern(std::uint64_t& counter, std::size_t size) {
  auto out = std::make_shared<std::vector<std::byte>>(size);
  for (std::byte& b : *out) { b = static_cast<std::byte>((counter++ * 131) >> 3); }
  return out;
}

struct PatternReader {
  std::uint64_t counter = 0;
  bool good = true;
  void take(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) {
      good = good && b == static_cast<std::byte>((counter++ * 131) >> 3);
    }
  }
};

TEST_F(TlsStreamTest, BigTransferBothWaysWithTinyKernelBuffersArrivesInOrder) {
  connect_pair();
  // A send buffer below one record: writes block often and are retried in mid-record. (A small
  // receive buffer would only exercise the kernel's persist timer: window below half a segment.)
  for (const int fd : {host.stream->native_handle(), console().stream->native_handle()}) {
    const int small = 4 * 1024;
    ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  }
  constexpr std::uint64_t total = 6U << 20;
  constexpr std::array<std::size_t, 6> sizes{1, 17, 300, 4096, 16384, 70'001};
  std::array<std::uint64_t, 2> sent{};
  std::array<std::size_t, 2> turn{};
  const std::array<Peer*, 2> peers{&host, &console()};
  ASSERT_TRUE(run_until(
      [&] {
        if (host.closed || console().closed) { return true; }
        for (std::size_t i = 0; i < 2; ++i) {
          while (sent[i] < total && peers[i]->stream->queued_bytes() < (256U << 10)) {
            const std::size_t size = sizes[turn[i]++ % sizes.size()];
            EXPECT_TRUE(peers[i]->stream->send(pattern(sent[i], size)));
          }
        }
        return host.heard_bytes >= sent[1] && console().heard_bytes >= sent[0] &&
               sent[0] >= total && sent[1] >= total;
      },
      30s));
  EXPECT_FALSE(host.closed) << host.closed->text;
  EXPECT_FALSE(console().closed) << console().closed->text;
  for (std::size_t i = 0; i < 2; ++i) {
    PatternReader reader;
    reader.take(std::as_bytes(std::span(peers[1 - i]->heard)));
    EXPECT_TRUE(reader.good);
    EXPECT_EQ(reader.counter, sent[i]);
    EXPECT_EQ(peers[i]->stream->bytes_sent(), sent[i]);
    EXPECT_EQ(peers[i]->stream->queued_bytes(), 0U);
  }
}

TEST_F(TlsStreamTest, UrgentBlocksOvertakeWhatHasNotBegun) {
  connect_pair();
  ASSERT_TRUE(host.send("first "));
  ASSERT_TRUE(host.send("second "));
  ASSERT_TRUE(host.stream->send(bytes_of("ping1 "), SendPriority::urgent));
  ASSERT_TRUE(host.stream->send(bytes_of("ping2 "), SendPriority::urgent));
  ASSERT_TRUE(run_until([&] { return console().heard.size() == 25; }));
  EXPECT_EQ(console().heard, "ping1 ping2 first second ");
}

TEST_F(TlsStreamTest, UrgentBlocksNeverSplitABlockThatIsUnderWay) {
  connect_pair();
  const std::string big(200'000, 'a');
  ASSERT_TRUE(host.send(big));
  ASSERT_TRUE(host.send(std::string(1000, 'b')));
  // Only a part of the first block is out when the ping comes.
  ASSERT_TRUE(run_until([&] { return host.stream->bytes_sent() > 0; }));
  ASSERT_TRUE(host.stream->send(bytes_of("PING"), SendPriority::urgent));
  ASSERT_TRUE(run_until([&] { return console().heard.size() == big.size() + 1004; }));
  EXPECT_EQ(console().heard.find('b') > console().heard.find("PING") ||
                console().heard.rfind("PING") == big.size() + 1000,
            true);
  EXPECT_EQ(console().heard.substr(0, big.size()), big);
  EXPECT_NE(console().heard.find("PING"), std::string::npos);
}

TEST_F(TlsStreamTest, BulkIsOvertakenByAllElseAndKeepsItsOrder) {
  connect_pair();
  const std::string big(16'000, 'a');
  ASSERT_TRUE(host.stream->send(bytes_of(big + "1"), SendPriority::bulk));
  ASSERT_TRUE(host.stream->send(bytes_of(big + "2"), SendPriority::bulk));
  ASSERT_TRUE(host.stream->send(bytes_of("command ")));
  ASSERT_TRUE(host.stream->send(bytes_of("ping "), SendPriority::urgent));
  ASSERT_TRUE(host.stream->send(bytes_of("command2 ")));
  ASSERT_TRUE(run_until([&] { return console().heard.size() == 2 * big.size() + 24; }));
  EXPECT_EQ(console().heard, "ping command command2 " + big + "1" + big + "2");
}

TEST_F(TlsStreamTest, BulkPassesItsGateWholeThoughThePeerReadsLate) {
  connect_pair();
  std::string all;
  for (int i = 0; i < 150; ++i) {
    const std::string block(20'000, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(host.stream->send(bytes_of(block), SendPriority::bulk));
    all += block;
  }
  ASSERT_TRUE(run_until([&] { return console().heard.size() == all.size(); }));
  EXPECT_TRUE(console().heard == all);
}

TEST_F(TlsStreamTest, QueueIsBoundedAndRefusesWhole) {
  connect_pair();
  const auto block = bytes_of(std::string(1U << 20, 'x'));
  for (int i = 0; i < 4; ++i) { EXPECT_TRUE(host.stream->send(block)); }
  EXPECT_FALSE(host.stream->send(bytes_of("y")));
  EXPECT_EQ(host.stream->queued_bytes(), 4U << 20);
  ASSERT_TRUE(run_until([&] { return console().heard.size() == (4U << 20); }));
  EXPECT_TRUE(host.send("y"));
}

TEST_F(TlsStreamTest, DrainedIsToldOncePerEmptying) {
  listen(console_context());
  auto result = dial_now(host_context(), request_to(port));
  ASSERT_TRUE(result);
  int drained = 0;
  result->stream->start({.on_bytes = {}, .on_closed = {}, .on_drained = [&] { ++drained; }});
  ASSERT_TRUE(result->stream->send(bytes_of(std::string(100'000, 'x'))));
  ASSERT_TRUE(run_until([&] { return drained == 1; }));
  EXPECT_EQ(result->stream->queued_bytes(), 0U);
}

TEST_F(TlsStreamTest, ReaderThatStopsReadingEndsThePathAfterTheWriteDeadline) {
  listen(console_context());
  DialRequest request = request_to(port);
  request.stream.write_deadline = 200ms;
  request.stream.queue_bytes_max = 64U << 20;
  auto result = dial_now(host_context(), request);
  ASSERT_TRUE(result);
  host.stream = std::move(result->stream);
  host.start();
  ASSERT_TRUE(run_until([&] { return !accepted.empty(); }));
  const int fd = ::dup(console().stream->native_handle());
  accepted.clear();  // Nobody reads fd any more, and it stays open.
  ASSERT_TRUE(host.send(std::string(32U << 20, 'x')));
  ASSERT_TRUE(run_until([&] { return host.closed.has_value(); }));
  EXPECT_EQ(host.closed->cause, PathFailure::silence) << host.closed->text;
  EXPECT_EQ(classify(host.closed->cause), "tcp");
  EXPECT_NE(host.closed->text.find("nothing could be sent to 127.0.0.1 for 2"), std::string::npos)
      << host.closed->text;
  EXPECT_FALSE(host.send("more"));
  ::close(fd);
}

TEST_F(TlsStreamTest, GracefulCloseDeliversTheQueueFirst) {
  connect_pair();
  const std::string last(300'000, 'z');
  ASSERT_TRUE(host.send(last));
  host.stream->close();
  EXPECT_FALSE(host.send("too late"));
  ASSERT_TRUE(run_until([&] { return host.closed && console().closed; }));
  EXPECT_EQ(console().heard, last);
  EXPECT_EQ(host.closed->cause, PathFailure::closed);
  EXPECT_EQ(host.closed->text, "closed by us");
  EXPECT_EQ(console().closed->text, "the host closed the connection");
}

TEST_F(TlsStreamTest, FinWithoutCloseNotifyIsAnEndToo) {
  connect_pair();
  ASSERT_TRUE(console().send("x"));
  ASSERT_TRUE(run_until([&] { return host.heard == "x"; }));
  console().stream.reset();  // Closes at once: FIN, no close_notify.
  ASSERT_TRUE(run_until([&] { return host.closed.has_value(); }));
  EXPECT_EQ(host.closed->cause, PathFailure::closed);
  EXPECT_EQ(classify(host.closed->cause), "console");
  EXPECT_EQ(host.closed->text, "the Console closed the connection without goodbye");
  EXPECT_EQ(host.stream->native_handle(), -1);
}

TEST_F(TlsStreamTest, AbortResetsTheConnection) {
  connect_pair();
  ASSERT_TRUE(console().send("x"));
  ASSERT_TRUE(run_until([&] { return host.heard == "x"; }));
  console().stream->abort();
  EXPECT_FALSE(console().stream->is_open());
  ASSERT_TRUE(run_until([&] { return host.closed.has_value(); }));
  EXPECT_EQ(host.closed->cause, PathFailure::closed);
  EXPECT_NE(host.closed->text.find("Connection reset by peer"), std::string::npos);
  EXPECT_FALSE(console().closed) << "abort calls nothing back";
}

TEST_F(TlsStreamTest, WritingToAResetConnectionRaisesNoSignal) {
  connect_pair();
  console().stream->abort();
  ASSERT_TRUE(host.send(std::string(500'000, 'x')));  // SIGPIPE would end this program.
  ASSERT_TRUE(run_until([&] { return host.closed.has_value(); }));
  EXPECT_EQ(host.closed->cause, PathFailure::closed) << host.closed->text;
}

TEST_F(TlsStreamTest, EndBeforeAnythingWasHeardHintsAtARefusal) {
  connect_pair();
  console().stream.reset();
  ASSERT_TRUE(run_until([&] { return host.closed.has_value(); }));
  EXPECT_NE(host.closed->text.find("may have refused our certificate"), std::string::npos);
}

TEST_F(TlsStreamTest, ForgedRecordIsAProtocolError) {
  connect_pair();
  // 23 3 3 length: an application record whose tag cannot be right.
  std::string forged = {0x17, 0x03, 0x03, 0x00, 0x20};
  forged += std::string(32, 'f');
  ASSERT_EQ(::send(console().stream->native_handle(), forged.data(), forged.size(), 0),
            static_cast<ssize_t>(forged.size()));
  ASSERT_TRUE(run_until([&] { return host.closed.has_value(); }));
  EXPECT_EQ(host.closed->cause, PathFailure::tls_protocol) << host.closed->text;
}

TEST_F(TlsStreamTest, StreamMayBeDestroyedInsideEachOfItsCallbacks) {
  connect_pair();
  // on_bytes
  auto result = dial_now(host_context(), request_to(port));
  ASSERT_TRUE(result);
  std::unique_ptr<TlsStream> victim = std::move(result->stream);
  bool died = false;
  victim->start({.on_bytes =
                     [&](std::span<const std::byte>) {
                       victim.reset();
                       died = true;
                     },
                 .on_closed = {},
                 .on_drained = {}});
  ASSERT_TRUE(run_until([&] { return accepted.size() == 2; }));
  ASSERT_TRUE(accepted[1]->send("die"));
  ASSERT_TRUE(run_until([&] { return died && accepted[1]->closed.has_value(); }));
  // on_closed and on_drained
  for (const bool by_close : {true, false}) {
    result = dial_now(host_context(), request_to(port));
    ASSERT_TRUE(result);
    victim = std::move(result->stream);
    died = false;
    const auto kill = [&] {
      victim.reset();
      died = true;
    };
    victim->start({.on_bytes = {},
                   .on_closed = [&](const PathError&) { by_close ? kill() : void(); },
                   .on_drained = [&] { by_close ? void() : kill(); }});
    ASSERT_TRUE(victim->send(bytes_of("x")));
    ASSERT_TRUE(run_until([&] { return accepted.back()->heard == "x"; }));
    if (by_close) { accepted.back()->stream.reset(); }
    ASSERT_TRUE(run_until([&] { return died; }));
  }
}

TEST_F(TlsStreamTest, BlocksSentBeforeStartAreDelivered) {
  listen(console_context());
  auto result = dial_now(host_context(), request_to(port));
  ASSERT_TRUE(result);
  host.stream = std::move(result->stream);
  ASSERT_TRUE(host.send("early "));
  host.start();
  ASSERT_TRUE(host.send("late"));
  ASSERT_TRUE(run_until([&] { return !accepted.empty() && console().heard == "early late"; }));
}

TEST_F(TlsStreamTest, LoopMayBeDestroyedWithStreamsAndDialsAlive) {
  connect_pair();
  listener.reset();
  ASSERT_TRUE(host.send(std::string(1'000'000, 'x')));
  const Dial unfinished(io.get_executor(), host_context(), request_to(port), [](DialResult) {});
  io.restart();
  io.run_one_for(1ms);
  // ASan judges the destructors of the fixture.
}

}  // namespace
}  // namespace edge::tunnel::testing_support
