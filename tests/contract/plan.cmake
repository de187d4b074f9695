# render, plan and apply together, on the real kernel.
edge_test(contract_plan contract/plan edge_netmodel_io edge_fake_kernel)
if(TARGET contract_plan)
  target_sources(contract_plan PRIVATE ${CMAKE_SOURCE_DIR}/tests/contract/kernel/own_namespace.cpp)
  target_compile_definitions(contract_plan PRIVATE EDGE_GOLDEN_DIR="${CMAKE_SOURCE_DIR}/tests/golden")
endif()

# The same and what needs bonding and VLANs, for the VM (tests/run vm).
if(NOT EDGE_FUZZ)
  add_executable(vm_contract_plan contract/plan_vm/groups_test.cpp contract/plan_vm/walk_test.cpp
    contract/plan/plan_contract_test.cpp contract/kernel/own_namespace.cpp)
  target_link_libraries(vm_contract_plan PRIVATE edge_flags edge_netmodel_io edge_fake_kernel
    GTest::gtest_main GTest::gmock)
  target_compile_definitions(vm_contract_plan PRIVATE
    EDGE_GOLDEN_DIR="${CMAKE_SOURCE_DIR}/tests/golden")
endif()
