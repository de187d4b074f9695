edge_bench(bench_model bench/model edge_fake_kernel)
