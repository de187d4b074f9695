edge_test(unit_uplink_io unit/uplink_io edge_uplink_io)
if(TARGET unit_uplink_io)
  target_precompile_headers(unit_uplink_io REUSE_FROM edge_boost)
endif()
