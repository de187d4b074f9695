// Hosts with a good certificate and bad manners: each loses its connection, learns why, costs
// little, and disturbs nobody.
#include "hostile_fixture.hpp"

namespace edge::console {
namespace {

TEST_F(HostileHostTest, AHostOfAnotherVersionIsToldWhichAndTheOperatorSeesIt) {
  start();
  Rude& newer = barge_in();
  auto hello = hello_of("hv-66", 1);
  hello.version_min = 2;
  hello.version_max = 3;
  hello.software = "uplink 9.0.0";
  newer.say(encode(hello));
  ASSERT_TRUE(run_until([&] { return newer.closed; }));
  const auto error = tunnel::decode_error(newer.payload(FrameType::error));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, tunnel::ErrorCode::version);
  EXPECT_EQ(error->what, "protocol versions 2..3 offered, 1..1 supported");
  EXPECT_EQ(newer.count(FrameType::welcome), 0U);
  const auto shown = get("/api/v1/hosts/hv-66").at("version_refused").as_object();
  EXPECT_EQ(shown.at("reason").as_string(), error->what + ", by uplink 9.0.0");
  EXPECT_NE(call("GET", "/metrics").body.find("uplink_console_versions_refused_total 1\n"),
            std::string::npos);

  // One that speaks ours too is served in it, and may say what we do not know.
  Rude& both = barge_in();
  hello.version_min = 1;
  both.say(encode(hello));
  ASSERT_TRUE(run_until([&] { return both.count(FrameType::welcome) == 1; }));
  EXPECT_EQ(tunnel::decode_welcome(both.payload(FrameType::welcome))->version, 1U);
  const auto unknown = tunnel::encode_header(
      {.type = static_cast<FrameType>(0x40), .flags = 0, .channel = 9, .length = 5, .seq = 77});
  tunnel::Bytes future(unknown.begin(), unknown.end());
  future.resize(future.size() + 5);
  both.say(std::move(future));
  both.say(encode(tunnel::Ping{.nonce = 1, .send_time_us = 2, .active_serial = 0, .view = 0}));
  ASSERT_TRUE(run_until([&] { return both.count(FrameType::pong) == 1; })) << "it was skipped";
  EXPECT_FALSE(get("/api/v1/hosts/hv-66").contains("version_refused"));
  expect_service();
}

TEST_F(HostileHostTest, AFrameThatClaimsToBeHugeIsRefusedBeforeAByteOfItIsKept) {
  start();
  Rude& one = barge_in();
  one.say(header_only(FrameType::hello, 0, 0xffffffff, 0));
  ASSERT_TRUE(run_until([&] { return one.closed; }));
  EXPECT_EQ(tunnel::decode_error(one.payload(FrameType::error))->code, tunnel::ErrorCode::protocol);
  Rude& other = welcomed(1);
  other.say(header_only(FrameType::data, 2, 0xffffffff, 1));
  ASSERT_TRUE(run_until([&] { return other.closed; }));
  EXPECT_EQ(other.count(FrameType::error), 1U);
  expect_service();
}

TEST_F(HostileHostTest, ThirtyTwoConnectionsMayWaitForOneHostsHelloAndNoMore) {
  start();
  for (std::size_t i = 0; i < Doorstep::waiting_per_host_max; ++i) { barge_in(); }
  ASSERT_TRUE(run_until(
      [&] { return console->fleet().doorstep().waiting() == Doorstep::waiting_per_host_max; }));
  Rude& one_more = barge_in();
  ASSERT_TRUE(run_until([&] { return one_more.closed; }));
  EXPECT_EQ(tunnel::decode_error(one_more.payload(FrameType::error))->code,
            tunnel::ErrorCode::retry_later);
  expect_service();
}

TEST_F(HostileHostTest, AHelloThatComesByteByByteEndsWithItsTimer) {
  start();
  const tunnel::Bytes whole = encode(hello_of("hv-66", 1));
  std::vector<Rude*> slow;
  for (int i = 0; i < 10; ++i) {
    slow.push_back(&barge_in());
    slow.back()->say({whole.begin(), whole.begin() + 3});
  }
  expect_service();
  EXPECT_EQ(console->host("hv-66"), nullptr) << "no work for a session before HELLO";
  ASSERT_TRUE(run_until(
      [&] { return std::ranges::all_of(slow, [](const Rude* one) { return one->closed; }); }));
  EXPECT_EQ(console->fleet().doorstep().waiting(), 0U);
}

TEST_F(HostileHostTest, UnfinishedFramesOverAllPathsAreBounded) {
  start();
  std::vector<Rude*> paths;
  for (std::uint32_t i = 0; i < 4; ++i) { paths.push_back(&welcomed(i + 1)); }
  const tunnel::Bytes most(900UZ * 1024);
  for (Rude* one : paths) {
    one->say(header_only(FrameType::data, 1, tunnel::command_bytes_max, 1));
    one->say(most);
  }
  ASSERT_TRUE(run_until(
      [&] { return std::ranges::any_of(paths, [](const Rude* one) { return one->closed; }); }));
  const auto ended = std::ranges::find_if(paths, [](const Rude* one) { return one->closed; });
  EXPECT_NE(tunnel::decode_error((*ended)->payload(FrameType::error))->what.find("unfinished"),
            std::string::npos);
  expect_service();
}

TEST_F(HostileHostTest, PathsBeyondTheLimitTakeThePlaceOfTheQuietestOne) {
  start();
  for (std::uint32_t i = 0; i < tunnel::Session::paths_max + 8; ++i) { welcomed(i + 1); }
  EXPECT_LE(console->host("hv-66")->path_count(), tunnel::Session::paths_max);
  expect_service();
}

TEST_F(HostileHostTest, WhenMemoryIsFullNewHostsAreToldToComeLaterAndOldOnesGoOn) {
  HostOptions options;
  options.memory_bytes_max = 1000;
  start(0, options);
  FakeHost good(io, ca, "hv-01");
  good.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(good));
  console->fleet().set_memory(1001);
  Rude& late = barge_in();
  ASSERT_TRUE(run_until([&] { return late.closed; }));
  const auto goaway = tunnel::decode_goaway(late.payload(FrameType::goaway));
  ASSERT_TRUE(goaway);
  EXPECT_GE(goaway->reconnect_in + goaway->spread, 10s);
  EXPECT_EQ(console->host("hv-66"), nullptr);
  good.connect(console->port(), "eth1");
  EXPECT_TRUE(joined(good, 2)) << "who is there may have another path";
  console->fleet().set_memory(999);
  welcomed(1);
}

