"""Warehouses that open fast."""

from tests.staging.workshops import new_workshop, template, workshop

__all__ = ["new_workshop", "template", "workshop"]
