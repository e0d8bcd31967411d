"""Benchmarks of speed and growth against their goals: `python -m benchmarks`."""
