"""Views of staging over the vendors' tables of each kind of record."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.schema.tables import RECORDS, Table
from pipeline.vendors import discover as discover_vendors
from pipeline.vendors._port import Vendor


def record_view(record: Table, vendors: Mapping[str, Vendor]) -> str:
    """`CREATE VIEW staging.<kind>`: the rows of every vendor that has such records.

    The view exists, empty, even if no vendor has any. Readings from a file are those of its newest good version, and
    those from before the first row of that version: a row that was removed, or given another time, is withdrawn, in
    whatever order the versions were loaded.
    """
    columns = ", ".join(record.column_names)
    selects = [
        f"SELECT '{name}' AS vendor, {columns} FROM staging.{name}_{record.name}"
        + (_of_newest_file(f"staging.{name}_{record.name}") if _is_of_files(record, vendor) else "")
        for name, vendor in vendors.items()
        if record.name in vendor.kinds
    ] or [
        "SELECT CAST(NULL AS VARCHAR) AS vendor, "
        + ", ".join(f"CAST(NULL AS {column.column.type}) AS {column.name}" for column in record.columns)
        + " WHERE false"
    ]
    return f"CREATE OR REPLACE VIEW {record.full_name} AS " + " UNION ALL ".join(selects)


def _is_of_files(record: Table, vendor: Vendor) -> bool:
    return record.name == "balances" and vendor.base_url is None


def _of_newest_file(table: str) -> str:
    """Condition under which a reading still counts: the newest file has it, or begins after it."""
    return f"""
        AS readings WHERE (
            SELECT readings.fetch_id = max(newest.fetch_id)
                OR readings.observed_at_utc < arg_max(newest.first_at_utc, newest.fetch_id)
            FROM (
                SELECT account_id, fetch_id, min(observed_at_utc) AS first_at_utc
                FROM {table} GROUP BY account_id, fetch_id
            ) AS newest
            WHERE newest.account_id = readings.account_id
        )"""


def reads_of_view(name: str) -> tuple[str, ...]:
    """Inputs of a view of records, by its full name; empty for anything else."""
    kind = name.removeprefix("staging.")
    if kind in RECORDS:
        return tuple(f"staging.{vendor.name}_{kind}" for vendor in discover_vendors().values() if kind in vendor.kinds)
    return ()
