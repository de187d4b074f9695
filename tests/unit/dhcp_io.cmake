edge_test(unit_dhcp_io unit/dhcp_io edge_dhcp_io)
if(TARGET unit_dhcp_io)
  edge_io(unit_dhcp_io)
endif()
