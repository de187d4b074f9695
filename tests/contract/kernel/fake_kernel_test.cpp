// What only the fake offers: failures on demand.
#include "tests/fake/fake_kernel.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

TEST(FakeKernelTest, NthApplyFailsWithTheErrnoAndDoesNothing) {
  FakeKernel kernel;
  kernel.fail_apply(2, EBUSY);
  ASSERT_TRUE(kernel.apply(CreateLink{bridge_link("br0", "02:00:00:00:00:01")}));
  const auto done = kernel.apply(CreateLink{bridge_link("br1", "02:00:00:00:00:02")});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().os_errno, EBUSY);
  EXPECT_EQ(done.error().code, Errc::conflict);
  EXPECT_EQ(kernel.state().find_link("br1"), nullptr);
  EXPECT_TRUE(kernel.apply(CreateLink{bridge_link("br1", "02:00:00:00:00:02")}));
  EXPECT_EQ(kernel.writes(), 3U);
  EXPECT_EQ(kernel.applied().size(), 2U);
}

TEST(FakeKernelTest, NthDumpFailsAndTheNextWorks) {
  FakeKernel kernel;
  kernel.fail_dump(1, ENOBUFS);
  EXPECT_EQ(kernel.dump({}).error().os_errno, ENOBUFS);
  EXPECT_TRUE(kernel.dump({}));
}

TEST(FakeKernelTest, WorldMayChangeRightBeforeAnOperation) {
  FakeKernel kernel;
  kernel.plug_adapter("eth0", mac("02:00:00:00:00:01"));
  kernel.before_apply = [&](const Operation&) {
    if (kernel.state().find_link("eth0") != nullptr) { kernel.remove_link("eth0"); }
  };
  const auto done = kernel.apply(AddAddress{own_address("eth0", "10.0.0.1/24")});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::not_found);
}

TEST(FakeKernelTest, NftTableIsKeptAsCommitted) {
  FakeKernel kernel;
  EXPECT_EQ(kernel.dump_nft().value(), std::optional<NftState>());
  NftState state;
  state.nat_networks.push_back({.bridge = "n-default", .subnet = prefix("10.200.0.0/24")});
  ASSERT_TRUE(kernel.apply(CommitNft{state}));
  EXPECT_EQ(kernel.dump_nft().value(), std::optional(state));
  ASSERT_TRUE(kernel.apply(DeleteNft{}));
  EXPECT_EQ(kernel.dump_nft().value(), std::optional<NftState>());
}

}  // namespace
}  // namespace edge::netmodel
