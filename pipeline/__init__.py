"""Drawdown: a fuel gauge for prepaid vendor accounts."""

__version__ = "0.1.0"
