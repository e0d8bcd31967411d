"""Refreshing again, rebuilding, compacting: the same facts give the same tables."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from pipeline.orchestration.refresh import rebuild
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

# Columns with the time and the answer of a fact's last statement.
OBSERVED = {"fetch_id", "x_FetchId", "observed_at_utc", "last_attempt_at_utc", "last_observed_at_utc", "fetch_count"}


def _facts(bench: Bench) -> dict[str, list[tuple[object, ...]]]:
    names = "SELECT schema_name || '.' || table_name FROM duckdb_tables()"
    observed = ", ".join(f"'{name}'" for name in sorted(OBSERVED))
    columns = f"COLUMNS(lambda name: name NOT IN ({observed}))"
    with bench.published() as connection:
        return {
            name: sorted(connection.execute(f"SELECT {columns} FROM {name}").fetchall(), key=repr)
            for (name,) in connection.execute(f"{names} WHERE table_name <> 'build_info'").fetchall()
        }


def test_a_second_run_at_the_same_instant_changes_nothing_but_what_it_observed(
    bench: Bench, first_run: FirstRun
) -> None:
    first_run(bench)
    before = _facts(bench)

    bench.run(NOW)

    after = _facts(bench)
    # Claims are kept by answer, and the second poll requested fewer days, so both polls' claims exist.
    for claims in ("core.vendor_claims", "marts.vendor_claim_accuracy"):
        assert set(before.pop(claims)) <= set(after.pop(claims))
    assert after == before


def test_a_rebuild_gives_every_published_row_again_also_after_compaction(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    bench.run(NOW + timedelta(hours=1))
    for days in (1, 2):
        sandbox.move_clock(NOW + timedelta(days=days))
        bench.run(NOW + timedelta(days=days))
    bench.run(NOW + timedelta(days=2, hours=1))
    built, sums = bench.tables(), bench.checksums()
    assert built["core.spend_daily"]

    bench.home.warehouse.unlink()
    shutil.rmtree(bench.home.published)
    rebuild(bench.home)
    assert bench.tables() == built
    assert bench.checksums() == sums

    before = len(list(bench.home.landing.rglob("*.parquet")))
    printed = bench.command("compact").stdout
    assert f"{before} files" in printed
    assert len(list(bench.home.landing.rglob("*.parquet"))) < before
    rebuild(bench.home)
    assert bench.checksums() == sums

    sandbox.move_clock(NOW + timedelta(days=3))
    assert bench.run(NOW + timedelta(days=3)).is_ok


def test_a_backfill_brings_back_days_before_the_first_look(bench: Bench, sandbox: Sandbox) -> None:
    bench.accounts.write_text(
        bench.accounts_toml.replace('vendor = "voxpria"', 'vendor = "voxpria"\nhistory_days = 5'), encoding="utf-8"
    )
    bench.run(NOW)
    query = "SELECT min(usage_date), max(usage_date), count(*) FROM core.usage_days WHERE account_id = 'voxpria-main'"
    first_look = bench.rows(query)

    bench.run(NOW, from_date="2026-08-01", to_date="2026-09-15")

    (earlier,), (later,) = bench.rows(query), first_look
    assert earlier[0].isoformat() >= "2026-08-01"
    assert earlier[0] < later[0]
    assert earlier[1] == later[1]
    oracle = {
        day.day: day.amount
        for day in sandbox.world.account("voxpria-main").usage(NOW)
        if day.day.isoformat() >= "2026-08-01"
    }
    found = dict(
        bench.rows(
            "SELECT usage_date, credits_amount FROM core.usage_days "
            "WHERE account_id = 'voxpria-main' AND usage_date BETWEEN '2026-08-01' AND '2026-09-15'"
        )
    )
    assert found == {day: amount for day, amount in oracle.items() if day.isoformat() <= "2026-09-15" and amount}


def test_balances_and_ledgers_equal_the_worlds_own_books(bench: Bench, first_run: FirstRun, sandbox: Sandbox) -> None:
    first_run(bench)

    for account_id, balance in bench.rows("SELECT account_id, balance_amount FROM core.balance_snapshots"):
        assert balance == sandbox.world.account(account_id).balance_at(NOW)
    booked = {str(entry.entry_id): entry.amount for entry in sandbox.world.account("vpsbg-main").ledger(NOW)}
    assert (
        dict(bench.rows("SELECT entry_id, entry_amount FROM core.ledger_entries WHERE account_id = 'vpsbg-main'"))
        == booked
    )
