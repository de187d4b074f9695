// A wrong clock: what is trusted, when it is set and by what, and what is said about it.
#include "uplink/daemon/clock_keeper.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "uplink/daemon/clock.hpp"

namespace edge::uplink {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using tunnel::ClockReading;
using Days = std::chrono::duration<int, std::ratio<86400>>;
using Kind = ClockKeeper::Verdict::Kind;

constexpr WallTime today{1'800'000'000s};
constexpr WallTime in_1970{12s};

class ClockKeeperTest : public testing::Test {
 protected:
  ClockKeeperTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "edge-clock-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    store.emplace(io, store::Store::open(folder + "/uplink.db", today).value());
    events.emplace(*store);
    events->listen([this](const store::EventRecord& event) { told.push_back(event); });
    own.not_before = today - Days(10);
    own.not_after = today + Days(10);
  }
  ~ClockKeeperTest() override {
    keeper.reset();
    store.reset();
    std::filesystem::remove_all(folder);
  }

  void make(WallTime floor = today - Days(1)) {
    keeper.emplace(io, config, *store, *events, floor,
                   ClockPort{.read =
                                 [this] {
                                   return ClockReading{
                                       .wall = wall, .mono = mono_now(), .synchronised = synced};
                                 },
                             .set = [this](WallTime to) -> Result<void> {
                               ++sets;
                               if (!settable) { return fail_errno(EPERM, "set the clock"); }
                               if (takes) { wall = to; }
                               return {};
                             }});
    keeper->on_change([this] { ++changes; });
    options = keeper->options("console.test");
    keeper->before_dial(own);
  }
  /// A Console that was judged as the keeper asked for, valid 5 days around.
  tunnel::PeerIdentity peer() const {
    tunnel::PeerIdentity out;
    out.certificate.not_before = today - Days(5);
    out.certificate.not_after = today + Days(5);
    if (const auto bounds = options.bounds()) {
      out.judged_within = tunnel::overlap(*bounds, tunnel::term_of(out.certificate));
    }
    return out;
  }
  std::string trust() const { return std::string(keeper->json().at("trust").as_string()); }
  template <class Done>
  void run_until(Done&& done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_for(100ms);
    }
    ASSERT_TRUE(done());
  }
  std::size_t count_of(std::string_view kind) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(told, [&](const auto& event) { return event.kind == kind; }));
  }
  WallTime stored_floor() {
    std::optional<WallTime> floor;
    store->run([](store::Store& s) { return s.identity(); },
               [&](const Result<store::Identity>& known) { floor = known->clock_floor; });
    run_until([&] { return floor.has_value(); });
    return *floor;
  }

  boost::asio::io_context io;
  std::string folder;
  std::optional<store::StoreWorker> store;
  std::optional<EventLog> events;
  std::vector<store::EventRecord> told;
  Config::Tunnel config;
  WallTime wall = in_1970;
  bool synced = false;
  bool settable = true;
  bool takes = true;
  int sets = 0;
  int changes = 0;
  tunnel::CertificateInfo own;
  std::optional<ClockKeeper> keeper;
  tunnel::TlsOptions options;
};

TEST_F(ClockKeeperTest, AWrongClockIsBoundedThenSetByTheConsoleThenStrict) {
  for (const WallTime wrong : {in_1970, today + Days(730)}) {
    wall = wrong;
    sets = 0;
    told.clear();
    make();
    EXPECT_EQ(trust(), "bounded");
    EXPECT_EQ(options.bounds(), (tunnel::TimeBounds{today - Days(1), own.not_after}));
    EXPECT_NE(keeper->problem().find("nothing synchronises it"), std::string::npos);
    EXPECT_EQ(keeper->on_welcome(peer(), today).kind, Kind::redial);
    EXPECT_EQ(sets, 1);
    EXPECT_EQ(wall, today);
    EXPECT_EQ(trust(), "strict");
    EXPECT_EQ(keeper->problem(), "");
    EXPECT_FALSE(options.bounds());
    EXPECT_EQ(options.wall_clock(), today);
    EXPECT_EQ(keeper->on_welcome(peer(), today + 1s).kind, Kind::keep) << "the strict one";
    EXPECT_EQ(sets, 1);
    run_until([this] { return count_of("clock.set") == 1; });
    EXPECT_EQ(count_of("clock.bounded"), 1U);
    EXPECT_EQ(json::parse(told.back().json).at("difference_s").to_number<double>(),
              static_cast<double>((today - wrong) / 1ms) / 1000.0);
  }
  EXPECT_EQ(stored_floor(), today) << "the earlier of the clock and the Console's word";
}

