edge_bench(bench_udp_reference bench/gap edge_base)
