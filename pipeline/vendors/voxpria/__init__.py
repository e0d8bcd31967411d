"""Voxpria voice: a balance of credits, and usage by day."""

from pipeline.vendors.voxpria.client import VENDOR

__all__ = ["VENDOR"]
