"""The engines that compute tables."""

from __future__ import annotations

from typing import Final

DUCKDB: Final = "duckdb"
SPARK: Final = "spark"
ENGINES: Final = (DUCKDB, SPARK)

ENGINE_VARIABLE: Final = "DRAWDOWN_ENGINE"
"""Takes precedence over `engine` of accounts.toml."""
