"""Measurements: `python -m tests.benchmarks NAME`. Nothing here is asserted; machines are noisy."""
