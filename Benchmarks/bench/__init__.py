"""Haechi beside its peers and the machine's limit: see Benchmarks/README.md."""
