edge_bench(bench_nft bench/nft edge_netmodel_io)
