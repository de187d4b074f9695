// All points: a renewal is cut off at every call with which it changes the disk, in turn. After
// each there is an identity that this host can use, and it is the old one or the new one.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "tests/unit/store_points/syscall_points.hpp"
#include "tests/unit/tunnel_io/test_pki.hpp"
#include "tunnel/io/identity.hpp"
#include "uplink/daemon/identity_files.hpp"

namespace edge::uplink {
namespace {

namespace fs = std::filesystem;
using store::Strike;
using tunnel::testing_support::pki_now;
using tunnel::testing_support::TestCa;

constexpr std::array strikes{Strike::die,       Strike::die_torn,  Strike::io_error,
                             Strike::io_errors, Strike::disk_full, Strike::disk_stays_full};
constexpr int points_max = 200;

class IdentityPointsTest : public testing::Test {
 protected:
  IdentityPointsTest() {
    const std::string base = fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path();
    std::string pattern = base + "/edge-identity-XXXXXX";
    top_ = ::mkdtemp(pattern.data());
    signer_ = std::move(*tunnel::IdentitySigner::create(ca_.pem(), ca_.key_pem(), ca_.pem(),
                                                        std::chrono::hours(24 * 90), "ca"));
    for (StoredIdentity& one : identities_) { one = fresh(); }
  }
  ~IdentityPointsTest() override {
    std::error_code ignored;
    fs::remove_all(top_, ignored);
  }
  StoredIdentity fresh() const {
    const auto request = tunnel::make_identity_request("hv-01").value();
    const auto made = signer_->sign("hv-01", request.csr_pem, pki_now).value();
    return {.certificate_pem = made.certificate_pem,
            .key_pem = request.key_pem,
            .ca_pem = signer_->bundle_pem(),
            .generation = signer_->generation(),
            .replaces = "f1"};
  }
  std::string folder() const { return top_ + "/identity"; }

  /// What a start would show, from the slots alone: its number among identities_, -1: none.
  int shown() const {
    const IdentityFiles files(folder());
    std::map<IdentitySource, IdentitySight> seen;
    std::map<IdentitySource, int> numbers;
    for (const IdentitySource slot : {IdentitySource::slot_a, IdentitySource::slot_b}) {
      const auto read = files.read(slot);
      if (!read) { continue; }
      EXPECT_TRUE(tunnel::judge_identity(material_of(*read, "x"), "hv-01"));
      const auto found = std::ranges::find(identities_, *read);
      EXPECT_NE(found, identities_.end()) << "a mixture";
      numbers[slot] = static_cast<int>(found - identities_.begin());
      seen[slot] = {.in_date = true, .fingerprint = "s", .replaces = read->replaces};
    }
    const auto order = identity_order(seen, files.current());
    return order.empty() ? -1 : numbers.at(order.front());
  }

  /// Renewal number `to`, as the keeper does it: the spare slot, then the pointer.
  int renew(int to, int& progress) const {
    const IdentityFiles files(folder());
    const IdentitySource slot = spare_of(files.current(), files.current());
    if (!files.write(slot, identities_[static_cast<std::size_t>(to)])) { return 1; }
    progress = 1;
    if (!files.set_current(slot)) { return 2; }
    progress = 2;
    return 0;
  }

  TestCa ca_{"ca"};
  std::unique_ptr<const tunnel::IdentitySigner> signer_;
  std::array<StoredIdentity, 3> identities_;
  std::string top_;
};

TEST_F(IdentityPointsTest, AfterEachPointOfARenewalTheOldOneOrTheNewOneIsShown) {
  int ignored = 0;
  ASSERT_EQ(renew(0, ignored), 0);
  ASSERT_EQ(renew(1, ignored), 0);
  ASSERT_EQ(shown(), 1);
  const std::string kept = top_ + "/kept";
  fs::copy(folder(), kept, fs::copy_options::recursive);
  for (const Strike strike : strikes) {
    int struck = 0;
    std::map<int, int> ends;
    for (int nth = 1; nth <= points_max; ++nth) {
      SCOPED_TRACE(fmt::format("{} at point {}", name_of(strike), nth));
      fs::remove_all(folder());
      fs::copy(kept, folder(), fs::copy_options::recursive);
      const auto out = store::run_struck(folder(), nth, strike,
                                         [&](int& progress) { return renew(2, progress); });
      if (out.points < nth) { break; }
      struck += out.fired ? 1 : 0;
      const int now = shown();
      EXPECT_TRUE(now == 1 || now == 2) << now;
      if (out.progress == 2) { EXPECT_EQ(now, 2) << "what was said to be current"; }
      ++ends[now];
      EXPECT_EQ(renew(2, ignored), 0) << "it does not go on from there";
      EXPECT_EQ(shown(), 2);
      if (HasFailure()) { return; }
    }
    EXPECT_GT(struck, kills(strike) ? 8 : 1);
    fmt::print("identity points: {}: {} struck; old {}, new {}\n", name_of(strike), struck, ends[1],
               ends[2]);
  }
}

TEST_F(IdentityPointsTest,
       AfterEachPointOfTheFirstRenewalTheFilesOfTheOperatorGoBeforeWhatIsUnsure) {
  for (const Strike strike : {Strike::die, Strike::io_error, Strike::disk_stays_full}) {
    for (int nth = 1; nth <= points_max; ++nth) {
      SCOPED_TRACE(fmt::format("{} at point {}", name_of(strike), nth));
      fs::remove_all(folder());
      fs::create_directory(folder());
      const auto out = store::run_struck(folder(), nth, strike,
                                         [&](int& progress) { return renew(0, progress); });
      if (out.points < nth) { break; }
      const IdentityFiles files(folder());
      if (files.current()) { EXPECT_EQ(files.read(*files.current()), identities_[0]); }
      int ignored = 0;
      EXPECT_EQ(renew(0, ignored), 0);
      EXPECT_EQ(shown(), 0);
      if (HasFailure()) { return; }
    }
  }
}

TEST_F(IdentityPointsTest, NobodyElseMayReadThem) {
  int ignored = 0;
  ASSERT_EQ(renew(0, ignored), 0);
  struct stat facts{};
  ASSERT_EQ(::stat(folder().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0700U);
  for (const char* name : {"a.json", "current"}) {
    ASSERT_EQ(::stat((folder() + "/" + name).c_str(), &facts), 0);
    EXPECT_EQ(facts.st_mode & 0777U, 0600U) << name;
  }
}

TEST_F(IdentityPointsTest, WhatCannotBeReadIsNoIdentityAndSaysWhy) {
  const IdentityFiles files(folder());
  EXPECT_EQ(files.read(IdentitySource::slot_a).error().code, Errc::not_found);
  EXPECT_FALSE(files.current());
  int ignored = 0;
  ASSERT_EQ(renew(0, ignored), 0);
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("{\"certificate\":\"x\"}"),
        std::string(300'000, '[')}) {
    std::FILE* file = std::fopen(files.path_of(IdentitySource::slot_a).c_str(), "we");
    std::fwrite(text.data(), 1, text.size(), file);
    std::fclose(file);
    EXPECT_FALSE(files.read(IdentitySource::slot_a)) << text.size();
  }
}

}  // namespace
}  // namespace edge::uplink
