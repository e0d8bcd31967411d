"""Two million ledger entries from landing to published, against DuckDB alone with SQL written by hand."""

from __future__ import annotations

import random
import shutil
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from benchmarks.answers import good_answer
from benchmarks.command import Drawdown
from benchmarks.table import Row
from pipeline import settings
from pipeline.landing.store import OWN, RUNS, LandingWriter

ACCOUNTS: Final = 20
ENTRIES: Final = 2_000_000
ROWS_A_PAGE: Final = 100
NOW: Final = datetime(2026, 10, 31, 12, tzinfo=UTC)
_DAYS: Final = 400
_TIMES: Final = 3

# SQL that a person would write who needs these tables once, and trusts that every answer is complete, every amount fits
# a double and no vendor ever changes its format: the same facts in the same published tables, without any validation.
BY_HAND: Final = """
CREATE SCHEMA core;
CREATE SCHEMA marts;
CREATE TEMP TABLE fetches AS
SELECT fetch_id, account_id, endpoint, fetched_at_utc, outcome, decode(body) AS body FROM read_parquet($files);
CREATE TABLE core.balance_snapshots AS
SELECT account_id, fetched_at_utc AS observed_at_utc, CAST(body ->> 'balance' AS DECIMAL(38, 9)) AS balance_amount,
    body ->> 'currency' AS unit_code, fetch_id
FROM fetches WHERE endpoint = 'balance' AND outcome = 'ok';
CREATE TABLE core.ledger_entries AS
SELECT account_id, entry_id, effective_at_utc, entry_amount, unit_code,
    CASE vendor_entry_type WHEN 'deposit' THEN 'top_up' WHEN 'renew-service' THEN 'renewal' ELSE 'other' END AS entry_kind,
    CASE entry_status WHEN 'completed' THEN 'settled' ELSE 'unknown' END AS entry_status,
    CAST(NULL AS DECIMAL(38, 9)) AS net_amount, CAST(NULL AS DECIMAL(38, 9)) AS gross_amount,
    vendor_entry_type, description, observed_at_utc, fetch_id
FROM (
    SELECT account_id, entry.id AS entry_id, entry.created_at AS effective_at_utc, entry.amount AS entry_amount,
        entry.currency AS unit_code, entry.type AS vendor_entry_type, entry.status AS entry_status,
        entry.description AS description, fetched_at_utc AS observed_at_utc, fetch_id,
        row_number() OVER (PARTITION BY account_id, entry.id ORDER BY fetched_at_utc DESC, fetch_id DESC) AS place
    FROM (
        SELECT account_id, fetched_at_utc, fetch_id, unnest(from_json(json_extract(body, '$.data'),
            '[{"id": "VARCHAR", "type": "VARCHAR", "amount": "DECIMAL(38,9)", "currency": "VARCHAR",
            "status": "VARCHAR", "description": "VARCHAR", "created_at": "TIMESTAMPTZ"}]')) AS entry
        FROM fetches WHERE endpoint = 'transactions' AND outcome = 'ok'
    )
) WHERE place = 1
ORDER BY account_id, entry_id;
CREATE TABLE core.spend_daily AS
SELECT account_id, CAST(effective_at_utc AS DATE) AS spend_date, CAST(-sum(entry_amount) AS DECIMAL(38, 9)) AS spend_amount,
    unit_code
FROM core.ledger_entries WHERE entry_kind <> 'top_up' AND entry_status = 'settled'
GROUP BY account_id, CAST(effective_at_utc AS DATE), unit_code
ORDER BY account_id, spend_date;
CREATE TABLE marts.spend_monthly AS
SELECT account_id, date_trunc('month', spend_date) AS spend_month, sum(spend_amount) AS spend_amount, unit_code
FROM core.spend_daily GROUP BY account_id, date_trunc('month', spend_date), unit_code;
CREATE TABLE marts.account_status AS
SELECT balances.account_id, balances.balance_amount, balances.unit_code, balances.observed_at_utc, burn.burn_28d_amount,
    balances.balance_amount / burn.burn_28d_amount AS runway_days
FROM (
    SELECT account_id, arg_max(balance_amount, observed_at_utc) AS balance_amount, min(unit_code) AS unit_code,
        max(observed_at_utc) AS observed_at_utc
    FROM core.balance_snapshots GROUP BY account_id
) AS balances
LEFT JOIN (
    SELECT account_id, sum(spend_amount) / 28 AS burn_28d_amount FROM core.spend_daily
    WHERE spend_date >= CAST($now AS DATE) - 28 GROUP BY account_id
) AS burn ON balances.account_id = burn.account_id;
"""
_TABLES = (
    "core.balance_snapshots",
    "core.ledger_entries",
    "core.spend_daily",
    "marts.spend_monthly",
    "marts.account_status",
)


