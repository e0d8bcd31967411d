"""Anomalies end to end: issued forecasts of past days, actual spend, and the result of a run."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from pipeline.landing.parquet_bodies import land_parquet
from pipeline.landing.store import FORECASTS, OWN, day_folders, each
from pipeline.orchestration.refresh import rebuild
from pipeline.support.clock import Clock
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW

pytestmark = pytest.mark.long

_DAYS = 14


def _land_issues_that_expected_a_thousandth(bench: Bench, account_id: str) -> None:
    """Issues of the last days, derived from the one that a run has landed."""
    [folder] = day_folders(bench.home.landing, OWN, FORECASTS)
    [body] = [row["body"] for _, table in each(folder, ["body"]) for row in table.to_pylist()]
    issue = pl.read_parquet(io.BytesIO(body)).filter(pl.col("account_id") == account_id)
    amounts = pl.col("^daily_p.*$")
    smaller = issue.with_columns((amounts.cast(pl.Float64) / 1000).cast(pl.Decimal(38, 9)))
    earlier = [
        smaller.with_columns(pl.col("issue_date", "forecast_date") - timedelta(days=back))
        for back in range(1, _DAYS + 1)
    ]
    land_parquet(bench.home, Clock(NOW), "r", FORECASTS, pl.concat(earlier))


def test_a_run_reports_anomalies_fails_nothing_and_a_rebuild_reports_the_same(
    bench: Bench, first_run: FirstRun
) -> None:
    first_run(bench)
    assert bench.rows("SELECT * FROM forecasts.anomalies") == []
    runway = bench.rows("SELECT * EXCLUDE (observed_at_utc) FROM forecasts.runway ORDER BY ALL")
    _land_issues_that_expected_a_thousandth(bench, "voxpria-main")

    outcome = bench.run(NOW + timedelta(hours=1))
    assert outcome.is_ok
    found: list[tuple[Any, ...]] = bench.rows("SELECT * FROM forecasts.anomalies ORDER BY ALL")
    assert found
    days = bench.rows(
        "SELECT DISTINCT account_id, unit_code, first_date >= DATE '2026-09-23' AND last_date < DATE '2026-10-07', "
        "actual_amount > high_amount, tail_probability < 0.001 FROM forecasts.anomalies"
    )
    assert days == [("voxpria-main", "voxpria-credit", True, True, True)]
    # Today's issue is unchanged.
    assert runway == bench.rows(
        "SELECT * EXCLUDE (observed_at_utc) FROM forecasts.runway WHERE issue_date = DATE '2026-10-07' ORDER BY ALL"
    )

    bench.home.warehouse.unlink()
    rebuild(bench.home)
    assert bench.rows("SELECT * FROM forecasts.anomalies ORDER BY ALL") == found
