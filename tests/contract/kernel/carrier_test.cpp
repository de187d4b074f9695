// Carrier reading and polling against real veth cables.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <fstream>
#include <vector>

#include "base/unique_fd.hpp"
#include "netmodel/io/carrier_poller.hpp"
#include "netmodel/io/rtnetlink_kernel.hpp"
#include "tests/contract/kernel/own_namespace.hpp"

namespace edge::netmodel {
namespace {

using namespace std::chrono_literals;

IfIndex index_of(const std::string& name) {
  const auto kernel = RtnetlinkKernel::open(nullptr);
  const auto state = (*kernel)->dump({});
  const ObservedLink* link = state->find_link(name);
  EXPECT_NE(link, nullptr) << name;
  return link == nullptr ? IfIndex{0} : link->index;
}

/// eth0 with its cable's other end x-eth0, both up.
void plug(const std::string& name) {
  ip("link add " + name + " type veth peer name x-" + name);
  ip("link set x-" + name + " up");
  ip("link set " + name + " up");
}

/// Both ways of reading must say the same.
class CarrierReaderTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    enter_new_namespace();
    plug("eth0");
    auto opened = SysfsNet::open();
    ASSERT_TRUE(opened) << opened.error().what;
    sysfs.emplace(std::move(*opened));
    auto made = CarrierReader::open(by_sysfs() ? &*sysfs : nullptr, "eth0", index_of("eth0"));
    ASSERT_TRUE(made) << made.error().what;
    reader.emplace(std::move(*made));
    ASSERT_EQ(reader->uses_sysfs(), by_sysfs());
  }
  bool by_sysfs() const { return std::string_view(GetParam()) == "sysfs"; }
  CarrierReading read() {
    const auto reading = reader->read();
    EXPECT_TRUE(reading) << reading.error().what;
    return reading.value_or(CarrierReading{});
  }
  std::optional<SysfsNet> sysfs;
  std::optional<CarrierReader> reader;
};

INSTANTIATE_TEST_SUITE_P(By, CarrierReaderTest, testing::Values("sysfs", "netlink"),
                         [](const auto& one) { return std::string(one.param); });

TEST_P(CarrierReaderTest, FollowsTheCable) {
  const CarrierReading before = read();
  EXPECT_TRUE(before.carrier && before.admin_up);
  ip("link set x-eth0 down");
  EXPECT_EQ(read(), (CarrierReading{
                        .admin_up = true, .carrier = false, .down_count = before.down_count + 1}));
  ip("link set x-eth0 up");
  EXPECT_EQ(read(), (CarrierReading{
                        .admin_up = true, .carrier = true, .down_count = before.down_count + 1}));
}

TEST_P(CarrierReaderTest, LinkThatIsAdminDownHasNoCarrierAndGetsItBack) {
  ip("link set eth0 down");
  EXPECT_FALSE(read().carrier);
  EXPECT_FALSE(read().admin_up);
  ip("link set eth0 up");
  EXPECT_TRUE(read().carrier);
}

TEST_P(CarrierReaderTest, OpenedWhileTheLinkIsDownItStillKnowsTheTruthLater) {
  ip("link set x-eth0 down");
  ip("link set eth0 down");
  auto made = CarrierReader::open(by_sysfs() ? &*sysfs : nullptr, "eth0", index_of("eth0"));
  ASSERT_TRUE(made);
  reader.emplace(std::move(*made));
  ip("link set eth0 up");
  EXPECT_FALSE(read().carrier);
  ip("link set x-eth0 up");
  EXPECT_TRUE(read().carrier);
}

TEST_P(CarrierReaderTest, ShortPullShowsInTheCount) {
  const std::uint32_t before = read().down_count;
  ip("link set x-eth0 down");
  ip("link set x-eth0 up");
  EXPECT_TRUE(read().carrier);
  EXPECT_EQ(read().down_count, before + 1);
}

