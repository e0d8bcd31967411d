"""Readings kept by hand in a CSV file: for accounts without an API, and for history from before Drawdown."""

from pipeline.vendors.manual.client import VENDOR

__all__ = ["VENDOR"]
