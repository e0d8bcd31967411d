"""Two million ledger entries between half a million balances: the bridge against one plain window query."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path

import duckdb

from benchmarks.table import Row
from pipeline.models.discovery import discover
from pipeline.models.recompute import recompute
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

ACCOUNTS = 20
ENTRIES = 2_000_000
SNAPSHOTS = 500_000
_TIMES = 3
_MODELS = ("core.balance_intervals", "core.balance_residuals")

# Every account has an entry each five minutes and a quarter as many balance requests, up to the end of October 2026.
_FACTS = (
    f"""
    INSERT INTO core.accounts BY NAME
    SELECT printf('ledger-%02d', n) AS account_id, 'vpsbg' AS vendor, true AS is_configured, 'EUR' AS unit_code,
        'gross' AS tax_basis, 'ledger' AS evidence_level, 'signed' AS sign_convention, 'stated' AS amount_basis,
        'EUR' AS reporting_unit_code, 93600 AS stale_after_seconds, '{{}}' AS tags,
        'VPSBG' AS ServiceProviderName, 'VPSBG' AS ServiceName, 'Compute' AS ServiceCategory,
        'Virtual Machines' AS ServiceSubcategory
    FROM range({ACCOUNTS}) AS numbers(n)
    """,
    f"""
    INSERT INTO core.ledger_entries BY NAME
    SELECT printf('ledger-%02d', n) AS account_id, printf('%08d', e) AS entry_id,
        TIMESTAMPTZ '2026-11-01 00:00:00+00' - INTERVAL 5 MINUTE * ({ENTRIES // ACCOUNTS} - e)
            - INTERVAL 1 SECOND AS effective_at_utc,
        CASE WHEN e % 500 = 0 THEN 2500 ELSE -((n * 7 + e * 13) % 999 + 1) / 100 END::DECIMAL(38, 9) AS entry_amount,
        'EUR' AS unit_code, CASE WHEN e % 500 = 0 THEN 'top_up' ELSE 'renewal' END AS entry_kind,
        'settled' AS entry_status, 'ledger' AS entry_source, 'Renewal of a server' AS description,
        effective_at_utc AS first_observed_at_utc, entry_amount AS first_entry_amount,
        effective_at_utc AS observed_at_utc, 'fetch' AS fetch_id
    FROM range({ACCOUNTS}) AS accounts(n), range({ENTRIES // ACCOUNTS}) AS entries(e)
    """,
    f"""
    INSERT INTO core.balance_snapshots BY NAME
    SELECT account_id, effective_at_utc + INTERVAL 1 SECOND AS observed_at_utc,
        -- One in a thousand balances moved by what no entry tells.
        (100000 + total_amount - CASE WHEN entry_id::INTEGER % 4000 = 3999 THEN 1 ELSE 0 END)::DECIMAL(38, 9)
            AS balance_amount,
        'EUR' AS unit_code, 'fresh' AS reading_state, entry_id AS fetch_id
    FROM (
        SELECT account_id, entry_id, effective_at_utc,
            sum(entry_amount) OVER (PARTITION BY account_id ORDER BY effective_at_utc) AS total_amount
        FROM core.ledger_entries
    ) WHERE entry_id::INTEGER % {ENTRIES // SNAPSHOTS} = {ENTRIES // SNAPSHOTS - 1}
    """,
)

_PLAIN = """
CREATE OR REPLACE TABLE plain AS
SELECT account_id, at_utc AS closed_at_utc, lag(balance_amount) OVER following AS opening_amount,
    total_amount - lag(total_amount) OVER following AS entries_amount, balance_amount AS closing_amount
FROM (
    SELECT account_id, at_utc, balance_amount, sum(amount) OVER (
        PARTITION BY account_id ORDER BY at_utc, is_reading ROWS UNBOUNDED PRECEDING
    ) AS total_amount
    FROM (
        SELECT account_id, effective_at_utc AS at_utc, entry_amount AS amount, NULL AS balance_amount, 0 AS is_reading
        FROM core.ledger_entries
        UNION ALL
        SELECT account_id, observed_at_utc, 0, balance_amount, 1 FROM core.balance_snapshots
    )
) WHERE balance_amount IS NOT NULL
WINDOW following AS (PARTITION BY account_id ORDER BY at_utc)
"""


def _mark_dirty(connection: duckdb.DuckDBPyConnection, months: str) -> None:
    connection.execute("DELETE FROM staging.dirty_months")
    for name in _MODELS:
        connection.execute(f"INSERT INTO staging.dirty_months SELECT '{name}', month FROM ({months})")


def _recompute(warehouse: Warehouse) -> float:
    began = time.perf_counter()
    for name in _MODELS:
        with warehouse.transaction() as connection:
            recompute(connection, discover()[name])
    return time.perf_counter() - began


def measure(scratch: Path) -> list[Row]:
    """Build the complete bridge and its newest month, and compare with the plain query over the same rows."""
    shutil.rmtree(scratch, ignore_errors=True)
    warehouse = Warehouse(Home(scratch))
    connection = warehouse.connection
    for statement in _FACTS:
        connection.execute(statement)
    every = "SELECT DISTINCT CAST(date_trunc('month', observed_at_utc) AS DATE) AS month FROM core.balance_snapshots"
    plain, whole, newest = [], [], []
    for _ in range(_TIMES):
        began = time.perf_counter()
        connection.execute(_PLAIN)
        plain.append(time.perf_counter() - began)
        for name in _MODELS:
            connection.execute(f"DELETE FROM {name}")
        _mark_dirty(connection, every)
        whole.append(_recompute(warehouse))
        _mark_dirty(connection, "SELECT DATE '2026-10-01' AS month")
        newest.append(_recompute(warehouse))
    [(rows, unexplained)] = connection.sql(
        "SELECT count(*), count(unexplained_class) FROM core.balance_bridge"
    ).fetchall()
    warehouse.close()
    if rows != SNAPSHOTS - ACCOUNTS:
        raise RuntimeError(f"{rows} intervals of {SNAPSHOTS - ACCOUNTS}")
    ratio = statistics.median(whole) / statistics.median(plain)
    share = statistics.median(newest) / statistics.median(whole)
    return [
        Row(
            what=f"The bridge over {ENTRIES / 1e6:g} million entries and {SNAPSHOTS:,} balances, against a plain window query",
            measured=f"{ratio:.1f}",
            goal="at most 2",
            is_reached=ratio <= 2,
            how=f"{statistics.median(whole):.1f} s with {unexplained:,} unexplained intervals named, every entry placed "
            f"and listed; {statistics.median(plain):.1f} s for the sums alone; its newest month of 12 takes "
            f"{share:.0%} of a whole build",
        )
    ]
