edge_test(unit_store unit/store edge_store_io edge_boost)
