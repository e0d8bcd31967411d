"""Data of the report, read from one published build: the queries of `queries/`, and their rows.

A query about accounts is run once for all of them; the page shows the same text for one account, to be run again.
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
    "planned",
)  # fmt: skip
"""Run for all accounts at once; `account_id` is their first column."""

FLEET_QUERIES: Final = (
    "fleet", "build", "due", "scores", "calibration", "accuracy", "issues", "rejects", "reject_count", "drift",
    "drift_count", "stale", "freshness", "month",
)  # fmt: skip
"""Run unchanged."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rows of every query."""

    build_id: str
    """Name of the build's folder."""
    fleet: Mapping[str, list[Row]]
    """Rows by query."""
    accounts: Mapping[str, Mapping[str, list[Row]]]
    """Rows by query and account."""

    def of(self, query: str, account_id: str) -> list[Row]:
        """Rows of a query for an account; empty if it has none."""
        return self.accounts[query].get(account_id, [])


@cache
def text_of(query: str) -> str:
    """Text of a query's file, with macros and shared numbers of days filled in."""
    text = expanded((_QUERIES / f"{query}.sql").read_text(encoding="utf-8").strip())
    for name, days in _DAYS.items():
        text = text.replace(name, str(days))
    return text


def sql_of(query: str, account_id: str | None = None) -> str:
    """A query to be run by a reader: for one account, if it is about accounts."""
    text = text_of(query)
    return text if account_id is None else text.replace(_ONE, f"= {quoted(account_id)}")


def read_snapshot(build: Path) -> Snapshot:
    """Read the data of the report from a published file, read-only.

    Raises DrawdownError if there is none, if it was published by another version, or if it cannot be read.
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
