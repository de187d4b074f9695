edge_test(unit_tunnel unit/tunnel edge_tunnel_core)
