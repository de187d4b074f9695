// Hosts with a good certificate and bad manners: each loses its connection, learns why, costs
// little, and disturbs nobody.
#include <future>
#include <list>

#include "console_fixture.hpp"

namespace edge::console {
namespace {

using tunnel::FrameType;

/// A bare authenticated connection: says what the test wants, keeps what it hears.
class Rude {
 public:
  Rude(boost::asio::io_context& io, const TestCa& ca, const std::string& id, std::uint16_t port) {
    tunnel::DialRequest request;
    request.endpoint = {"127.0.0.1", port};
    dial_ = std::make_unique<tunnel::Dial>(
        io.get_executor(), tls_of(tunnel::TlsRole::client, ca, ca.host(id)), std::move(request),
        [this](tunnel::DialResult result) {
          ASSERT_TRUE(result) << result.error().error.text;
          stream_ = std::move(result->stream);
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

 private:
  std::unique_ptr<tunnel::Dial> dial_;
  std::unique_ptr<tunnel::TlsStream> stream_;
  tunnel::FrameDecoder decoder_;
};

tunnel::Hello hello_of(const std::string& host, std::uint32_t path) {
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
tunnel::Bytes header_only(FrameType type, std::uint16_t channel, std::uint32_t length,
                          std::uint64_t seq) {
  const auto raw = tunnel::encode_header({.type = type,
                                          .flags = tunnel::flag_critical,
                                          .channel = channel,
                                          .length = length,
                                          .seq = seq});
  return {raw.begin(), raw.end()};
}

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
  large.message = std::string(5000, ' ');
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

std::string own_id(int n) { return fmt::format("00000000-0000-4000-8000-{:012}", n); }

TEST_F(HostileHostTest, LargeEventsThatTheDiskDoesNotTakeAreBoundedInBytes) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  StuckDisk disk(console->db());
  for (int n = 1; n <= 64; ++n) {
    host.say(tunnel::Channel::events, {{"type", "event"},
                                       {"n", n},
                                       {"time", "2026-01-02T03:04:05.678Z"},
                                       {"kind", "flood"},
                                       {"data", std::string(60'000, 'x')}});
    ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::events) < 500'000; }));
  }
  ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::events) == 0; }));
  EXPECT_GT(console->host("hv-66")->held_bytes(), 900'000U);
  EXPECT_LE(console->host("hv-66")->held_bytes(), Host::events_waiting_bytes_max);
  disk.open();
  ASSERT_TRUE(run_until([&] { return host.event_acked > 0; }));
  EXPECT_LT(host.event_acked, 64) << "the rest is said again in the next session";
  ASSERT_TRUE(run_until([&] { return console->host("hv-66")->held_bytes() == 0; }));
  expect_service();
}

TEST_F(HostileHostTest, ResultsThatTheDiskDoesNotTakeAreAskedForAgain) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.mute = true;
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  const std::string commands = "/api/v1/hosts/hv-66/commands";
  for (int n = 1; n <= 6; ++n) {
    ASSERT_EQ(call("POST", commands,
                   json::serialize(json::object{
                       {"id", own_id(n)},
                       {"operations",
                        json::array{json::object{{"op", "network.delete"}, {"network", "n"}}}}}))
                  .status,
              202U);
  }
  ASSERT_TRUE(run_until([&] { return host.received.size() == 6; }));
  StuckDisk disk(console->db());
  for (int n = 1; n <= 6; ++n) {
    host.say(tunnel::Channel::commands, {{"type", "result"},
                                         {"id", own_id(n)},
                                         {"state", "done"},
                                         {"revision", n},
                                         {"plan", json::array{std::string(400'000, 'p')}}});
    ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::commands) == 0; }));
  }
  EXPECT_LE(console->host("hv-66")->held_bytes(), Host::results_storing_bytes_max);
  host.mute = false;
  disk.open();
  ASSERT_TRUE(run_until([&] { return host.result_acks.size() == 6; }));
  EXPECT_EQ(host.received[own_id(1)], 1);
  EXPECT_EQ(host.received[own_id(6)], 2) << "its journal answers again";
  EXPECT_EQ(console->host("hv-66")->held_bytes(), 0U);
  EXPECT_EQ(console->host("hv-66")->pending(), 0U);
  expect_service();
}

TEST_F(HostileHostTest, InventedResultsAreFewAndSmall) {
  start();
  FakeHost host(io, ca, "hv-66");
  host.connect(console->port(), "eth0");
  ASSERT_TRUE(run_until([&] { return online("hv-66") && host.sessions_started == 1; }));
  const auto result_of = [&](int n, std::size_t bytes) {
    host.say(tunnel::Channel::commands, {{"type", "result"},
                                         {"id", own_id(n)},
                                         {"state", "done"},
                                         {"plan", json::array{std::string(bytes, 'p')}}});
  };
  result_of(1, 500'000);
  ASSERT_TRUE(run_until([&] { return host.result_acks.contains(own_id(1)); }));
  const auto kept = json::serialize(get("/api/v1/hosts/hv-66/commands/" + own_id(1)));
  EXPECT_LT(kept.size(), 2000U);
  EXPECT_NE(kept.find("at most 65536 are kept"), std::string::npos) << kept;
  for (int n = 2; n <= 600; ++n) {
    result_of(n, 1);
    ASSERT_TRUE(run_until([&] { return host.unread(tunnel::Channel::commands) < 100'000; }));
  }
  ASSERT_TRUE(run_until([&] {
    return host.unread(tunnel::Channel::commands) == 0 &&
           console->host("hv-66")->held_bytes() == 0 &&
           host.result_acks.size() >= Host::own_results_burst;
  }));
  EXPECT_LT(host.result_acks.size(), Host::own_results_burst + 60) << "one a second beyond";
  expect_service();
}

TEST_F(HostileHostTest, AnswersThatAHostNeverReadsAreBounded) {
  start();
  Rude& deaf = welcomed(1);
  ASSERT_EQ(call("POST", "/api/v1/hosts/hv-66/commands",
                 json::serialize(json::object{
                     {"id", own_id(1)},
                     {"operations",
                      json::array{json::object{{"op", "network.delete"}, {"network", "n"}}}}}))
                .status,
            202U);
  const auto text = tunnel::to_bytes(
      json::serialize(json::object{{"type", "state"}, {"id", own_id(1)}, {"state", "confirming"}}));
  constexpr std::uint64_t count = 20'000;
  for (std::uint64_t seq = 1; seq <= count; ++seq) {
    deaf.say(tunnel::encode_frame(
        {.type = FrameType::data, .flags = tunnel::flag_critical, .channel = 1, .seq = seq}, text));
    if (seq % 1000 == 0) {
      ASSERT_TRUE(run_until([&] { return console->host("hv-66")->stats().delivered == seq; }));
    }
  }
  EXPECT_GT(console->fleet().counters().bad_messages, 0U);
  EXPECT_LE(console->host("hv-66")->held_bytes(), Host::replies_bytes_max);
  EXPECT_EQ(call("POST", "/api/v1/hosts/hv-66/commands/" + own_id(1) + "/confirm").status, 409U);
  expect_service();
}

TEST_F(HostileHostTest, NonsenseInAFloodIsCountedAndItsHostServed) {
  start();
  FakeHost noisy(io, ca, "hv-01");
  noisy.connect(console->port(), "eth0");
  ASSERT_TRUE(joined(noisy));
  for (int i = 0; i < 200; ++i) { noisy.say(tunnel::Channel::commands, {{"type", "nonsense"}}); }
  ASSERT_TRUE(run_until([&] { return console->fleet().counters().bad_messages == 200; }));
  noisy.event(1);
  EXPECT_TRUE(run_until([&] { return noisy.event_acked == 1; }));
}

}  // namespace
}  // namespace edge::console
