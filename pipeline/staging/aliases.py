"""Former names of accounts: an account that was renamed keeps its history.

Landing keeps what was asked for under the name that the account had then. Such an answer belongs to an account of today
whose `formerly` names it, or which has the same vendor, address and key (`identity` in the records of runs) as the
account of that name had, last. Only a name that no account of today bears can be a former one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
import msgspec
import polars as pl
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Aliases:
    """The account of today for each former name."""

    names: dict[str, str] = field(default_factory=dict)

    def renamed(self, fetches: pa.Table) -> pa.Table:
        """The fetches of a batch under the names that their accounts have today."""
        whose = fetches.column("account_id").to_pylist()
        if not self.names.keys() & set(whose):
            return fetches
        today = pa.array([self.names.get(each, each) for each in whose], pa.string())
        return fetches.set_column(fetches.schema.get_field_index("account_id"), "account_id", today)

    def renamed_rows(self, rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
        """Rows with an account_id under today's names; where that makes a key occur twice, the first row counts."""
        if not self.names:
            return rows
        named = rows.with_columns(pl.col("account_id").replace(self.names))
        return named.unique(subset=key, keep="first", maintain_order=True) if key else named

    def today(self, account_id: str) -> str:
        """The name that an account has today."""
        return self.names.get(account_id, account_id)


def known_aliases(connection: duckdb.DuckDBPyConnection) -> Aliases:
    """What the settings of all loaded runs come to."""
    rows = connection.execute(
        "SELECT account_id, vendor, is_configured, identity, formerly_json, same_as_account_id FROM staging.accounts "
        "ORDER BY account_id"
    ).fetchall()
    vendors = {account_id: vendor for account_id, vendor, *_ in rows}
    current = {account_id for account_id, _, is_configured, *_ in rows if is_configured}
    successors: dict[str, str] = {}
    by_identity = {
        identity: account_id
        for account_id, _, is_configured, identity, _, same_as in reversed(rows)
        if is_configured and identity and same_as is None
    }
    for account_id, _, is_configured, identity, _, same_as in rows:
        # What was only another name of an account has no history of its own.
        if not is_configured and same_as is None and identity in by_identity:
            successors[account_id] = by_identity[identity]
    for account_id, vendor, _, _, formerly, _ in rows:
        for former in msgspec.json.decode(formerly or "[]", type=list[str]):
            # A name of another vendor's account would bring answers that mean something else.
            if former not in current and vendors.get(former, vendor) == vendor:
                successors[former] = account_id
    names = {former: _last(former, successors, current) for former in successors}
    return Aliases({former: account_id for former, account_id in names.items() if account_id in current})


def _last(former: str, successors: dict[str, str], current: set[str]) -> str:
    """Who an account is today, over several renamings."""
    seen = set()
    while former in successors and former not in seen and former not in current:
        seen.add(former)
        former = successors[former]
    return former


def read_aliases(connection: duckdb.DuckDBPyConnection) -> Aliases:
    """Those that the warehouse was loaded with."""
    return Aliases(
        dict(connection.execute("SELECT former_account_id, account_id FROM staging.account_aliases").fetchall())
    )


def store_aliases(connection: duckdb.DuckDBPyConnection, aliases: Aliases) -> None:
    """Keep what the warehouse is loaded with."""
    if read_aliases(connection) == aliases:
        return
    connection.execute("DELETE FROM staging.account_aliases")
    for former, account_id in sorted(aliases.names.items()):
        connection.execute(
            "INSERT INTO staging.account_aliases (former_account_id, account_id) VALUES (?, ?)", [former, account_id]
        )
