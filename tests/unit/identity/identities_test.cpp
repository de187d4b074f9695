// Which identity is shown, what a refusal does, and a renewal as the daemon runs it.
#include "uplink/daemon/identities.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "tests/unit/store/temp_folder.hpp"
#include "tests/unit/tunnel_io/test_pki.hpp"
#include "uplink/daemon/clock.hpp"
#include "uplink/daemon/identity_keeper.hpp"

namespace edge::uplink {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using enum IdentitySource;
using testing::HasSubstr;
using tunnel::testing_support::Days;
using tunnel::testing_support::TestCa;

class IdentitiesTest : public testing::Test {
 protected:
  IdentitiesTest() {
    config.console.ca = folder.file("ca.pem");
    config.console.certificate = folder.file("host.pem");
    config.console.key = folder.file("host.key");
    put(config.console.ca, ca.pem());
    configure("hv-01", Days(-1), Days(20));
    store.emplace(io, store::Store::open(folder.file("uplink.db"), wall_now()).value());
    events.emplace(*store);
    events->listen([this](const store::EventRecord& event) { told.push_back(event.kind); });
    signer = std::move(
        *tunnel::IdentitySigner::create(ca.pem(), ca.key_pem(), ca.pem(), 24h * 90, "ca"));
    options.server_name = "console.test";
    life();
  }
  ~IdentitiesTest() override { store.reset(); }

  static void put(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  }
  void configure(const std::string& host, Days from, Days to) {
    const auto pair = ca.issue({.common_name = host,
                                .alt_names = "URI:urn:gallium:host:" + host,
                                .extended_usage = "clientAuth",
                                .not_before = wall_now() + from,
                                .not_after = wall_now() + to});
    put(config.console.certificate, pair.certificate);
    put(config.console.key, pair.key);
  }
  /// A new start of the daemon.
  void life() {
    keeper.reset();
    identities.emplace(config, folder.file("identity"), "hv-01", *events);
    keeper.emplace(io, *identities, *store, *events,
                   IdentityKeeper::Hooks{.send = [this](std::string_view text) -> Result<void> {
                                           sent.push_back(json::parse(text).as_object());
                                           return {};
                                         },
                                         .prove =
                                             [this](Identities::Context shown,
                                                    std::function<void(ProofOutcome)> done) {
                                               proving = std::move(shown);
                                               proved = std::move(done);
                                             },
                                         .online = [this] { return online; },
                                         .changed = [] {}},
                   7);
    std::string problem;
    static_cast<void>(identities->context(options, problem));
    keeper->on_change();
    keeper->session_started();
  }
  const tunnel::TlsContext& shown() {
    std::string problem;
    const auto context = identities->context(options, problem);
    EXPECT_TRUE(context) << problem;
    return *context;
  }
  std::string source() const { return std::string(identities->view().at("source").as_string()); }
  std::string renewal() const {
    return std::string(keeper->view().at("renewal").at("state").as_string());
  }
  /// The Console orders a renewal.
  void order() {
    EXPECT_TRUE(keeper->take({{"type", "signer"},
                              {"generation", signer->generation()},
                              {"spread_s", 0},
                              {"now", true}}));
  }
  /// What a Console would answer to the last request.
  json::object answer() const {
    const json::object& request = sent.back();
    const auto made = signer->sign("hv-01", std::string(request.at("csr").as_string()), wall_now());
    return {{"type", "identity"},
            {"id", request.at("id")},
            {"certificate", made->certificate_pem},
            {"ca", signer->bundle_pem()},
            {"generation", signer->generation()}};
  }
  template <class Done>
  void run_until(Done&& done) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      io.restart();
      io.run_one_for(100ms);
    }
    ASSERT_TRUE(done());
  }
  void renew() {
    const std::size_t before = sent.size();
    order();
    run_until([&] { return sent.size() > before; });
    EXPECT_TRUE(keeper->take(answer()));
    run_until([&] { return proved != nullptr; });
    std::exchange(proved, nullptr)({.welcomed = true, .what = {}});
    run_until([&] { return renewal() == "rest"; });
  }
  bool heard(std::string_view kind) const { return std::ranges::find(told, kind) != told.end(); }

  boost::asio::io_context io;
  store::TempFolder folder;
  TestCa ca{"ca"};
  std::unique_ptr<const tunnel::IdentitySigner> signer;
  Config config;
  tunnel::TlsOptions options;
  std::optional<store::StoreWorker> store;
  std::optional<EventLog> events;
  std::vector<std::string> told;
  std::vector<json::object> sent;
  Identities::Context proving;
  std::function<void(ProofOutcome)> proved;
  bool online = true;
  std::optional<Identities> identities;
  std::optional<IdentityKeeper> keeper;
};

