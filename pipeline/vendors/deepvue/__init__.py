"""Deepvue identity checks: a wallet, and nothing but its balance."""

from pipeline.vendors.deepvue.client import VENDOR

__all__ = ["VENDOR"]
