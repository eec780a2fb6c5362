"""Benchmarks: each prints both sides, ours and the reference, from one run."""
