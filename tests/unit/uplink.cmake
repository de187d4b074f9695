edge_test(unit_uplink unit/uplink edge_uplink_core)