TEST_P(CarrierReaderTest, SurvivesARenameAndEndsWithTheLink) {
  ip("link set eth0 down");  // Kernels before 6.2 rename nothing that is up.
  ip("link set eth0 name lan0");
  ip("link set lan0 up");
  EXPECT_TRUE(read().carrier);
  ip("link del lan0");
  const auto reading = reader->read();
  ASSERT_FALSE(reading);
  EXPECT_EQ(reading.error().code, Errc::not_found);
}

TEST_P(CarrierReaderTest, AbsentLinkIsNotFound) {
  const auto made = CarrierReader::open(by_sysfs() ? &*sysfs : nullptr, "absent", IfIndex{4711});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::not_found);
}

TEST(SysfsNetTest, ShowsTheCallersNamespaceWhateverIsMountedAtSys) {
  enter_new_namespace();
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);  // /sys still shows the namespace before.
  plug("eth7");
  const auto sysfs = SysfsNet::open();
  ASSERT_TRUE(sysfs);
  EXPECT_TRUE(sysfs->is_own_mount());
  const auto reader = CarrierReader::open(&*sysfs, "eth7", index_of("eth7"));
  ASSERT_TRUE(reader) << reader.error().what;
  EXPECT_TRUE(reader->uses_sysfs());
}

TEST(SysfsNetTest, LinkOfAnotherNamespaceIsRecognisedByItsIndex) {
  enter_new_namespace();
  plug("eth0");
  const auto sysfs_of_before = SysfsNet::open();
  ASSERT_TRUE(sysfs_of_before);
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  ip("link add eth0 index 50 type veth peer name x-eth0");
  auto reader = CarrierReader::open(&*sysfs_of_before, "eth0", IfIndex{50});
  ASSERT_TRUE(reader) << reader.error().what;
  EXPECT_FALSE(reader->uses_sysfs()) << "netlink answers instead";
  EXPECT_FALSE(reader->read().value().admin_up);
}

class CarrierPollerTest : public testing::Test {
 protected:
  void SetUp() override {
    enter_new_namespace();
    plug("eth0");
    poller.emplace(loop.get_executor(),
                   [this](const CarrierChange& change) { changes.push_back(change); });
  }
  bool next_change(std::chrono::milliseconds within = 5000ms) {
    const std::size_t before = changes.size();
    const auto deadline = std::chrono::steady_clock::now() + within;
    while (changes.size() == before && std::chrono::steady_clock::now() < deadline) {
      loop.run_one_until(deadline);
    }
    return changes.size() > before;
  }
  boost::asio::io_context loop;
  std::vector<CarrierChange> changes;
  std::optional<CarrierPoller> poller;
};

TEST_F(CarrierPollerTest, ReportsLossAndReturn) {
  const auto first = poller->watch("eth0", index_of("eth0"), 5ms);
  ASSERT_TRUE(first) << first.error().what;
  EXPECT_TRUE(first->carrier);
  ip("link set x-eth0 down");
  ASSERT_TRUE(next_change());
  EXPECT_EQ(changes.back().link, "eth0");
  EXPECT_FALSE(changes.back().carrier);
  EXPECT_TRUE(changes.back().admin_up);
  ip("link set x-eth0 up");
  ASSERT_TRUE(next_change());
  EXPECT_TRUE(changes.back().carrier);
  EXPECT_FALSE(changes.back().short_pull);
}

TEST_F(CarrierPollerTest, ReportsAPullThatWasOverBeforeItLooked) {
  ASSERT_TRUE(poller->watch("eth0", index_of("eth0"), 5ms));
  ip("link set x-eth0 down");
  ip("link set x-eth0 up");
  ASSERT_TRUE(next_change());
  EXPECT_TRUE(changes.back().carrier);
  EXPECT_TRUE(changes.back().short_pull);
}

TEST_F(CarrierPollerTest, LinkThatIsGoneIsReportedOnceAndForgotten) {
  plug("eth1");
  ASSERT_TRUE(poller->watch("eth0", index_of("eth0"), 5ms));
  ASSERT_TRUE(poller->watch("eth1", index_of("eth1"), 5ms));
  ip("link del eth0");
  ASSERT_TRUE(next_change());
  EXPECT_TRUE(changes.back().gone);
  EXPECT_EQ(changes.back().link, "eth0");
  ip("link set x-eth1 down");
  ASSERT_TRUE(next_change());
  EXPECT_EQ(changes.back().link, "eth1");
}

