edge_test(unit_uplinkctl unit/uplinkctl edge_uplink_ctl)
