edge_fuzz(fuzz_hook fuzz_hook.cpp edge_dhcp_core)
