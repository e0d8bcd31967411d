"""Warehouses that open fast."""

from tests.staging.workshops import workshop, new_workshop, template

__all__ = ["workshop", "new_workshop", "template"]
