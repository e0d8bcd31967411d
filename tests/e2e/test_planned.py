"""Planned spend, from accounts.toml to the forecast, `explain`, `afford` and the report."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from pipeline.orchestration.refresh import rebuild
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

TODAY = NOW.date() + timedelta(days=1)
_DAY = timedelta(days=1)
_PLANS = f"""
[[accounts.vpsbg-main.planned]]
from = {TODAY - 7 * _DAY}
to = {TODAY + 6 * _DAY}
multiplier = "1.5"
note = "launch"

[[accounts.vpsbg-main.planned]]
from = {TODAY + 2 * _DAY}
to = {TODAY + 3 * _DAY}
amount = "5000"

[[accounts.voxpria-main.planned]]
from = {TODAY - 9 * _DAY}
to = {TODAY - 3 * _DAY}
amount = "0.70"
note = "calls"
"""


def _chance(bench: Bench) -> float:
    until = str(TODAY + 3 * _DAY)
    done = bench.command("afford", "vpsbg-main", "0", "--to", until, "--json", "--as-of", NOW.isoformat())
    return float(json.loads(done.stdout)["without_probability"])


def _medians(bench: Bench, account_id: str) -> list[Decimal]:
    return [
        amount
        for (amount,) in bench.rows(
            f"SELECT p50_amount FROM forecasts.cost_daily WHERE account_id = '{account_id}' "
            f"AND issue_date = DATE '{TODAY}' ORDER BY horizon_days"
        )
    ]


def test_a_plan_reaches_every_answer_and_leaves_them_with_its_lines(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox
) -> None:
    first_run(bench)
    assert _chance(bench) == 0
    toml = bench.accounts.read_text(encoding="utf-8")
    bench.accounts.write_text(toml + _PLANS, encoding="utf-8")
    sandbox.move_clock(NOW + _DAY)
    bench.run(NOW + _DAY)

    plans = bench.rows(
        "SELECT account_id, plan_number, state, day_count, complete_day_count, spent_amount > 0, "
        "extra_amount = spent_amount - usual_amount, planned_extra_amount FROM marts.planned_spend ORDER BY ALL"
    )
    assert [plan[:-1] for plan in plans] == [
        ("voxpria-main", 1, "over", 7, 7, True, True),
        ("vpsbg-main", 1, "running", 14, 7, True, True),
        ("vpsbg-main", 2, "coming", 2, 0, None, None),
    ]
    assert plans[0][-1] == Decimal("0.70")
    [before, first, second, after] = _medians(bench, "vpsbg-main")[1:5]
    assert before < 100 > after
    assert 2500 <= first < 2600 > second >= 2500
    assert _chance(bench) == 1

    said = " ".join(bench.command("explain", "vpsbg-main").stdout.split())
    assert (
        f"Planned: 1.5 times the usual spend from {TODAY - 7 * _DAY} to {TODAY + 6 * _DAY} (launch). So far, in "
        "7 complete days: "
    ) in said
    assert (
        f"Planned: 5,000.00 EUR from {TODAY + 2 * _DAY} to {TODAY + 3 * _DAY}, 2,500.00 EUR a day in addition to the "
        "usual spend."
    ) in said
    assert "Planned:" not in bench.command("explain", "voxpria-main").stdout
    page = (bench.home.published / "report" / "index.html").read_text(encoding="utf-8")
    assert "Planned spend, EUR" in page
    assert "Planned spend, voxpria-credit" in page

    built = bench.checksums()
    rebuild(bench.home)
    assert bench.checksums() == built

    bench.accounts.write_text(toml, encoding="utf-8")
    sandbox.move_clock(NOW + _DAY + timedelta(hours=1))
    bench.run(NOW + _DAY + timedelta(hours=1))
    assert bench.rows("SELECT count(*) FROM marts.planned_spend") == [(0,)]
    assert _chance(bench) == 0
