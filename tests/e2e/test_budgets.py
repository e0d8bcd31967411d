"""Complete runs with budgets: months, their issues, alerts, the report, metrics, and a rebuild."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.sandbox_faults import start

NOW = datetime(2026, 3, 16, 9, tzinfo=UTC)
_TEAMS = """
[teams.voice]
monthly_budget_amount = "1"
"""
# Its credits cost dollars, and totals are in euros.
_THIRD = 'monthly_budget_amount = "1000000"\nmonthly_budget_unit = "GBP"\n'
_IN_POUNDS = """
SELECT sum(spend.spend_amount * 0.10 / dollar.eur_rate * pound.eur_rate) FROM core.spend_daily AS spend
ASOF JOIN (FROM core.fx_rates WHERE unit_code = 'USD') AS dollar ON spend.spend_date >= dollar.rate_date
ASOF JOIN (FROM core.fx_rates WHERE unit_code = 'GBP') AS pound ON spend.spend_date >= pound.rate_date
WHERE spend.account_id = 'voxpria-main' AND spend.is_complete AND spend.spend_date BETWEEN '2026-03-01' AND '2026-03-31'
"""
_BUDGET = """
SELECT month_state, budget_spent_amount, budget_unit_code, over_budget_probability, budget_fx_rate_date
FROM marts.month_outlook WHERE scope_id = 'voxpria-main' AND spend_month = '2026-03-01'
"""


def _accounts(text: str) -> str:
    """The sandbox's accounts, with a budget at the top, one of an account and one of a team."""
    first = "[accounts.hyperstack-main]\n"
    assert first in text
    assert "[accounts.voxpria-main]\n" in text
    text = text.replace(first, f'{first}monthly_budget_amount = "1000000"\nmonthly_budget_unit = "EUR"\n')
    return (
        'fx.source = "package"\nmonthly_budget_amount = "1000000"\n'
        + text.replace("[accounts.voxpria-main]\n", f'[accounts.voxpria-main]\nteam = "voice"\n{_THIRD}')
        + _TEAMS
    )


def test_months_are_forecast_issued_alerted_shown_and_rebuilt(tmp_path: Path) -> None:
    with start(days=60, now=NOW + timedelta(days=30), vendors=["hyperstack", "voxpria"]) as world:
        bench = Bench(tmp_path, _accounts(world.accounts_toml()), world.keys)
        for at in (NOW, NOW + timedelta(hours=3), NOW + timedelta(days=16)):
            world.move_clock(at)
            assert bench.command("run", "--as-of", at.isoformat()).returncode == 0
            if at == NOW:
                _check_first_run(bench)
        # One issue a day, and the month that is over shows what had been forecast on its days.
        issues = "SELECT DISTINCT issue_date FROM forecasts.month_outlook ORDER BY 1"
        assert bench.rows(issues) == [(date(2026, 3, 16),), (date(2026, 4, 1),)]
        over = bench.rows(
            "SELECT day_14_total_p50_amount, day_21_total_p10_amount <= day_21_total_p90_amount, month_state, "
            "over_budget_probability FROM marts.month_outlook WHERE scope = 'team' AND scope_id = 'voice' "
            "AND spend_month = '2026-03-01'"
        )
        assert over == [(None, True, "over", 1.0)]
        _check_pounds(bench, "over", date(2026, 3, 31))
        before = bench.checksums()
        assert bench.command("rebuild").returncode == 0
        assert bench.checksums() == before
        assert bench.leaks() == []


def _check_pounds(bench: Bench, state: str, rate_date: date) -> None:
    """The budget in a third currency is compared with each day's spend by that day's rates."""
    ((found_state, spent, unit, share, rated),) = bench.rows(_BUDGET)
    ((expected,),) = bench.rows(_IN_POUNDS)
    assert (found_state, unit, share, rated) == (state, "GBP", 0.0, rate_date)
    assert expected > 1
    assert float(spent) == pytest.approx(expected, rel=1e-9)


def _check_first_run(bench: Bench) -> None:
    _check_pounds(bench, "running", date(2026, 3, 16))
    # The rest of the month is the forecast total up to its last day, where no path had to be raised to today's spend.
    pairs = bench.rows(
        "SELECT outlook.rest_p50_amount, total.p50_amount FROM forecasts.month_outlook AS outlook "
        "JOIN forecasts.cost_total AS total ON outlook.scope_id = total.account_id "
        "AND outlook.issue_date = total.issue_date AND total.forecast_date = '2026-03-31' "
        "WHERE outlook.scope = 'account'"
    )
    assert len(pairs) >= 2
    for rest, total in pairs:
        assert 0.9 * float(total) <= float(rest) <= 1.2 * float(total)
    fleet = bench.rows(
        "SELECT sum(reporting_spent_amount) FILTER (WHERE scope = 'account'), "
        "sum(spent_amount) FILTER (WHERE scope = 'fleet'), sum(spent_amount) FILTER (WHERE scope = 'team') "
        "FROM marts.month_outlook WHERE month_state = 'running'"
    )
    (by_account, whole, by_team), *_ = fleet
    assert by_account == whole == by_team
    shown = bench.command("status", "--budgets").stdout
    assert "team voice" in shown
    assert "over 99.9 %" in shown
    rows = {row["scope_id"]: row for row in json.loads(bench.command("status", "--budgets", "--json").stdout)}
    assert set(rows) >= {"*", "voice", "hyperstack-main"}
    assert rows["hyperstack-main"]["over_budget_probability"] == 0.0
    assert bench.command("status", "--budgets", "--fail-on", "warning").returncode == 2
    events = bench.rows("SELECT account_id, severity FROM alerts.events WHERE rule = 'budget'")
    assert events == [("team:voice", "critical")]
    page = (bench.home.published / "report" / "index.html").read_text(encoding="utf-8")
    assert "Team voice exceeds its budget of 1.00 EUR with a chance of over 99.9 %" in page
    metrics = (bench.home.published / "metrics" / "drawdown.prom").read_text(encoding="utf-8")
    assert 'drawdown_month_budget{budget_unit="EUR",id="voice",scope="team",unit="EUR"} 1.0' in metrics
    assert "drawdown_month_spend{" in metrics
