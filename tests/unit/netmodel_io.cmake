edge_test(unit_netmodel_io unit/netmodel_io edge_netmodel_io)
if(TARGET unit_netmodel_io)
  edge_io(unit_netmodel_io)
endif()
