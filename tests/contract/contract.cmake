edge_test(contract_kernel contract/kernel edge_netmodel_io edge_fake_kernel)
if(TARGET contract_kernel)
  edge_io(contract_kernel)
endif()

# For the VM only (tests/run vm): this machine's kernel may lack what it demands.
if(NOT EDGE_FUZZ)
  add_executable(vm_contract_kernel
    contract/kernel_vm/on_stock_kernel.cpp contract/kernel_vm/stock_kernel_test.cpp
    contract/kernel/bond_contract_test.cpp
    contract/kernel/vlan_contract_test.cpp contract/kernel/world.cpp contract/kernel/own_namespace.cpp)
  target_link_libraries(vm_contract_kernel PRIVATE edge_flags edge_netmodel_io edge_fake_kernel
    GTest::gtest_main GTest::gmock)
  edge_io(vm_contract_kernel)
endif()
