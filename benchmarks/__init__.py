"""What Drawdown promises about speed and growth, measured: `python -m benchmarks`."""
