"""The comparison with dlt and dbt: both sides have equal sums, or it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from benchmarks.peer import ledgers
from benchmarks.peer.sums import ENTRY_SUMS, differences, sums

_TABLES = """
CREATE SCHEMA core;
CREATE TABLE core.ledger_entries AS SELECT TIMESTAMPTZ '2026-01-31 23:59:59+00' AS effective_at_utc,
    'renewal' AS entry_kind, 'settled' AS entry_status, -1.5::DECIMAL(38, 9) AS entry_amount,
    -1.5::DECIMAL(38, 9) AS first_entry_amount;
CREATE TABLE core.spend_daily AS SELECT DATE '2026-01-31' AS spend_date, 'EUR' AS unit_code,
    1.5::DECIMAL(38, 9) AS spend_amount, true AS is_complete;
CREATE TABLE core.balance_snapshots AS SELECT TIMESTAMPTZ '2026-01-31 12:00:00+00' AS observed_at_utc,
    'EUR' AS unit_code, 3::DECIMAL(38, 9) AS balance_amount;
CREATE TABLE core.balance_bridge AS SELECT TIMESTAMPTZ '2026-01-31 12:00:00+00' AS closed_at_utc, 'EUR' AS unit_code,
    1 AS entry_count, 0::DECIMAL(38, 9) AS top_up_amount, 0::DECIMAL(38, 9) AS refund_amount,
    0::DECIMAL(38, 9) AS usage_amount, -1.5::DECIMAL(38, 9) AS renewal_amount, 0::DECIMAL(38, 9) AS adjustment_amount,
    0::DECIMAL(38, 9) AS tax_amount, 0::DECIMAL(38, 9) AS unexplained_amount;
"""


def _database(path: Path, change: str = "") -> Path:
    with duckdb.connect(path) as connection:
        connection.execute(_TABLES + change)
    return path


def test_equal_tables_have_no_difference(tmp_path: Path) -> None:
    ours, theirs = sums(_database(tmp_path / "ours.duckdb")), sums(_database(tmp_path / "theirs.duckdb"))

    assert ours[ENTRY_SUMS] == [("2026-01", "renewal settled", 1, Decimal("-1.5"), Decimal("-1.5"))]
    assert differences(ours, theirs) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE core.ledger_entries SET entry_amount = entry_amount + 0.000000001", ENTRY_SUMS),
        ("UPDATE core.ledger_entries SET entry_kind = 'usage'", ENTRY_SUMS),
        ("UPDATE core.ledger_entries SET effective_at_utc = effective_at_utc + INTERVAL 1 SECOND", ENTRY_SUMS),
        ("INSERT INTO core.ledger_entries SELECT * FROM core.ledger_entries", ENTRY_SUMS),
        ("DELETE FROM core.spend_daily", "core.spend_daily by month"),
        ("UPDATE core.balance_snapshots SET balance_amount = 4", "core.balance_snapshots by month"),
        ("UPDATE core.balance_bridge SET unexplained_amount = 0.01", "core.balance_bridge by month"),
    ],
)
def test_a_difference_is_found_on_both_sides(tmp_path: Path, change: str, what: str) -> None:
    ours, theirs = sums(_database(tmp_path / "ours.duckdb")), sums(_database(tmp_path / "theirs.duckdb", change))

    assert {each.what for each in differences(ours, theirs)} == {what}
    assert {each.what for each in differences(theirs, ours)} == {what}


def _bodies(landing: Path, endpoint: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((landing / "vpsbg" / endpoint).rglob("*.parquet")):
        for row in pq.read_table(path, columns=["account_id", "fetched_at_utc", "body"]).to_pylist():
            yield row["account_id"], {"at": row["fetched_at_utc"], **json.loads(row["body"], parse_float=Decimal)}


def test_a_ledgers_entries_explain_its_balances_but_for_those_that_moved_alone(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(ledgers.accounts_toml(), encoding="utf-8")
    landed = ledgers.land(tmp_path / "landing", accounts, entries=4_000)
    entries: dict[str, list[tuple[str, Decimal]]] = {}
    for account_id, body in _bodies(tmp_path / "landing", "transactions"):
        entries.setdefault(account_id, []).extend((row["created_at"], row["amount"]) for row in body["data"])
    moved = 0
    for account_id, body in _bodies(tmp_path / "landing", "balance"):
        read_at = f"{body['at']:%Y-%m-%dT%H:%M:%SZ}"
        known = sum(amount for at, amount in entries[account_id] if at <= read_at)
        unexplained = 5_000 + known - body["balance"]
        assert unexplained in (0, 1)
        moved += unexplained

    assert sum(map(len, entries.values())) == landed == 4_000
    assert moved == ledgers.ACCOUNTS * ledgers.DAYS // ledgers.UNEXPLAINED_EVERY_DAYS
