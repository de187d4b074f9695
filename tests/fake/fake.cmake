# FakeKernel: for tests of whoever uses the Kernel port (netmodel, uplink).
if(NOT EDGE_FUZZ)
  add_library(edge_fake_kernel STATIC ${CMAKE_SOURCE_DIR}/tests/fake/fake_kernel.cpp
    ${CMAKE_SOURCE_DIR}/tests/fake/fake_kernel_ip.cpp
    ${CMAKE_SOURCE_DIR}/tests/fake/fake_kernel_bond.cpp
    ${CMAKE_SOURCE_DIR}/tests/fake/fake_kernel_vlan.cpp)
  target_link_libraries(edge_fake_kernel PUBLIC edge_netmodel_core)
endif()
