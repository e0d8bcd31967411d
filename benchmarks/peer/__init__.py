"""Drawdown compared with dlt and dbt over the same landed answers: `python -m benchmarks.peer`."""
