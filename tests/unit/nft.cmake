edge_test(unit_nft unit/nft edge_netmodel_core)
