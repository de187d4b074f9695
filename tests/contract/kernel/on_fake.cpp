// The part of the contract that needs a stock kernel, on the fake; vm_contract_kernel runs it on
// the real one.
#include "tests/contract/kernel/world.hpp"

namespace edge::netmodel {
namespace {

INSTANTIATE_TEST_SUITE_P(On, StockKernelContract, testing::Values("fake"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace edge::netmodel
