# Discrete-event simulations: the production engines under a virtual clock, links and seeded faults.
edge_bench(sim_session sim/session edge_tunnel_core)
