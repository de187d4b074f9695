edge_test(unit_dhcp unit/dhcp edge_dhcp_core)
