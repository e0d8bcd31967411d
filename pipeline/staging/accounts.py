"""Accounts and the build's clock, from landed run records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars as pl
import pyarrow as pa

from pipeline import __version__
from pipeline.landing import store
from pipeline.landing.own import read_own
from pipeline.landing.runs import read_record
from pipeline.schema.render import polars_schema
from pipeline.schema.tables import ALL
from pipeline.settings.rate_source import OLDEST_DAYS
from pipeline.staging.budget_table import load_budgets
from pipeline.staging.planned_spend import load_plans
from pipeline.staging.rate_tables import load_prices
from pipeline.support.errors import DrawdownError
from pipeline.vendors._port import Service

# Run records from before services were landed have none.
_UNTOLD_SERVICE = {"ServiceCategory": Service().category, "ServiceSubcategory": Service().subcategory}


def load_runs(
    connection: duckdb.DuckDBPyConnection, landing: Path, new_ids: Collection[str], found: Sequence[pa.Table] = ()
) -> None:
    """Update staging.accounts, credit_prices, planned_spend, budgets and build from the newest loaded run.

    An account that left accounts.toml keeps its row, marked as not configured. `new_ids` are the runs that this load
    found, and `found` has rows that were read already. If a run is older than the build's (a file restored late), all
    are read again, so that the order of loading does not matter. Run inside a transaction, after the fetches.
    """
    if not new_ids:
        return
    newest = connection.execute("SELECT fetch_id FROM staging.build").fetchone()
    done = newest[0] if newest else ""
    if min(new_ids) < done:
        connection.execute("DELETE FROM staging.accounts")
        connection.execute("DELETE FROM staging.credit_prices")
        connection.execute("DELETE FROM staging.planned_spend")
        done = ""
    runs = connection.execute(
        "SELECT fetch_id, CAST(fetched_at_utc AT TIME ZONE 'UTC' AS DATE) FROM staging.fetches "
        "WHERE vendor = ? AND endpoint = ? AND fetch_id > ? ORDER BY fetch_id",
        [store.OWN, store.RUNS, done],
    ).fetchall()
    wanted = {fetch_id for fetch_id, _ in runs}
    landed = {row["fetch_id"]: row for table in found for row in table.to_pylist() if row["fetch_id"] in wanted}
    for day in sorted({day for fetch_id, day in runs if fetch_id not in landed}):
        folder = landing / store.OWN / store.RUNS / f"{day:%Y}" / f"{day:%m}" / f"{day:%d}"
        for _, table in store.each(folder):
            landed |= {row["fetch_id"]: row for row in table.to_pylist() if row["fetch_id"] in wanted}
    record: dict[str, Any] = {}
    build = connection.execute("SELECT reporting_unit_code, fx_oldest_days FROM staging.build").fetchone()
    known_unit, oldest_days = build or (None, OLDEST_DAYS)
    for _, group in groupby(sorted(landed), key=lambda fetch_id: landed[fetch_id]["body"]):
        alike = list(group)
        # A record that only a later version can read changes no account, but its run counts.
        readable = read_own(landed[alike[0]], read_record)
        if readable:
            record = readable
            _load_accounts(connection, record["accounts"], named_by=max(alike))
            load_prices(connection, record["accounts"])
            load_budgets(connection, record)
            load_plans(connection, record["accounts"])
    last = landed[max(landed)]
    if not record and known_unit is None:
        raise DrawdownError(
            f"every run in landing was recorded by Drawdown {last['version_id']}, whose records this one, "
            f"{__version__}, cannot read. Install Drawdown {last['version_id']} or later; or begin with `drawdown run`"
        )
    connection.execute("DELETE FROM staging.build")
    connection.execute(
        "INSERT INTO staging.build (as_of_utc, reporting_unit_code, fx_oldest_days, run_id, version_id, fetch_id) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [
            last["fetched_at_utc"],
            record["reporting_currency"] if record else known_unit,
            # Not in records of before it could be set.
            record.get("fx_oldest_days", OLDEST_DAYS) if record else oldest_days,
            last["run_id"],
            last["version_id"],
            max(landed),
        ],
    )


def _load_accounts(
    connection: duckdb.DuckDBPyConnection, accounts: dict[str, dict[str, Any]], *, named_by: str
) -> None:
    table = ALL["staging.accounts"]
    schema = polars_schema(table)
    known = {
        account_id: (identity, same_as)
        for account_id, identity, same_as in connection.execute(
            "SELECT account_id, identity, same_as_account_id FROM staging.accounts"
        ).fetchall()
    }
    rows = [
        {
            **_UNTOLD_SERVICE,
            "ServiceProviderName": account_id,
            "ServiceName": account_id,
            **{name: settings[name] for name in settings.keys() & schema.keys()},
            "account_id": account_id,
            "is_configured": True,
            "named_fetch_id": named_by,
            **_known_identity(account_id, settings, known),
            "formerly_json": msgspec.json.encode(settings.get("formerly", [])).decode(),
            "tags": msgspec.json.encode(settings["tags"], order="sorted").decode(),
        }
        for account_id, settings in accounts.items()
    ]
    texts = pl.DataFrame(rows, schema=dict.fromkeys(schema, pl.String), strict=False, infer_schema_length=None)
    connection.register("incoming", texts)
    connection.execute("UPDATE staging.accounts SET is_configured = false")
    connection.execute("DELETE FROM staging.accounts WHERE account_id IN (SELECT account_id FROM incoming)")
    columns = ", ".join(table.column_names)
    connection.execute(f"INSERT INTO staging.accounts ({columns}) SELECT {columns} FROM incoming")
    connection.unregister("incoming")


def _known_identity(
    account_id: str, settings: dict[str, Any], known: dict[str, tuple[str | None, str | None]]
) -> dict[str, str | None]:
    """Identity of an account at its vendor. A run that could not read a secret has none, and the known one is kept."""
    if settings.get("identity") is not None:
        return {"identity": settings["identity"], "same_as_account_id": settings.get("same_as")}
    identity, same_as = known.get(account_id, (None, None))
    return {"identity": identity, "same_as_account_id": settings.get("same_as") or same_as}
