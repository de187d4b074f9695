edge_test(contract_kernel contract/kernel edge_netmodel_io edge_fake_kernel)
if(TARGET contract_kernel)
  edge_io(contract_kernel)
endif()