TEST_F(IdentitiesTest, ARenewalIsKeptProvedAndShownAndTheNextStartShowsIt) {
  EXPECT_EQ(source(), "uplink.toml");
  renew();
  EXPECT_EQ(source(), "slot a");
  EXPECT_EQ(&shown(), proving.get()) << "the very context that was proved";
  run_until([&] { return heard("identity.renewed"); });
  EXPECT_EQ(keeper->view().at("renewal").at("last").at("result"), "renewed");
  const std::string serial(identities->view().at("serial").as_string());
  life();
  EXPECT_EQ(source(), "slot a");
  EXPECT_EQ(identities->view().at("serial").as_string(), serial);
  renew();
  EXPECT_EQ(source(), "slot b") << "the one that was shown is kept";
  renew();
  EXPECT_EQ(source(), "slot a");
}

TEST_F(IdentitiesTest, UntilTheProofTheOldOneIsShownAlsoByTheNextStart) {
  order();
  ASSERT_TRUE(keeper->take(answer()));
  run_until([&] { return proved != nullptr; });
  EXPECT_EQ(renewal(), "proving");
  EXPECT_EQ(source(), "uplink.toml");
  life();
  EXPECT_EQ(source(), "uplink.toml");
  EXPECT_EQ(identities->view().at("others").as_array().size(), 1U) << "it is at hand";
}

TEST_F(IdentitiesTest, ARejectedProofLeavesEverythingAsItWas) {
  order();
  ASSERT_TRUE(keeper->take(answer()));
  run_until([&] { return proved != nullptr; });
  std::exchange(proved, nullptr)({.rejected = true, .what = "unknown CA"});
  EXPECT_EQ(source(), "uplink.toml");
  EXPECT_EQ(keeper->view().at("renewal").at("last").at("what"), "proving: unknown CA");
  run_until([&] { return heard("identity.not_renewed"); });
}

TEST_F(IdentitiesTest, WhatIsNotThisHostsIsNotEvenWritten) {
  order();
  json::object wrong = answer();
  const auto other = tunnel::make_identity_request("hv-01").value();
  wrong["certificate"] = signer->sign("hv-01", other.csr_pem, wall_now())->certificate_pem;
  ASSERT_TRUE(keeper->take(wrong));
  EXPECT_THAT(std::string(keeper->view().at("renewal").at("last").at("what").as_string()),
              HasSubstr("not that of the certificate"));
  EXPECT_FALSE(std::filesystem::exists(folder.file("identity/a.json")));
}

TEST_F(IdentitiesTest, AnswersThatNobodyAskedForAreNoIdentity) {
  order();
  json::object late = answer();
  late["id"] = "another";
  EXPECT_TRUE(keeper->take(late));
  EXPECT_EQ(renewal(), "asking");
  EXPECT_TRUE(keeper->take({{"type", "identity"}, {"id", 5}}));
  EXPECT_TRUE(keeper->take({{"type", "signer"}}));
  EXPECT_FALSE(keeper->take({{"type", "command"}}));
  EXPECT_FALSE(keeper->take({}));
  EXPECT_EQ(renewal(), "asking");
  EXPECT_TRUE(keeper->take(answer()));
  EXPECT_EQ(renewal(), "keeping");
  EXPECT_TRUE(keeper->take(answer())) << "said twice";
  run_until([&] { return proved != nullptr; });
}

