edge_bench(bench_links bench/links edge_netmodel_io)
# For the VM: this machine's kernel may lack what it measures.
if(NOT EDGE_FUZZ)
  add_executable(vm_bench_vlan bench/links_vm/main.cpp bench/links/figures.cpp
    bench/links/raw_netlink.cpp)
  target_link_libraries(vm_bench_vlan PRIVATE edge_flags edge_netmodel_io)
endif()
