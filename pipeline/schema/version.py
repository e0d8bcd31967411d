"""The version of the tables' layout, which a warehouse and each build bear."""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = 1
"""Raised by one in each release that lays tables out otherwise than the last one. A warehouse of an older version, or
of this one with other definitions, is rebuilt from landing; one of a newer version is refused."""
