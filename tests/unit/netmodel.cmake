edge_test(unit_netmodel unit/netmodel edge_netmodel_core edge_fake_kernel)
if(TARGET unit_netmodel)
  target_compile_definitions(unit_netmodel PRIVATE EDGE_GOLDEN_DIR="${CMAKE_SOURCE_DIR}/tests/golden")
endif()
