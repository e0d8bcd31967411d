"""Warehouses that open fast."""

from tests.staging.benches import bench, new_bench, template

__all__ = ["bench", "new_bench", "template"]
