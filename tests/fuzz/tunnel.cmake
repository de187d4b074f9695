edge_fuzz(fuzz_frame fuzz_frame.cpp edge_tunnel_core)
edge_fuzz(fuzz_session fuzz_session.cpp edge_tunnel_core)
edge_fuzz(fuzz_stream fuzz_stream.cpp edge_tunnel_core)
edge_fuzz(fuzz_http fuzz_http.cpp edge_tunnel_core)
