"""Shell completion of names that are known locally, fast, and empty where there are none.

A completion must never disturb the line being typed, so every error yields no completion.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pipeline.schema.severities import RUN_FAILED, SEVERITIES
from pipeline.support.home import Home

_ACCOUNTS = "SELECT account_id FROM marts.account_status ORDER BY account_id"


def one_of(*names: str) -> Callable[[str], list[str]]:
    """Complete one of the given words."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


fail_on = one_of(*SEVERITIES, "stale", RUN_FAILED)


def accounts(incomplete: str) -> list[str]:
    """Complete an account that can be requested: from accounts.toml, or else from the newest build."""
    return _starting(incomplete, _configured() or _published())


def published_accounts(incomplete: str) -> list[str]:
    """Complete an account of the newest build, or else of accounts.toml."""
    return _starting(incomplete, _published() or _configured())


def tables(incomplete: str) -> list[str]:
    """Complete a published table or schema."""
    from pipeline.schema.tables import published

    names = [table.full_name for table in published()]
    return _starting(incomplete, [*dict.fromkeys(name.split(".")[0] for name in names), *names])


def _starting(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _configured() -> list[str]:
    # Not from pipeline.settings, which imports every vendor.
    import os
    import tomllib

    found: list[str] = []
    with (
        contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError),
        open(os.environ.get("DRAWDOWN_ACCOUNTS") or "accounts.toml", "rb") as file,
    ):
        tables = tomllib.load(file)["accounts"]
        found = list(tables) if isinstance(tables, dict) else []
    return found


def _published() -> list[str]:
    home = Home.from_environment()
    if not home.current.exists():
        return []
    import duckdb

    from pipeline.support.errors import DrawdownError
    from pipeline.warehouse.reader import open_reader

    with contextlib.suppress(DrawdownError, duckdb.Error), open_reader(home.current) as connection:
        return [name for (name,) in connection.execute(_ACCOUNTS).fetchall()]
    return []