def land(landing: Path, record: bytes, *, pages: int) -> None:
    """Land one run of 20 accounts: a balance each, and `pages` pages of 100 ledger entries, newest first."""
    draw = random.Random(pages)
    writers = {
        (OWN, RUNS): LandingWriter(landing, OWN, RUNS, NOW.date()),
        ("vpsbg", "balance"): LandingWriter(landing, "vpsbg", "balance", NOW.date()),
        ("vpsbg", "transactions"): LandingWriter(landing, "vpsbg", "transactions", NOW.date()),
    }
    for number, (vendor, account_id, endpoint, page, is_last, body) in enumerate(_answers(record, pages, draw)):
        days = (None, NOW.date()) if endpoint == "transactions" else None
        writers[vendor, endpoint].add(
            good_answer(
                vendor, account_id, endpoint, body, at=NOW, number=number, page=page, is_last=is_last, days=days
            )
        )
    for writer in writers.values():
        writer.close()


def land_entries(scratch: Path, landing: Path, entries: int) -> Path:
    """Land a number of ledger entries in an emptied `scratch`; returns its accounts.toml."""
    shutil.rmtree(scratch, ignore_errors=True)
    landing.mkdir(parents=True)
    accounts = scratch / "accounts.toml"
    lines = [f'[accounts.{each}]\nvendor = "vpsbg"\napi_key_env = "BENCH_KEY"\n' for each in account_ids()]
    accounts.write_text("".join(['fx.source = "package"\n', *lines]), encoding="utf-8")
    record = msgspec.json.encode(settings.load(accounts).to_record(), order="sorted")
    land(landing, record, pages=entries // ROWS_A_PAGE)
    return accounts


def account_ids() -> list[str]:
    """The accounts that `land` writes."""
    return [f"vpsbg-{number:02d}" for number in range(ACCOUNTS)]


def _answers(record: bytes, pages: int, draw: random.Random) -> Iterator[tuple[str, str, str, int, bool, bytes]]:
    yield OWN, "*", RUNS, 1, True, record
    each = pages // ACCOUNTS
    step = timedelta(days=_DAYS) / (each * ROWS_A_PAGE)
    for account_id in account_ids():
        at, entry_id = NOW, each * ROWS_A_PAGE
        yield "vpsbg", account_id, "balance", 1, True, b'{"balance": 5000.25, "balance_limit": 0, "currency": "EUR"}'
        for page in range(1, each + 1):
            rows = []
            for _ in range(ROWS_A_PAGE):
                at, entry_id = at - step, entry_id - 1
                is_deposit = entry_id % 500 == 0
                cents = 250_000 if is_deposit else -draw.randint(1, 999)
                kind, words = ("deposit", "Deposit by card") if is_deposit else ("renew-service", "Renewal of a server")
                sign = "-" if cents < 0 else ""
                rows.append(
                    f'{{"id": {entry_id + 1}, "type": "{kind}", "amount": {sign}{abs(cents) // 100}.{abs(cents) % 100:02d}, '
                    f'"currency": "EUR", "status": "completed", "description": "{words}", '
                    f'"created_at": "{at:%Y-%m-%dT%H:%M:%SZ}"}}'
                )
            following = "null" if page == each else f'"https://vpsbg.example/balance/transactions?page={page + 1}"'
            body = (
                f'{{"data": [{", ".join(rows)}], "links": {{"next": {following}}}, "meta": {{"current_page": {page}}}}}'
            )
            yield "vpsbg", account_id, "transactions", page, page == each, body.encode()


def by_hand(landing: Path, folder: Path) -> int:
    """Make the published tables of a landing with DuckDB alone; returns the ledger entries."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with duckdb.connect(folder / "by_hand.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for statement in filter(str.strip, BY_HAND.split(";\n")):
            filled = statement.replace("$files", f"'{landing}/vpsbg/*/*/*/*/*.parquet'").replace(
                "$now", f"'{NOW.date()}'"
            )
            connection.execute(filled)
        connection.execute("CHECKPOINT")
        for table in _TABLES:
            connection.execute(f"COPY {table} TO '{folder / table}.parquet' (FORMAT parquet, COMPRESSION zstd)")
        return int(connection.execute("SELECT count(*) FROM core.ledger_entries").fetchall()[0][0])


def measure(scratch: Path) -> list[Row]:
    """Process the same landing in both ways, alternately."""
    landing = scratch / "home" / "landing"
    accounts = land_entries(scratch, landing, ENTRIES)
    drawdown = Drawdown(scratch / "home", accounts, {"BENCH_KEY": "bench"})
    ours, theirs = [], []
    for _ in range(_TIMES):
        ours.append(drawdown.usage_from_landing().seconds)
        began = time.perf_counter()
        entries = by_hand(landing, scratch / "by_hand")
        theirs.append(time.perf_counter() - began)
        if entries != ENTRIES:
            raise RuntimeError(f"{entries} entries were made by hand of {ENTRIES}")
    ratio = statistics.median(ours) / statistics.median(theirs)
    return [
        Row(
            what=f"{ENTRIES / 1e6:g} million ledger entries from landing to published, against DuckDB alone",
            measured=f"{ratio:.1f}",
            goal="at most 4",
            is_reached=ratio <= 4,
            how=f"{statistics.median(ours):.1f} s with process start, every row checked and traceable; "
            f"{statistics.median(theirs):.1f} s by hand-written SQL that checks nothing; medians of {_TIMES}",
        )
    ]
