"""marts.status_history: each day as its first build said it, whatever is known later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.landing.store import OWN, STATUSES
from pipeline.orchestration.refresh import RunFailed, rebuild
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

_NOW_KNOWN = """
SELECT account_id, severity, reading_state, reason_code, stale_code, balance_amount, unit_code, observed_at_utc, runway_days, runway_p10_date,
    runway_p50_date, runway_p90_date, depleted_7d_probability, depleted_30d_probability, reporting_balance_amount,
    reporting_unit_code
FROM marts.account_status ORDER BY account_id
"""
_AS_PUBLISHED = _NOW_KNOWN.replace("marts.account_status", "marts.status_history WHERE status_date = '{}'")
_ALL = "SELECT * FROM marts.status_history ORDER BY ALL"


def _on(bench: Bench, days: int) -> list[tuple[Any, ...]]:
    return bench.rows(_AS_PUBLISHED.format((NOW + timedelta(days=days)).date()))


def _landed(bench: Bench) -> int:
    return len(list((bench.home.landing / OWN / STATUSES).rglob("*.parquet")))


def test_a_day_keeps_what_its_first_build_said_also_after_a_rebuild(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    first = bench.rows(_NOW_KNOWN)
    # The build that is the first of its day publishes the day itself.
    assert _on(bench, 0) == first
    sandbox.move_clock(NOW + timedelta(hours=9))
    bench.run(NOW + timedelta(hours=9))
    assert bench.rows(_NOW_KNOWN) != first
    assert _on(bench, 0) == first
    assert _landed(bench) == 1

    # By these limits the first day would be judged otherwise.
    limited = bench.accounts.read_text().replace("\nvendor =", "\nalert_below_days = 3000\nvendor =")
    bench.accounts.write_text(limited, encoding="utf-8")
    sandbox.move_clock(NOW + timedelta(days=2))
    bench.run(NOW + timedelta(days=2))
    second = bench.rows(_NOW_KNOWN)
    assert [row[1] for row in second] != [row[1] for row in first]
    assert (_on(bench, 0), _on(bench, 1), _on(bench, 2)) == (first, [], second)

    published = bench.rows(_ALL)
    bench.home.warehouse.unlink()
    rebuild(bench.home)
    assert bench.rows(_ALL) == published
    assert _landed(bench) == 2


def test_a_run_that_publishes_nothing_leaves_its_day_to_the_next_build(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    versions = bench.home.published / "versions"
    versions.rename(versions.with_name("aside"))
    versions.write_text("no folder", encoding="utf-8")
    sandbox.move_clock(NOW + timedelta(days=1))
    with pytest.raises(RunFailed):
        bench.run(NOW + timedelta(days=1))
    assert _landed(bench) == 1
    versions.unlink()
    versions.with_name("aside").rename(versions)
    sandbox.move_clock(NOW + timedelta(days=1, hours=5))

    bench.run(NOW + timedelta(days=1, hours=5))

    assert bench.rows(
        f"SELECT DISTINCT as_of_utc FROM marts.status_history WHERE status_date = '{(NOW + timedelta(days=1)).date()}'"
    ) == [(NOW + timedelta(days=1, hours=5),)]
    assert _on(bench, 1) == bench.rows(_NOW_KNOWN)
