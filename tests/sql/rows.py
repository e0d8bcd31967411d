"""Rows for tables and views of a warehouse, in short form."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count

import duckdb

from pipeline.schema.tables import ALL, RECORDS

_DEFAULTS = {
    "account_id": "main",
    "vendor": "vpsbg",
    "endpoint": "balance",
    "run_id": "run-1",
    "version_id": "0.0.0",
    "page_number": "1",
    "observed_at_utc": "2026-03-18T12:00:00Z",
    "fetched_at_utc": "2026-03-18T12:00:00Z",
    "started_at_utc": "2026-03-18T12:00:00Z",
    "issued_at_utc": "2026-03-18T12:00:00Z",
    "loaded_at_utc": "2026-03-18T12:00:01Z",
    "as_of_utc": "2026-03-18T12:00:00Z",
    "effective_at_utc": "2026-03-01T00:00:00Z",
    "first_observed_at_utc": "2026-03-18T12:00:00Z",
    "first_stated_amount": "0",
    "first_entry_amount": "0",
    "amount_basis": "stated",
    "unit_code": "EUR",
    "reporting_unit_code": "EUR",
    "fx_oldest_days": "45",
    "reason_code": "unknown",
    "tax_basis": "gross",
    "evidence_level": "ledger",
    "basis": "ledger",
    "tags": "{}",
    "outcome": "ok",
    "attempt_count": "1",
    "elapsed_seconds": "0.1",
    "stale_after_seconds": "93600",
    "entry_kind": "usage",
    "entry_status": "settled",
    "entry_source": "ledger",
    "order_kind": "usage",
    "order_status": "settled",
    "ordered_at_utc": "2026-03-01T00:00:00Z",
    "due_at_utc": "2026-03-20T00:00:00Z",
    "invoice_kind": "original",
    "invoiced_at_utc": "2026-03-01T00:00:00Z",
    "payment_status": "settled",
    "resource_kind": "machine",
    "reading_state": "fresh",
    "table_name": "core.spend_daily",
    "record_kind": "balances",
    "received_rows": "1",
    "accepted_rows": "1",
    "rejected_rows": "0",
    "ServiceProviderName": "Acme",
    "ServiceName": "Acme",
    "ServiceCategory": "Other",
    "ServiceSubcategory": "Other (Other)",
    "auto_topup_model": "off",
    "topup_cover_days": "30",
    "is_configured": "true",
    "is_complete": "true",
    "is_reading": "true",
    "is_partial": "false",
    "is_lower_bound": "false",
    "is_spread": "false",
    "method": "none",
}
# Defaults of columns that must not be NULL.
_BY_TYPE = {"BOOLEAN": "false", "VARCHAR": "x", "DATE": "2026-03-18"}
# Defaults of columns that may be NULL.
_EVEN_IF_NULLABLE = {"vendor", "unit_code"}


def types(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Columns and their types, in order."""
    return {row[0]: row[1] for row in connection.sql(f"DESCRIBE {table}").fetchall()}


def expand(row: dict[str, str]) -> list[dict[str, str]]:
    """The row, or one for every day if a value is `first..last`."""
    ranged = {name: value.split("..") for name, value in row.items() if ".." in value}
    if not ranged:
        return [row]
    ((name, (first, last)),) = ranged.items()
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    return [row | {name: str(date.fromisoformat(first) + timedelta(days=day))} for day in range(days)]


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, str]]) -> None:
    """Insert rows of texts; a view becomes a table first. `null` is NULL, missing values get a default."""
    columns = types(connection, table)
    is_record = table.removeprefix("staging.") in RECORDS
    if connection.sql(f"SELECT 1 FROM duckdb_views() WHERE schema_name || '.' || view_name = '{table}'").fetchall():
        connection.execute(f"CREATE TEMP TABLE shape AS SELECT * FROM {table} LIMIT 0")
        connection.execute(f"DROP VIEW {table}")
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM shape")
        connection.execute("DROP TABLE shape")
    definition = ALL.get(table) or RECORDS.get(table.removeprefix("staging."))
    assert definition is not None, table
    required = {each.name for each in definition.columns if not each.is_nullable}
    if is_record:
        required |= _EVEN_IF_NULLABLE & columns.keys()
    numbers = count(1)
    for row in (each for compact in rows for each in expand(compact)):
        assert row.keys() <= columns.keys(), f"{table} has no column {row.keys() - columns.keys()}"
        number = next(numbers)
        defaults = _DEFAULTS | {"fetch_id": f"{number:016x}", "row_number": str(number)}
        whole = {name: defaults.get(name) or _BY_TYPE.get(columns[name], "0") for name in columns if name in required}
        given = {name: value for name, value in (whole | row).items() if value != "null"}
        casts = ", ".join(f"CAST(? AS {columns[name]})" for name in given)
        connection.execute(f"INSERT INTO {table} ({', '.join(given)}) SELECT {casts}", list(given.values()))


def fill_in(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill in units and signs over time that were not given: every account keeps its unit and its sign convention."""
    if not connection.sql("SELECT 1 FROM core.account_units").fetchall():
        connection.execute(
            "INSERT INTO core.account_units BY NAME SELECT account_id, "
            "TIMESTAMPTZ '1970-01-01 00:00:00+00' AS from_at_utc, unit_code FROM core.accounts"
        )
    if not connection.sql("SELECT 1 FROM core.ledger_periods").fetchall():
        connection.execute(
            "INSERT INTO core.ledger_periods BY NAME SELECT account_id, DATE '1970-01-01' AS from_date, "
            "sign_convention, coalesce(amount_basis, 'stated') AS amount_basis, "
            "sign_convention AS assumed_convention FROM core.accounts WHERE sign_convention IS NOT NULL"
        )