TEST_F(HostileHostTest, WhenTooMuchWaitsForAllHostsNewOnesAreToldToComeLater) {
  HostOptions options;
  options.queued_bytes_max = 4000;
  start(0, options);
  FakeHost good(io, ca, "hv-01");
  good.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(good));
  console->fleet().count_queued();
  EXPECT_FALSE(console->fleet().pace().crowded) << console->fleet().queued_bytes();
  CommandRow large;
  large.seq = 1;
  large.host = "hv-01";
  large.id = "large";
  large.message = R"({"type":"command","id":"large","padding":")" + std::string(5000, 'x') + "\"}";
  console->host("hv-01")->submit(std::move(large));
  console->fleet().count_queued();
  EXPECT_TRUE(console->fleet().pace().crowded);
  Rude& late = barge_in();
  ASSERT_TRUE(run_until([&] { return late.closed; }));
  EXPECT_TRUE(tunnel::decode_goaway(late.payload(FrameType::goaway)));
  EXPECT_EQ(console->host("hv-66"), nullptr);
  good.connect(console->port(), "eth1");
  EXPECT_TRUE(joined(good, 2)) << "who is there may have another path";
  ASSERT_TRUE(run_until([&] { return console->host("hv-01")->waiting_bytes() < 3000; }));
  console->fleet().count_queued();
  EXPECT_FALSE(console->fleet().pace().crowded);
  welcomed(1);
}

