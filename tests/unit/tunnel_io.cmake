edge_test(unit_tunnel_io unit/tunnel_io edge_tunnel_io)
if(TARGET unit_tunnel_io)
  edge_io(unit_tunnel_io)
endif()
