edge_fuzz(fuzz_frame fuzz_frame.cpp edge_tunnel_core)