TEST_F(HostileHostTest, AFleetBeyondTheBudgetIsOfferedSlowerHeartbeats) {
  HostOptions options;
  options.heartbeats_per_s = 5;  // One host's worth.
  start(0, options);
  const auto offered = [&](const std::string& id) {
    Rude& one = barge_in(id);
    tunnel::Hello hello = hello_of(id, 1);
    hello.heartbeat = {};
    one.say(encode(hello));
    EXPECT_TRUE(run_until([&] { return one.count(FrameType::welcome) == 1; }));
    return tunnel::decode_welcome(one.payload(FrameType::welcome))->heartbeat;
  };
  EXPECT_EQ(offered("hv-01").active, 250ms);
  EXPECT_EQ(offered("hv-02").active, 500ms);
  EXPECT_EQ(offered("hv-03").standby, 3000ms);
}

TEST_F(HostileHostTest, ARevokedHostIsToldWhyOnEachPathAndNeverServedAgain) {
  start();
  Rude& first = welcomed(1);
  Rude& second = welcomed(2);
  Rude& silent = barge_in();  // Authenticated before it was revoked, and has not said HELLO.
  const auto refused = [](const Rude& one) {
    const auto error = tunnel::decode_error(one.payload(FrameType::error));
    return error && error->code == tunnel::ErrorCode::revoked &&
           error->what == "revoked by the Console: stolen";
  };
  const std::string revoke = "/api/v1/hosts/hv-66/revoke";
  ASSERT_EQ(call("POST", revoke, R"({"reason":"stolen"})").status, 200U);
  silent.say(encode(hello_of("hv-66", 3)));
  ASSERT_TRUE(run_until([&] { return first.closed && second.closed; }, 5s));
  EXPECT_TRUE(refused(first));
  EXPECT_TRUE(refused(second));
  ASSERT_TRUE(run_until([&] { return silent.closed; }, 5s));
  EXPECT_TRUE(refused(silent));
  EXPECT_FALSE(online("hv-66"));
  const auto comes_again = [&] {
    Rude& one = barge_in();
    one.say(encode(hello_of("hv-66", 4)));
    return run_until([&] { return one.closed; }, 5s) && refused(one);
  };
  EXPECT_TRUE(comes_again());
  const std::uint16_t port = console->port();
  stop();
  start(port);
  EXPECT_TRUE(comes_again()) << "after a restart of the Console, too";
  EXPECT_EQ(get("/api/v1/hosts/hv-66").at("revoked").at("reason"), "stolen");
  EXPECT_NE(call("GET", "/metrics").body.find("uplink_console_hosts_revoked 1\n"),
            std::string::npos);
  expect_service();
  EXPECT_EQ(call("DELETE", revoke).status, 204U);
  EXPECT_FALSE(get("/api/v1/hosts/hv-66").contains("revoked"));
  welcomed(5);
  EXPECT_EQ(call("POST", "/api/v1/hosts/nobody/revoke").status, 404U) << "or a slip of the pen "
                                                                         "would pass for done";
}

TEST_F(HostileHostTest, AHostThatWasNeverSeenIsRevokedWhenThatIsMeant) {
  start();
  EXPECT_EQ(call("POST", "/api/v1/hosts/hv-66/revoke", R"({"unseen":true})").status, 200U);
  EXPECT_EQ(call("POST", "/api/v1/hosts/h%21/revoke", R"({"unseen":true})").status, 422U);
  Rude& one = barge_in();
  one.say(encode(hello_of("hv-66", 1)));
  ASSERT_TRUE(run_until([&] { return one.closed; }, 5s));
  EXPECT_EQ(tunnel::decode_error(one.payload(FrameType::error))->code, tunnel::ErrorCode::revoked);
  for (const char* what : {"confirm", "abort"}) {
    EXPECT_EQ(
        call("POST",
             std::string("/api/v1/hosts/hv-66/commands/a3bb189e-8bf9-4f25-9a1f-4d3b2c6f0a11/") +
                 what)
            .status,
        409U);
  }
}

}  // namespace
}  // namespace edge::console
