edge_test(contract_nft contract/nft edge_netmodel_io)
