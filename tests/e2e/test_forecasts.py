"""Issued forecasts: one a day and account, kept unchanged, replayed and never issued again."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from pipeline.forecasts.gallery import MOST_BYTES
from pipeline.landing.store import FORECASTS, OWN
from pipeline.orchestration.refresh import rebuild, rebuild_as_of
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

_ISSUED = ("forecasts.cost_daily", "forecasts.cost_total", "forecasts.runway_curve", "forecasts.runway")


def _landed(bench: Bench) -> int:
    return len(list((bench.home.landing / OWN / FORECASTS).rglob("*.parquet")))


def _issues(bench: Bench) -> list[tuple[str, date]]:
    return bench.rows("SELECT account_id, issue_date FROM forecasts.runway ORDER BY ALL")


def test_an_account_has_one_issue_a_day_and_the_current_runway_follows_each_balance(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    first = _issues(bench)
    assert {account for account, _ in first} == {
        account for (account,) in bench.rows("SELECT account_id FROM forecasts.current_runway")
    }
    assert {day for _, day in first} == {NOW.date()}
    issued = bench.tables(*_ISSUED)

    sandbox.move_clock(NOW + timedelta(hours=5))
    bench.run(NOW + timedelta(hours=5))
    assert bench.tables(*_ISSUED) == issued
    assert _landed(bench) == 1
    read = bench.rows(
        "SELECT DISTINCT observed_at_utc >= TIMESTAMPTZ '2026-10-07 14:00:00+00' FROM forecasts.current_runway"
    )
    assert read == [(True,)]

    sandbox.move_clock(NOW + timedelta(days=1))
    bench.run(NOW + timedelta(days=1))
    assert _issues(bench) == sorted([*first, *((account, day + timedelta(days=1)) for account, day in first)])


def test_issued_forecasts_are_complete_and_consistent(bench: Bench, first_run: FirstRun) -> None:
    first_run(bench)

    accounts = len(_issues(bench))
    for table in ("cost_daily", "cost_total", "runway_curve"):
        [(rows, first, last)] = bench.rows(
            f"SELECT count(*), min(horizon_days), max(horizon_days) FROM forecasts.{table}"
        )
        assert (rows, first, last) == (90 * accounts, 1, 90)
    assert bench.rows(
        "SELECT count(*) FROM forecasts.cost_total WHERE NOT (p05_amount <= p10_amount AND p10_amount <= p25_amount "
        "AND p25_amount <= p50_amount AND p50_amount <= p75_amount AND p75_amount <= p90_amount "
        "AND p90_amount <= p95_amount)"
    ) == [(0,)]
    # The first day's total is that day; the day of issue is the first.
    assert bench.rows(
        "SELECT count(*) FROM forecasts.cost_total AS total JOIN forecasts.cost_daily AS daily "
        "USING (account_id, issue_date, horizon_days) "
        "WHERE horizon_days = 1 AND (total.p50_amount <> daily.p50_amount OR daily.forecast_date <> daily.issue_date)"
    ) == [(0,)]
    # The dates are where the curve crosses, and missing where it does not.
    assert bench.rows(
        """
        SELECT count(*) FROM forecasts.runway AS runway JOIN (
            SELECT account_id, issue_date, min(forecast_date) FILTER (WHERE depleted_probability >= 0.5) AS p50_date,
                max(depleted_probability) AS at_last
            FROM forecasts.runway_curve GROUP BY account_id, issue_date
        ) AS curve USING (account_id, issue_date)
        WHERE runway.runway_p50_date IS DISTINCT FROM curve.p50_date
            OR abs(runway.beyond_horizon_probability + curve.at_last - 1) > 1e-12
        """
    ) == [(0,)]


def test_a_rebuild_replays_what_was_issued_and_as_of_an_instant_what_was_issued_before(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    first = bench.tables(*_ISSUED)
    sandbox.move_clock(NOW + timedelta(days=1))
    bench.run(NOW + timedelta(days=1))
    issued = bench.tables(*_ISSUED)

    # Computed again, they would have included later knowledge.
    target = bench.folder / "then.duckdb"
    rebuild_as_of(bench.home, NOW + timedelta(hours=1), target)
    bench.home.warehouse.unlink()
    rebuild(bench.home)

    with duckdb.connect(target, read_only=True) as then:
        then.execute("SET TimeZone = 'UTC'")
        for table, rows in first.items():
            assert sorted(then.execute(f"SELECT * FROM {table}").fetchall(), key=repr) == rows
    assert bench.tables(*_ISSUED) == issued
    # Neither issues anything.
    assert _landed(bench) == 2


def test_dagster_keeps_the_plots_of_the_accounts_that_run_dry_first(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    bench.run(NOW)

    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["forecasts", "current_runway"]))
    assert event is not None
    assert event.asset_materialization is not None
    plots = event.asset_materialization.metadata["plots"]
    assert isinstance(plots, dg.MarkdownMetadataValue)
    assert plots.value.startswith("### voxpria\\-campaign\n\n![")
    assert plots.value.count("](data:image/svg+xml;base64,") >= 2
    assert len(plots.value.encode()) <= MOST_BYTES
