# render, plan and apply together, on the real kernel.
edge_test(contract_plan contract/plan edge_netmodel_io edge_fake_kernel)
if(TARGET contract_plan)
  target_sources(contract_plan PRIVATE ${CMAKE_SOURCE_DIR}/tests/contract/kernel/own_namespace.cpp)
  target_compile_definitions(contract_plan PRIVATE EDGE_GOLDEN_DIR="${CMAKE_SOURCE_DIR}/tests/golden")
endif()
