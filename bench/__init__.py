"""What the gateway costs: `python -m bench` measures it and prints figures. docs/benchmarks.md says how to read them."""
