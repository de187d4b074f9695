edge_bench(bench_links bench/links edge_netmodel_io)
# glibc's net/if.h there, the kernel's linux/if.h in the others.
set_source_files_properties(bench/links/raw_netlink.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
# For the VM: this machine's kernel may lack what it measures.
if(NOT EDGE_FUZZ)
  add_executable(vm_bench_vlan bench/links_vm/main.cpp bench/links/figures.cpp
    bench/links/raw_netlink.cpp)
  target_link_libraries(vm_bench_vlan PRIVATE edge_flags edge_netmodel_io)
  if(EDGE_SANITIZE)
    set_target_properties(vm_bench_vlan PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
endif()
