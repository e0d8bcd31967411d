"""VPSBG hosting: a euro balance with VAT in it, and its ledger."""

from pipeline.vendors.vpsbg.client import VENDOR

__all__ = ["VENDOR"]
