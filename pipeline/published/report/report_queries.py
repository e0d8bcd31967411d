"""What the report shows, read from one published build: the queries of `queries/`, and their rows.

A query of accounts is asked once for all of them; on the page is the same text with one account's name in it, for
anybody to ask again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import duckdb

from pipeline.models.macros import expanded
from pipeline.schema.limits import DUE_DAYS, HORIZON_DAYS, SUMMARY_DAYS
from pipeline.schema.render import quoted
from pipeline.support.home import build_id
from pipeline.warehouse.reader import reading

Row = dict[str, Any]

_QUERIES: Final = Path(__file__).parent / "queries"
_ONE: Final = "= $account_id"
_DAYS: Final = {"$horizon_days": HORIZON_DAYS, "$summary_days": SUMMARY_DAYS, "$due_days": DUE_DAYS}

ACCOUNT_QUERIES: Final = (
    "status", "tags", "issue", "fan", "curve", "readings", "months", "outlook", "bridge", "classes", "held",
)  # fmt: skip
"""Asked for all accounts at once; `account_id` is their first column."""

FLEET_QUERIES: Final = (
    "fleet", "build", "due", "scores", "calibration", "accuracy", "issues", "rejects", "reject_count", "drift",
    "drift_count", "stale", "freshness",
)  # fmt: skip
"""Asked as they are."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rows of every query."""

    build_id: str
    """The name of the build's file, without its suffix."""
    fleet: Mapping[str, list[Row]]
    """Rows by query."""
    accounts: Mapping[str, Mapping[str, list[Row]]]
    """Rows by query and account."""

    def of(self, query: str, account_id: str) -> list[Row]:
        """An account's rows of a query; none where it has none."""
        return self.accounts[query].get(account_id, [])


@cache
def text_of(query: str) -> str:
    """A query as its file has it, but for macros, and for the numbers of days that others judge by as well."""
    text = expanded((_QUERIES / f"{query}.sql").read_text(encoding="utf-8").strip())
    for name, days in _DAYS.items():
        text = text.replace(name, str(days))
    return text


def sql_of(query: str, account_id: str | None = None) -> str:
    """A query as anybody can ask it: of one account, where it is one of accounts."""
    text = text_of(query)
    return text if account_id is None else text.replace(_ONE, f"= {quoted(account_id)}")


def read_snapshot(build: Path) -> Snapshot:
    """Read all that the report shows from a published file, read-only.

    Raises DrawdownError where there is none, and where it was published by another version or cannot be read.
    """
    with reading(build) as connection:
        return Snapshot(
            build_id=build_id(build),
            fleet={query: _rows(connection, text_of(query)) for query in FLEET_QUERIES},
            accounts={query: _by_account(connection, query) for query in ACCOUNT_QUERIES},
        )


def _by_account(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in _rows(connection, text_of(query).replace(_ONE, "is not null")):
        found.setdefault(row["account_id"], []).append(row)
    return found


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    result = connection.execute(query)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