TEST_F(ClockKeeperTest, PathsThatWereDialledMeanwhileAreDialledAnewAndSetNothing) {
  make();
  const auto first = peer();
  const auto second = peer();
  EXPECT_EQ(keeper->on_welcome(first, today).kind, Kind::redial);
  EXPECT_EQ(keeper->on_welcome(second, today + 3s).kind, Kind::redial);
  EXPECT_EQ(sets, 1);
}

TEST_F(ClockKeeperTest, AClockThatCannotBeSetIsStoodInForByTheConsolesTime) {
  for (const bool refused : {true, false}) {
    settable = !refused;
    takes = false;
    wall = in_1970;
    make();
    EXPECT_EQ(keeper->on_welcome(peer(), today).kind, Kind::redial);
    EXPECT_EQ(wall, in_1970);
    EXPECT_EQ(trust(), "console");
    EXPECT_FALSE(options.bounds()) << "strict from here on";
    EXPECT_LT(options.wall_clock() - today, 10s);
    EXPECT_LT(wall_now() - today, 10s);
    EXPECT_GE(wall_now(), today);
    EXPECT_NE(keeper->problem().find("the Console's time is used instead"), std::string::npos);
    EXPECT_NE(keeper->problem().find(refused ? "set the clock" : "is as before"), std::string::npos)
        << keeper->problem();
  }
  run_until([this] { return count_of("clock.not_set") == 2; });
  // Somebody sets it: the stand-in ends by itself.
  wall = today + 1h;
  run_until([this] { return changes > 0; });
  EXPECT_EQ(trust(), "strict");
  EXPECT_EQ(options.wall_clock(), today + 1h);
  EXPECT_NE(wall_now(), today + 1h) << "the machine's own clock again, which is real here";
  run_until([this] { return count_of("clock.right") == 1; });
}

TEST_F(ClockKeeperTest, WhoForbidsItIsObeyed) {
  config.set_clock = false;
  make();
  EXPECT_EQ(keeper->on_welcome(peer(), today).kind, Kind::redial);
  EXPECT_EQ(sets, 0);
  EXPECT_EQ(trust(), "console");
  config.clock_trust = Config::Tunnel::ClockTrust::strict;
  make();
  EXPECT_EQ(trust(), "strict");
  EXPECT_FALSE(options.bounds());
  EXPECT_EQ(options.wall_clock(), in_1970);
  EXPECT_NE(keeper->problem().find("judged by it all the same"), std::string::npos);
}

TEST_F(ClockKeeperTest, ASynchronisedOrPlausibleClockIsNeverSet) {
  synced = true;
  make();
  EXPECT_FALSE(options.bounds());
  EXPECT_EQ(keeper->problem(), "");
  synced = false;
  wall = today + 1h;
  make();
  EXPECT_EQ(keeper->on_welcome(peer(), today).kind, Kind::keep);
  EXPECT_EQ(sets, 0);
  EXPECT_EQ(stored_floor(), today);
  EXPECT_EQ(keeper->on_welcome(peer(), today + Days(4)).kind, Kind::keep);
  EXPECT_EQ(stored_floor(), today + 1h) << "a Console that is ahead does not drag the floor along";
}

TEST_F(ClockKeeperTest, ATimeThatCannotBeIsNotTaken) {
  make();
  const auto refused = keeper->on_welcome(peer(), today + Days(6));
  EXPECT_EQ(refused.kind, Kind::refuse);
  EXPECT_NE(refused.why.find("1970-01-01T00:00:12"), std::string::npos) << refused.why;
  EXPECT_NE(refused.why.find("its own certificate is not valid"), std::string::npos);
  EXPECT_EQ(keeper->on_welcome(peer(), today - Days(2)).kind, Kind::keep)
      << "before the floor: one of both is wrong; the host stays reachable, nothing is set";
  EXPECT_EQ(trust(), "bounded");
  EXPECT_EQ(sets, 0);
  EXPECT_EQ(stored_floor(), WallTime{});
}

TEST_F(ClockKeeperTest, AStepWhileAPathFailsByDatesIsNoticedWithinSeconds) {
  config.clock_trust = Config::Tunnel::ClockTrust::strict;
  make();
  keeper->watch();
  wall = today;
  run_until([this] { return changes == 1; });
  EXPECT_EQ(keeper->problem(), "");
}

}  // namespace
}  // namespace edge::uplink
