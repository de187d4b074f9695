# Discrete-event simulations: the production engines under a virtual clock, links and seeded faults.
edge_bench(sim_session sim/session edge_tunnel_core)
edge_bench(sim_paths sim/paths edge_uplink_core)
if(TARGET sim_session AND EDGE_SANITIZE)
  target_compile_options(sim_session PRIVATE -O2)
  target_compile_options(sim_paths PRIVATE -O2)
endif()
