"""Deepvue identity checks: a wallet with a balance only."""

from pipeline.vendors.deepvue.client import VENDOR

__all__ = ["VENDOR"]