TEST_F(IdentitiesTest, ARefusedOneMakesRoomForTheNextAndTheLastOneIsTold) {
  renew();
  renew();
  ASSERT_EQ(source(), "slot b");
  EXPECT_FALSE(identities->refused(shown(), "no"));
  EXPECT_EQ(source(), "slot a");
  EXPECT_FALSE(identities->refused(shown(), "no"));
  EXPECT_EQ(source(), "uplink.toml");
  EXPECT_TRUE(identities->refused(shown(), "no")) << "none is left";
  EXPECT_EQ(source(), "slot b") << "it begins again: a Console that was restored may know it";
  EXPECT_THAT(identities->problem(), HasSubstr("none of those"));
  EXPECT_TRUE(identities->refused(shown(), "no"));
  identities->welcomed(shown());
  EXPECT_EQ(identities->problem(), "");
  run_until([&] { return heard("identity.fallback"); });
}

TEST_F(IdentitiesTest, ASlotThatWorksInsteadOfTheCurrentOneIsTheCurrentOneFromThenOn) {
  renew();
  renew();
  static_cast<void>(identities->refused(shown(), "no"));
  ASSERT_EQ(source(), "slot a");
  identities->welcomed(shown());
  EXPECT_TRUE(identities->proven(shown()));
  keeper->on_change();
  run_until([&] { return identities->files().current() == slot_a; });
  run_until([&] { return !identities->unmarked(); });
}

TEST_F(IdentitiesTest, ADamagedSlotIsToldAndDoneWithout) {
  renew();
  renew();
  put(identities->files().path_of(slot_b), "{");
  life();
  EXPECT_EQ(source(), "slot a");
  EXPECT_THAT(identities->problem(), HasSubstr("identity slot b"));
  run_until([&] { return heard("identity.unusable"); });
  renew();
  EXPECT_EQ(source(), "slot b") << "written anew";
  EXPECT_EQ(identities->problem(), "");
}

TEST_F(IdentitiesTest, ASlotOfAnotherHostIsNoneOfOurs) {
  renew();
  keeper.reset();
  identities.emplace(config, folder.file("identity"), "hv-02", *events);
  EXPECT_EQ(shown().names().certificate, config.console.certificate);
}

TEST_F(IdentitiesTest, FilesThatAPersonReplacedWinAndUnreadableOnesDoNotHurt) {
  renew();
  configure("hv-01", Days(-2), Days(5));
  life();
  EXPECT_EQ(source(), "uplink.toml");
  renew();
  life();
  EXPECT_NE(source(), "uplink.toml") << "renewed since";
  put(config.console.key, "");
  life();
  EXPECT_NE(source(), "uplink.toml");
  EXPECT_THAT(identities->problem(), HasSubstr("identity uplink.toml"));
}

TEST_F(IdentitiesTest, WithoutAnyTheReasonIsThatOfTheFiles) {
  put(config.console.certificate, "x");
  life();
  std::string problem;
  EXPECT_FALSE(identities->context(options, problem));
  EXPECT_THAT(problem, HasSubstr("certificate file"));
  config.console.certificate.clear();
  life();
  EXPECT_FALSE(identities->context(options, problem));
  EXPECT_THAT(problem, HasSubstr("enrol this host"));
  configure("hv-01", Days(-1), Days(1));
}

TEST_F(IdentitiesTest, AnExpiredSlotDoesNotHideFilesThatAreInDate) {
  renew();
  options.wall_clock = [] { return wall_now() + Days(100); };  // The slot ends after 90.
  configure("hv-01", Days(-1), Days(200));
  life();
  EXPECT_EQ(source(), "uplink.toml");
}

}  // namespace
}  // namespace edge::uplink
