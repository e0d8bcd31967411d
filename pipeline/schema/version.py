"""Version of the tables' layout, which the warehouse and each build record."""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 1
"""Increased by one in each release that changes the layout of tables. A warehouse of an older version, or of this one
with other definitions, is rebuilt from landing; one of a newer version is refused."""