std::uint32_t sysfs_number(const std::string& attribute) {
  std::uint32_t value = 0;
  std::ifstream("/sys/class/net/eth0/" + attribute) >> value;
  return value;
}

/// Goal: a driver that changes its carrier without counting is believed as soon as netlink tells.
/// Method: an event that says "lost" with the counters as they are, and later "back".
TEST_F(CarrierPollerTest, EventFromNetlinkCorrectsTheReaderAndReportsAtOnce) {
  const IfIndex index = index_of("eth0");
  ASSERT_TRUE(poller->watch("eth0", index, 1h));
  LinkEvent event{.name = "eth0", .index = index, .admin_up = true, .carrier = false};
  event.carrier_up_count = sysfs_number("carrier_up_count");
  event.carrier_down_count = sysfs_number("carrier_down_count");
  poller->on_link_event(event);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_FALSE(changes.back().carrier);
  event.carrier = true;
  poller->on_link_event(event);
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_TRUE(changes.back().carrier);
}

TEST_F(CarrierPollerTest, PollNowDoesNotWaitForTheInterval) {
  ASSERT_TRUE(poller->watch("eth0", index_of("eth0"), 1h));
  ip("link set x-eth0 down");
  poller->poll_now();
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_FALSE(changes.back().carrier);
}

TEST_F(CarrierPollerTest, ReadTellsTheTruthNowAndTheChangeIsStillReported) {
  ASSERT_TRUE(poller->watch("eth0", index_of("eth0"), 1h));
  EXPECT_FALSE(poller->read("eth9"));
  ip("link set x-eth0 down");
  ASSERT_TRUE(poller->read("eth0"));
  EXPECT_FALSE(poller->read("eth0")->carrier);
  EXPECT_TRUE(changes.empty());
  poller->poll_now();
  EXPECT_EQ(changes.size(), 1U);
}

TEST_F(CarrierPollerTest, ForgottenLinkIsSilent) {
  plug("eth1");
  ASSERT_TRUE(poller->watch("eth0", index_of("eth0"), 5ms));
  ASSERT_TRUE(poller->watch("eth1", index_of("eth1"), 5ms));
  poller->forget("eth0");
  ip("link set x-eth0 down");
  ip("link set x-eth1 down");
  ASSERT_TRUE(next_change());
  EXPECT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes.back().link, "eth1");
}

/// Goal: not to share netlink's blindness. The kernel limits link events of a physical NIC (ifindex
/// == iflink) to one per second: the second cable pulled right after the first is reported a second
/// late. Method: veth pairs with equal indexes in two namespaces, which the kernel takes for
/// physical.
TEST_F(CarrierPollerTest, SecondCablePulledRightAfterTheFirstIsSeenWithoutLinkwatchsSecond) {
  const UniqueFd here(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  const UniqueFd there(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::setns(here.get(), CLONE_NEWNET), 0);
  const std::string path =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(there.get());
  for (const std::string n : {"50", "51"}) {
    ip("link add nic" + n + " index " + n + " type veth peer name x" + n + " index " + n +
       " netns " + path);
    ip("link set nic" + n + " up");
    ASSERT_EQ(std::system(("nsenter --net=" + path + " ip link set x" + n + " up").c_str()), 0);
    ASSERT_TRUE(poller->watch("nic" + n, IfIndex{static_cast<std::uint32_t>(std::stoul(n))}, 10ms));
  }
  ASSERT_EQ(std::system(("nsenter --net=" + path + " ip link set x50 down").c_str()), 0);
  ASSERT_TRUE(next_change(800ms));
  ASSERT_EQ(std::system(("nsenter --net=" + path + " ip link set x51 down").c_str()), 0);
  ASSERT_TRUE(next_change(800ms));
  EXPECT_EQ(changes.back().link, "nic51");
  EXPECT_FALSE(changes.back().carrier);
}

}  // namespace
}  // namespace edge::netmodel
