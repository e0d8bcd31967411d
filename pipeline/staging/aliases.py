"""Former names of accounts: an account that was renamed keeps its history.

Landing keeps what was asked for under the name that the account had then. Such an answer belongs to the account whose
`formerly` names it, or which has the same vendor, address and key (`identity` in the records of runs) as the account of
that name had, last. Only a name that no account of today bears can be a former one. An account that has been taken out
since keeps what it was formerly: else one history would be there under both names.
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
    """The last name of the account for each former one."""

    names: dict[str, str] = field(default_factory=dict)

    def renamed(self, fetches: pa.Table) -> pa.Table:
        """The fetches of a batch under the last names of their accounts."""
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
        "SELECT account_id, vendor, is_configured, identity, formerly_json, same_as_account_id, named_fetch_id "
        "FROM staging.accounts ORDER BY is_configured, named_fetch_id NULLS FIRST, account_id DESC"
    ).fetchall()
    vendors = {account_id: vendor for account_id, vendor, *_ in rows}
    current = {account_id for account_id, _, is_configured, *_ in rows if is_configured}
    named_by = {account_id: "~" if account_id in current else (by or "") for account_id, *_, by in rows}
    successors: dict[str, str] = {}
    places = {account_id: place for place, (account_id, *_) in enumerate(rows)}
    # What was only another name of an account has no history of its own. Of several, the last to be named holds it.
    holders = {
        identity: account_id for account_id, _, _, identity, _, same_as, _ in rows if identity and same_as is None
    }
    for account_id, _, _, identity, _, same_as, _ in rows:
        if account_id not in current and same_as is None and holders.get(identity, account_id) != account_id:
            successors[account_id] = holders[identity]
    for account_id, vendor, _, _, formerly, _, _ in rows:
        for former in msgspec.json.decode(formerly or "[]", type=list[str]):
            # A name of another vendor's account would bring answers that mean something else. One that was named again
            # after it had been a former one is none.
            if vendors.get(former, vendor) != vendor or named_by.get(former, "") >= named_by[account_id]:
                continue
            if account_id in current or places[account_id] >= places.get(successors.get(former, ""), -1):
                successors[former] = account_id
    return Aliases({former: _last(former, successors) for former in successors})


def _last(former: str, successors: dict[str, str]) -> str:
    """The last name of an account, over several renamings. Each was named after the one before it, so they end."""
    while former in successors:
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
