"""Exchange rates and credit prices, as landed by runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.landing.ecb_rates import FIRST_DAY
from pipeline.landing.own import read_own
from pipeline.landing.rate_files import is_usable, read_rates
from pipeline.landing.store import FX_RATES, OWN
from pipeline.models.months import RATES, mark_dirty
from pipeline.schema.tables import ALL

_FOR_EVER: Final = "1970-01-01"


def load_rates(connection: duckdb.DuckDBPyConnection, batch: pa.Table) -> None:
    """Merge landed files of rates into staging.fx_rates; for a day and currency the newest landed rate counts.

    A rate that cannot be stored exactly is left out, with its reason in staging.rejects. Run inside a transaction.
    """
    for row in batch.filter(pc.equal(batch.column("outcome"), "ok")).sort_by("fetch_id").to_pylist():
        table = read_own(row, read_rates)
        if table is not None:
            _load_file(connection, row, table)


def _load_file(connection: duckdb.DuckDBPyConnection, row: Mapping[str, Any], stated: pl.DataFrame) -> None:
    stated = stated.filter(pl.col("rate_date").is_null() | (pl.col("rate_date") >= FIRST_DAY))
    good = stated.filter(is_usable()).unique(subset=["rate_date", "unit_code"], keep="first", maintain_order=True)
    _store(connection, good, row["fetch_id"])
    _reject(connection, stated.filter(~is_usable()), row)


def _store(connection: duckdb.DuckDBPyConnection, rates: pl.DataFrame, fetch_id: str) -> None:
    connection.register("incoming", rates)
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE arrived AS
        SELECT new.rate_date, new.unit_code, CAST(new.text AS DECIMAL(18, 9)) AS eur_rate
        FROM incoming AS new
        """
    )
    connection.unregister("incoming")
    connection.execute(
        """
        DELETE FROM arrived AS new USING staging.fx_rates AS old
        WHERE old.rate_date = new.rate_date AND old.unit_code = new.unit_code AND old.fetch_id > ?
        """,
        [fetch_id],
    )
    # A rate is stored with the fetch that stated it, so its months become dirty even if only that is new.
    mark_dirty(connection, [RATES], "SELECT rate_date AS day FROM arrived")
    connection.execute(
        """
        DELETE FROM staging.fx_rates AS old USING arrived AS new
        WHERE old.rate_date = new.rate_date AND old.unit_code = new.unit_code
        """
    )
    connection.execute(
        "INSERT INTO staging.fx_rates (rate_date, unit_code, eur_rate, fetch_id) "
        "SELECT rate_date, unit_code, eur_rate, ? FROM arrived",
        [fetch_id],
    )
    connection.execute("DROP TABLE arrived")


def _reject(connection: duckdb.DuckDBPyConnection, rates: pl.DataFrame, row: Mapping[str, Any]) -> None:
    if not rates.height:
        return
    table = ALL["staging.rejects"]
    rejects = rates.select(
        pl.lit(row["fetch_id"]).alias("fetch_id"),
        pl.lit(OWN).alias("vendor"),
        pl.lit(row["account_id"]).alias("account_id"),
        pl.lit(FX_RATES).alias("endpoint"),
        pl.lit(FX_RATES).alias("record_kind"),
        pl.col("row_number").cast(pl.Int64),
        pl.col("unit_code").alias("column_name"),
        pl.lit("is_exact_rate").alias("check_name"),
        pl.col("text").str.slice(0, 80).alias("redacted_value"),
        pl.lit(row["fetched_at_utc"]).cast(pl.Datetime("us", "UTC")).alias("observed_at_utc"),
    )
    connection.register("incoming", rejects.select(table.column_names))
    columns = ", ".join(table.column_names)
    connection.execute(f"INSERT INTO staging.rejects ({columns}) SELECT {columns} FROM incoming")
    connection.unregister("incoming")


def load_prices(connection: duckdb.DuckDBPyConnection, accounts: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the credit prices of these accounts by those of their landed settings.

    The single price applies to all days, so it starts in 1970. Runs that were landed before the list of prices existed
    have none.
    """
    rows: list[Sequence[str]] = []
    for account_id, settings in accounts.items():
        if settings["credit_price_amount"] is not None:
            rows.append((account_id, _FOR_EVER, settings["credit_price_amount"], settings["credit_price_unit_code"]))
        rows += [
            (account_id, price["from_date"], price["price_amount"], price["price_unit_code"])
            for price in settings.get("credit_prices", ())
        ]
    for account_id in accounts:
        connection.execute("DELETE FROM staging.credit_prices WHERE account_id = ?", [account_id])
    for row in rows:
        connection.execute(
            "INSERT INTO staging.credit_prices (account_id, from_date, price_amount, price_unit_code) "
            "VALUES (?, CAST(? AS DATE), CAST(? AS DECIMAL(38, 9)), ?)",
            row,
        )
