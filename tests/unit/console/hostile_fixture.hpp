// A host with a good certificate and bad manners, and a disk that takes nothing.
#pragma once

#include <sys/socket.h>

#include <future>
#include <limits>
#include <list>

#include "console_fixture.hpp"

namespace edge::console {
using tunnel::FrameType;

enum class Manner : std::uint8_t { hears, deaf };

/// A bare authenticated connection: says what the test wants, keeps what it hears.
class Rude {
 public:
  Rude(boost::asio::io_context& io, const TestCa& ca, const std::string& id, std::uint16_t port)
      : Rude(io, ca, ca.host(id), port, Manner::hears) {}
  Rude(boost::asio::io_context& io, const TestCa& ca, const tunnel::testing_support::PemPair& pair,
       std::uint16_t port, Manner manner) {
    tunnel::DialRequest request;
    request.endpoint = {"127.0.0.1", port};
    dial_ = std::make_unique<tunnel::Dial>(
        io.get_executor(), tls_of(tunnel::TlsRole::client, ca, pair), std::move(request),
        [this, manner](tunnel::DialResult result) {
          refused = !result;
          if (refused) { return; }
          stream_ = std::move(result->stream);
          if (manner == Manner::deaf) { return make_deaf(); }
          stream_->start({.on_bytes =
                              [this](std::span<const std::byte> bytes) {
                                EXPECT_TRUE(decoder_.feed(bytes, heard));
                              },
                          .on_closed = [this](const tunnel::PathError&) { closed = true; },
                          .on_drained = {}});
        });
  }
  bool connected() const { return stream_ != nullptr; }
  void say(tunnel::Bytes bytes) {
    EXPECT_TRUE(stream_->send(std::make_shared<const tunnel::Bytes>(std::move(bytes))));
  }
  std::size_t count(FrameType type) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        heard, [type](const tunnel::Frame& frame) { return frame.header.type == type; }));
  }
  /// Of the last frame of this type.
  tunnel::Bytes payload(FrameType type) const {
    for (auto it = heard.rbegin(); it != heard.rend(); ++it) {
      if (it->header.type == type) { return it->payload; }
    }
    return {};
  }

  std::vector<tunnel::Frame> heard;
  bool closed = false;
  bool refused = false;

 private:
  /// What is not read stays with the peer, but for a little in its kernel and ours.
  void make_deaf() const {
    const int least = 1;
    EXPECT_EQ(::setsockopt(stream_->native_handle(), SOL_SOCKET, SO_RCVBUF, &least, sizeof least),
              0);
  }
  std::unique_ptr<tunnel::Dial> dial_;
  std::unique_ptr<tunnel::TlsStream> stream_;
  tunnel::FrameDecoder decoder_;
};

inline tunnel::Hello hello_of(const std::string& host, std::uint32_t path) {
  tunnel::Hello hello;
  hello.host = host;
  hello.install_id = "install-1";
  hello.boot_id = "boot";
  hello.instance = tunnel::InstanceId{7};
  hello.path.wire_id = path;
  hello.path.port = hello.path.adapter = fmt::format("eth{}", path);
  hello.path.endpoint = "console.test:1";
  hello.path.label = hello.path.adapter + "/console.test:1";
  hello.heartbeat = {.active = 60s, .standby = 60s, .dead_after = 3};  // It answers no PING.
  return hello;
}

/// A header that announces so much, and nothing behind it.
inline tunnel::Bytes header_only(FrameType type, std::uint16_t channel, std::uint32_t length,
                                 std::uint64_t seq) {
  const auto raw = tunnel::encode_header({.type = type,
                                          .flags = tunnel::flag_critical,
                                          .channel = channel,
                                          .length = length,
                                          .seq = seq});
  return {raw.begin(), raw.end()};
}

/// The disk takes nothing until open() is called.
class StuckDisk {
 public:
  explicit StuckDisk(DbWorker& db) {
    db.run(
        [stuck = opened_.get_future().share()](ConsoleDb&) -> Result<void> {
          stuck.wait();
          return {};
        },
        [](const Result<void>&) {});
  }
  ~StuckDisk() { open(); }
  void open() {
    if (!std::exchange(open_, true)) { opened_.set_value(); }
  }

 private:
  std::promise<void> opened_;
  bool open_ = false;
};

inline std::string own_id(int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }

class HostileHostTest : public ConsoleTest {
 protected:
  Rude& barge_in(const std::string& id = "hv-66") {
    Rude& one = rude.emplace_back(io, ca, id, console->port());
    EXPECT_TRUE(run_until([&] { return one.connected(); }));
    return one;
  }
  Rude& welcomed(std::uint32_t path, const std::string& id = "hv-66") {
    Rude& one = barge_in(id);
    one.say(encode(hello_of(id, path)));
    EXPECT_TRUE(run_until([&] { return one.count(FrameType::welcome) == 1; }));
    return one;
  }
  /// A host with manners is served while all that goes on.
  void expect_service() {
    good_host.emplace(io, ca, "hv-01");
    good_host->connect(console->port(), "eth0");
    EXPECT_TRUE(joined(*good_host));
    good_host->event(1);
    EXPECT_TRUE(run_until([&] { return good_host->event_acked == 1; }));
  }
  std::list<Rude> rude;
  std::optional<FakeHost> good_host;
};

}  // namespace edge::console
