"""Benchmark of the gateway: `python -m bench` measures it and prints a table, which docs/benchmarks.md explains."""
