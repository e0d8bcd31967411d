"""The layers, in the order in which data flows; nothing reads from a later one."""

from __future__ import annotations

from typing import Final

LAYERS: Final = ("landing", "staging", "core", "forecasts", "marts", "alerts", "published")
"""A layer is a folder of this package, a schema of the warehouse and a group of the asset graph."""

SQL_LAYERS: Final = ("core", "marts")
"""Layers whose tables are made by a SELECT in `sql/<layer>/<table>/model.sql`."""
