"""Benchmarks at the size of a hospital: `make bench-large`."""
