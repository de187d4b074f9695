// The part of the contract that needs bonding, 802.1Q and vlan_filtering, on a kernel that has
// them.
#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

INSTANTIATE_TEST_SUITE_P(On, StockKernelContract, testing::Values("fake", "real"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace edge::netmodel
