# Discrete-event simulations: the production engines under a virtual clock, links and seeded faults.
edge_bench(sim_session sim/session edge_tunnel_core)
if(TARGET sim_session AND EDGE_SANITIZE)
  target_compile_options(sim_session PRIVATE -O2)
endif()
