edge_fuzz(fuzz_netlink fuzz_netlink.cpp edge_netmodel_io)
