"""Former names of accounts: a renamed account keeps its history.

Landing keeps answers under the name that the account had then. Such an answer belongs to the account whose `formerly`
lists that name, or which has the same vendor, address and key (`identity` in run records) as the last account of that
name. Only a name that no current account has can be a former one. A removed account keeps its former names: otherwise
one history would exist under both names.
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
    """Last name of the account, by former name."""

    names: dict[str, str] = field(default_factory=dict)

    def renamed(self, fetches: pa.Table) -> pa.Table:
        """Rename the accounts of a batch of fetches to their last names."""
        whose = fetches.column("account_id").to_pylist()
        if not self.names.keys() & set(whose):
            return fetches
        today = pa.array([self.names.get(each, each) for each in whose], pa.string())
        return fetches.set_column(fetches.schema.get_field_index("account_id"), "account_id", today)

    def renamed_rows(self, rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
        """Rename accounts in rows with an account_id; if that repeats a key, the first row is kept."""
        if not self.names:
            return rows
        named = rows.with_columns(pl.col("account_id").replace(self.names))
        return named.unique(subset=key, keep="first", maintain_order=True) if key else named

    def today(self, account_id: str) -> str:
        """Current name of an account."""
        return self.names.get(account_id, account_id)


def known_aliases(connection: duckdb.DuckDBPyConnection) -> Aliases:
    """Former names according to the settings of all loaded runs."""
    rows = connection.execute(
        "SELECT account_id, vendor, is_configured, identity, formerly_json, same_as_account_id, named_fetch_id "
        "FROM staging.accounts ORDER BY is_configured, named_fetch_id NULLS FIRST, account_id DESC"
    ).fetchall()
    vendors = {account_id: vendor for account_id, vendor, *_ in rows}
    current = {account_id for account_id, _, is_configured, *_ in rows if is_configured}
    named_by = {account_id: "~" if account_id in current else (by or "") for account_id, *_, by in rows}
    successors: dict[str, str] = {}
    places = {account_id: place for place, (account_id, *_) in enumerate(rows)}
    # A duplicate name has no history of its own. Of several accounts, the last one that was named has the history.
    holders = {
        identity: account_id for account_id, _, _, identity, _, same_as, _ in rows if identity and same_as is None
    }
    for account_id, _, _, identity, _, same_as, _ in rows:
        if account_id not in current and same_as is None and holders.get(identity, account_id) != account_id:
            successors[account_id] = holders[identity]
    for account_id, vendor, _, _, formerly, _, _ in rows:
        for former in msgspec.json.decode(formerly or "[]", type=list[str]):
            # A name of another vendor's account would add answers with another meaning. A former name that is in use
            # again is none.
            if vendors.get(former, vendor) != vendor or named_by.get(former, "") >= named_by[account_id]:
                continue
            if account_id in current or places[account_id] >= places.get(successors.get(former, ""), -1):
                successors[former] = account_id
    return Aliases({former: _last(former, successors) for former in successors})


def _last(former: str, successors: dict[str, str]) -> str:
    """Last name of an account over several renames. Each name is newer than the one before, so the chain ends."""
    while former in successors:
        former = successors[former]
    return former


def read_aliases(connection: duckdb.DuckDBPyConnection) -> Aliases:
    """Read the former names that the warehouse was loaded with."""
    return Aliases(
        dict(connection.execute("SELECT former_account_id, account_id FROM staging.account_aliases").fetchall())
    )


def store_aliases(connection: duckdb.DuckDBPyConnection, aliases: Aliases) -> None:
    """Store the former names that the warehouse is loaded with."""
    if read_aliases(connection) == aliases:
        return
    connection.execute("DELETE FROM staging.account_aliases")
    for former, account_id in sorted(aliases.names.items()):
        connection.execute(
            "INSERT INTO staging.account_aliases (former_account_id, account_id) VALUES (?, ?)", [former, account_id]
        )
