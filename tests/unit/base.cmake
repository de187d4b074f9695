edge_test(unit_base unit/base edge_base)
