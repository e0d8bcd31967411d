"""Row counts and exact sums of the tables that both sides make, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

_COMPONENTS: Final = ("top_up", "refund", "usage", "renewal", "adjustment", "tax", "unexplained")
ENTRY_SUMS: Final = "core.ledger_entries by month and kind"
QUERIES: Final = {
    ENTRY_SUMS: """
        SELECT strftime(effective_at_utc, '%Y-%m') AS month, entry_kind || ' ' || entry_status AS kind, count(*),
            sum(entry_amount), sum(first_entry_amount)
        FROM core.ledger_entries GROUP BY month, kind ORDER BY month, kind
    """,
    "core.spend_daily by month": """
        SELECT strftime(spend_date, '%Y-%m') AS month, unit_code AS kind, count(*), sum(spend_amount),
            count_if(is_complete)
        FROM core.spend_daily GROUP BY month, kind ORDER BY month, kind
    """,
    "core.balance_snapshots by month": """
        SELECT strftime(observed_at_utc, '%Y-%m') AS month, unit_code AS kind, count(*), sum(balance_amount)
        FROM core.balance_snapshots GROUP BY month, kind ORDER BY month, kind
    """,
    "core.balance_bridge by month": f"""
        SELECT strftime(closed_at_utc, '%Y-%m') AS month, unit_code AS kind, count(*), sum(entry_count),
            {", ".join(f"sum({name}_amount)" for name in _COMPONENTS)}, count_if(unexplained_amount <> 0)
        FROM core.balance_bridge GROUP BY month, kind ORDER BY month, kind
    """,
}
"""By what they are of: month, kind, row count and exact sums of a table with the same columns on both sides."""

Sums = dict[str, list[tuple[object, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row of the sums that only one side has."""

    what: str
    side: str
    row: tuple[object, ...]


def sums(database: Path) -> Sums:
    """The rows of every query over a DuckDB file."""
    with duckdb.connect(database, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return {what: connection.execute(query).fetchall() for what, query in QUERIES.items()}


def differences(ours: Sums, theirs: Sums) -> list[Difference]:
    """Rows that only one side has; decimals are equal only if they are exactly equal."""
    found = []
    for what in QUERIES:
        for side, rows, others in (("Drawdown", ours[what], theirs[what]), ("peer", theirs[what], ours[what])):
            found += [Difference(what=what, side=side, row=row) for row in rows if row not in others]
    return found


def lines(both: Sums) -> list[str]:
    """The rows for a terminal."""
    printed = []
    for what, rows in both.items():
        printed.append(what)
        printed += ["  " + "  ".join(str(value) for value in row) for row in rows]
    return printed
