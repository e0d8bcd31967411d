"""Hyperstack GPU cloud: a credit in dollars, and the threshold below which it warns."""

from pipeline.vendors.hyperstack.client import VENDOR

__all__ = ["VENDOR"]
