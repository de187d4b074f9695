# The load generator: its parts are also in contract_console.
file(GLOB swarm_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/bench/swarm/*.cpp)
file(GLOB path_engine CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/uplink/core/path_*.cpp)  # Of all the daemon's core, it dials.
list(APPEND swarm_sources ${path_engine} ${CMAKE_SOURCE_DIR}/tests/unit/tunnel_io/test_pki.cpp)
edge_bench(bench_console bench/console edge_console)
edge_test(contract_console contract/console edge_console)
foreach(target bench_console contract_console)
  if(TARGET ${target})
    target_sources(${target} PRIVATE ${swarm_sources})
    edge_io(${target})
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
    add_dependencies(${target} uplink-console)
  endif()
endforeach()
