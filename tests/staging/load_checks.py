"""Checks of one vendor's record table after a load, as the asset `staging` reports them."""

from pathlib import Path

import dagster as dg
import duckdb

from pipeline.schema.tables import Table
from pipeline.staging.accounting import recount
from pipeline.staging.readable import look
from pipeline.staging.staging_assets import is_accounted_for, is_readable


def accounted_for(connection: duckdb.DuckDBPyConnection, vendor: str, table: Table) -> dg.AssetCheckResult:
    """Whether the rows of the newest load add up."""
    name = table.full_name
    return is_accounted_for(name, recount(connection, {name: (vendor, table)})[name])


def readable(
    connection: duckdb.DuckDBPyConnection, vendor: str, table: Table, landing: Path | None = None
) -> dg.AssetCheckResult:
    """Whether the newest answers could be read."""
    name = table.full_name
    return is_readable(name, look(connection, {name: (vendor, table)}, landing)[name])
