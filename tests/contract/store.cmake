edge_test(contract_store contract/store edge_store_io)
