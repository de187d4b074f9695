edge_bench(bench_store bench/store edge_store_io)
