#include "dhcp/io/hook_server.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/unique_fd.hpp"

namespace edge::dhcp {
namespace {

using namespace std::chrono_literals;

const std::string good_event{"interface=brx\0reason=CARRIER", 28};

/// Goal: whatever a hook sends, the daemon has an event or one line that says why not.
/// Method: a real socket in a temporary folder; each send waits for its own answer.
class HookServerTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/uplink-hook-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    path_ = folder_ + "/hook";
    auto made = HookServer::listen(
        io_, path_, [this](const HookEvent& event) { heard(to_string(event.reason)); },
        [this](const std::string& why, std::uint64_t held_back) {
          heard(why);
          held_back_ = held_back;
        });
    ASSERT_TRUE(made) << made.error().what;
    server_ = std::move(*made);
  }
  void TearDown() override {
    server_.reset();
    ::rmdir(folder_.c_str());
  }
  void heard(std::string_view what) {
    heard_.emplace_back(what);
    io_.stop();
  }
  void send(const std::string& message) const {
    const UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::send(fd.get(), message.data(), message.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(message.size()));
  }
  /// What is heard of this message, or of one before it.
  std::string said(const std::string& message) {
    send(message);
    heard_.clear();
    io_.restart();
    io_.run_for(10s);
    return heard_.empty() ? "nothing" : heard_.front();
  }

  boost::asio::io_context io_;
  std::string folder_;
  std::string path_;
  std::unique_ptr<HookServer> server_;
  std::vector<std::string> heard_;
  std::uint64_t held_back_ = 0;
};

TEST_F(HookServerTest, AnEventArrives) { EXPECT_EQ(said(good_event), "CARRIER"); }

TEST_F(HookServerTest, AMessageOfTheLimitIsReadAndOneByteMoreIsRefusedWithItsSize) {
  std::string most = good_event + std::string("\0pad=", 5);
  most += std::string(hook_datagram_bytes_max - most.size(), 'x');
  EXPECT_EQ(said(most), "CARRIER");
  EXPECT_EQ(said(most + "x"), "hook datagram: 16385 bytes; at most 16384 are allowed");
  EXPECT_EQ(said(std::string(100'000, 'x')),
            "hook datagram: 100000 bytes; at most 16384 are allowed");
  EXPECT_EQ(said(good_event), "CARRIER") << "and it goes on";
}

TEST_F(HookServerTest, WhatIsRefusedIsSaidFiveTimesAndThenHeldBack) {
  const std::string large(hook_datagram_bytes_max + 1, 'x');
  for (int i = 0; i < 5; ++i) { EXPECT_NE(said(large).find("16385 bytes"), std::string::npos); }
  for (int i = 0; i < 20; ++i) { send(large); }
  EXPECT_EQ(said(good_event), "CARRIER") << "the twenty before it make no line";
  EXPECT_EQ(held_back_, 0U);
}

TEST_F(HookServerTest, WhatIsNoEnvironmentIsRefusedWithTheEntry) {
  const std::string why = said("no equals sign");
  EXPECT_NE(why.find("no equals sign"), std::string::npos) << why;
}

}  // namespace
}  // namespace edge::dhcp
