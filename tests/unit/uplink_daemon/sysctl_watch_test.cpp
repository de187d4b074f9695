// A sysctl that somebody else has set is noticed, however many there are; nothing else is.
#include "uplink/daemon/sysctl_watch.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/unit/uplink_daemon/life.hpp"

namespace edge::uplink {
namespace {

using netmodel::Sysctl;

class SysctlWatchTest : public testing::Test {
 protected:
  SysctlWatchTest() { set("net/ipv4/ip_forward", "1"); }
  void set(const std::string& path, const std::string& value) {
    EXPECT_TRUE(kernel_.apply(netmodel::SetSysctl{{path, value}}).has_value()) << path;
  }
  /// As a turn leaves it.
  void wants(const std::string& path, const std::string& value) {
    set(path, value);
    wanted_.push_back({path, value});
  }
  /// The first thing that is noticed.
  std::string noticed() {
    watch_.expect(wanted_);
    while (noticed_.empty() && io_.run_one_for(std::chrono::seconds(10)) > 0) {}
    return std::exchange(noticed_, {});
  }

  boost::asio::io_context io_{1};
  netmodel::FakeKernel kernel_;
  std::vector<Sysctl> wanted_{{"net/ipv4/ip_forward", "1"}};

 private:
  static KernelBox box(netmodel::FakeKernel& kernel) {
    KernelBox out;
    out.kernel = std::make_unique<test::BorrowedKernel>(kernel);
    return out;
  }
  std::string noticed_;
  KernelWorker worker_{io_, box(kernel_)};
  SysctlWatch watch_{io_, worker_,
                     [this](const Sysctl& seen) { noticed_ = seen.path + "=" + seen.value; },
                     std::chrono::milliseconds(1)};
};

TEST_F(SysctlWatchTest, OneThatSomebodyElseSetIsNoticed) {
  set("net/ipv4/ip_forward", "0");
  EXPECT_EQ(noticed(), "net/ipv4/ip_forward=0");
}

TEST_F(SysctlWatchTest, TheLastOfMoreThanALookTakesIsNoticedAndNothingElse) {
  for (std::size_t i = 0; i < 2 * SysctlWatch::links_per_look + 1; ++i) {
    netmodel::Link link{.name = fmt::format("br{}", i), .kind = netmodel::LinkKind::bridge};
    kernel_.add_foreign_link(link);
    wants(fmt::format("net/ipv4/conf/{}/rp_filter", link.name), "2");
  }
  wanted_.push_back({"net/ipv4/conf/gone/rp_filter", "2"});
  set(wanted_[wanted_.size() - 2].path, "1");
  EXPECT_EQ(noticed(), wanted_[wanted_.size() - 2].path + "=1");
}

}  // namespace
}  // namespace edge::uplink
