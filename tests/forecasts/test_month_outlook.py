"""Month-end outlooks: each day counts once, and totals of groups come from the accounts' own paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.month_inputs import Budget, RunningMonth
from pipeline.forecasts.month_outlook import MonthOutlooks

TODAY = date(2026, 3, 20)
FIRST = date(2026, 3, 1)
_MONEY = pl.Decimal(38, 9)


def _account(name: str, **more: Any) -> dict[str, Any]:
    return {
        "account_id": name, "unit_code": "EUR", "reporting_unit_code": "EUR", "team": "web", "is_counted": True,
        "first_date": date(2026, 1, 1), "spent_amount": Decimal(190), "reporting_spent_amount": Decimal(190),
        "is_unspent": False, "other_reporting_amount": Decimal(0), "rate": 1.0, "budget_spent_amount": None, "budget_rate": None,
        "budget_fx_rate_date": None, **more,
    }  # fmt: skip


def _days(name: str, *, until: date = TODAY, today: float = 4.0, a_day: float = 10.0) -> list[dict[str, Any]]:
    """10 on each complete day, and what has been spent of today."""
    whole = [FIRST + timedelta(days=day) for day in range((until - FIRST).days)]
    rows = [(day, a_day, True) for day in whole] + [(TODAY, today, False)]
    return [
        {
            "account_id": name,
            "spend_date": day,
            "spend_amount": amount,
            "reporting_amount": amount,
            "budget_amount": None,
            "is_complete": done,
        }
        for day, amount, done in rows
    ]


def _month(
    accounts: Sequence[dict[str, Any]],
    days: Sequence[dict[str, Any]],
    budgets: Mapping[tuple[str, str], Budget] | None = None,
) -> RunningMonth:
    amounts = ("spent_amount", "reporting_spent_amount", "other_reporting_amount", "budget_spent_amount")
    money = dict.fromkeys(amounts, _MONEY)
    other = {"rate": pl.Float64, "first_date": pl.Date, "budget_rate": pl.Float64, "budget_fx_rate_date": pl.Date}
    return RunningMonth(
        today=TODAY,
        accounts=pl.DataFrame(list(accounts), schema_overrides={**money, **other}),
        days=pl.DataFrame(
            list(days),
            schema={
                "account_id": pl.String, "spend_date": pl.Date, "spend_amount": pl.Float64,
                "reporting_amount": pl.Float64, "budget_amount": pl.Float64, "is_complete": pl.Boolean,
            },
        ),
        budgets=budgets or {},
    )  # fmt: skip


def _paths(name: str, amounts: Any, *, as_of: date = TODAY - timedelta(days=1)) -> Paths:
    drawn = np.broadcast_to(np.asarray(amounts, dtype=np.float64), (4, 90)).copy()
    return Paths(
        account_id=name, as_of=as_of, method="full", history_days=60, amounts=drawn, charges=np.zeros(90)
    )  # fmt: skip


def _row(found: pl.DataFrame, scope: str, scope_id: str) -> dict[str, Any]:
    return found.filter((pl.col("scope") == scope) & (pl.col("scope_id") == scope_id)).to_dicts()[0]


def test_the_month_is_its_complete_days_and_the_drawn_rest_with_today_counted_once() -> None:
    outlooks = MonthOutlooks(_month([_account("a")], _days("a")))
    outlooks.add(_paths("a", 10.0))
    row = _row(outlooks.frame(), "account", "a")
    # 19 days of 10, and 12 from the 20th to the 31st.
    assert (row["spent_amount"], row["rest_p50_amount"], row["total_p50_amount"]) == (190, 120, 310)
    assert (row["open_day_count"], row["missing_day_count"], row["forecast_account_count"]) == (1, 0, 1)


def test_today_costs_at_least_what_it_has_cost_so_far() -> None:
    outlooks = MonthOutlooks(_month([_account("a")], _days("a", today=25.0)))
    outlooks.add(_paths("a", 10.0))
    assert _row(outlooks.frame(), "account", "a")["rest_p50_amount"] == 25 + 11 * 10


def test_an_earlier_day_that_is_not_complete_yet_is_drawn_from_the_same_weekday() -> None:
    days = [each for each in _days("a") if each["spend_date"] not in (date(2026, 3, 18), date(2026, 3, 19))]
    outlooks = MonthOutlooks(_month([_account("a", spent_amount=Decimal(170))], days))
    # The paths begin on Friday the 20th with 1, 2, 3, ...: Wednesday the 18th is as the 25th, and Thursday as the 26th.
    outlooks.add(_paths("a", np.arange(1.0, 91.0)))
    row = _row(outlooks.frame(), "account", "a")
    assert row["open_day_count"] == 3
    assert row["rest_p50_amount"] == 6 + 7 + 4 + sum(range(2, 13))


def test_days_before_the_history_count_as_nothing_and_are_counted() -> None:
    days = [each for each in _days("a") if each["spend_date"] >= date(2026, 3, 11)]
    account = _account("a", spent_amount=Decimal(90), first_date=date(2026, 3, 11))
    outlooks = MonthOutlooks(_month([account], days))
    outlooks.add(_paths("a", 10.0))
    row = _row(outlooks.frame(), "account", "a")
    assert (row["missing_day_count"], row["open_day_count"], row["total_p50_amount"]) == (10, 1, 210)


def test_a_balance_of_some_days_ago_leaves_known_days_as_they_were() -> None:
    outlooks = MonthOutlooks(_month([_account("a")], _days("a")))
    outlooks.add(_paths("a", 99.0, as_of=date(2026, 3, 14)))
    row = _row(outlooks.frame(), "account", "a")
    assert (row["spent_amount"], row["rest_p50_amount"]) == (190, 12 * 99)


def test_a_team_adds_its_accounts_path_by_path_in_the_reporting_currency() -> None:
    accounts = [
        _account("a"),
        _account("b", unit_code="USD", reporting_spent_amount=Decimal(100), rate=0.5),
        _account("copy", is_counted=False),
        _account("unpriced", unit_code="voxpria-credit", reporting_spent_amount=None, rate=None),
        _account("other", team=None),
    ]
    halves = [{**each, "reporting_amount": each["spend_amount"] / 2} for each in _days("b")]
    month = _month(accounts, [*_days("a"), *halves, *_days("copy"), *_days("other"), *_days("unpriced")])
    outlooks = MonthOutlooks(month)
    rising = np.array([[1.0], [2.0], [3.0], [4.0]])
    outlooks.add(_paths("a", np.maximum(rising, 4.0)))
    outlooks.add(_paths("b", 8.0))
    outlooks.add(_paths("copy", 1000.0))
    outlooks.add(_paths("unpriced", 1000.0))
    found = outlooks.frame()
    team = _row(found, "team", "web")
    assert (team["spent_amount"], team["unit_code"]) == (290, "EUR")
    assert team["rest_p50_amount"] == 12 * (4 + 8 * 0.5)
    assert (team["account_count"], team["converted_account_count"], team["forecast_account_count"]) == (3, 2, 2)
    fleet = _row(found, "fleet", "*")
    assert (fleet["spent_amount"], fleet["account_count"], fleet["forecast_account_count"]) == (480, 4, 2)
    assert _row(found, "team", "unassigned")["total_p50_amount"] is None


def test_paths_of_an_account_that_is_forecast_twice_count_once() -> None:
    outlooks = MonthOutlooks(_month([_account("a")], _days("a")))
    for _ in range(2):
        outlooks.add(_paths("a", 10.0))
    outlooks.add(_paths("unknown", 10.0))
    assert _row(outlooks.frame(), "team", "web")["total_p50_amount"] == 310


def test_the_chance_over_a_budget_is_the_share_of_paths_and_the_day_is_that_of_the_median() -> None:
    budgets = {("account", "a"): Budget(Decimal(300), "EUR"), ("team", "web"): Budget(Decimal(150), "EUR")}
    outlooks = MonthOutlooks(_month([_account("a")], _days("a"), budgets))
    # The totals are 238, 286, 310 and 334: the budget of 300 is exceeded on two of four paths.
    outlooks.add(_paths("a", [[4.0], [8.0], [10.0], [12.0]]))
    row = _row(outlooks.frame(), "account", "a")
    assert (row["over_budget_probability"], row["budget_amount"], row["budget_spent_amount"]) == (0.5, 300, 190)
    # On the last but one path it is passed on the 31st: 290 by the 29th, 300 by the 30th.
    assert row["budget_used_up_date"] == date(2026, 3, 31)
    team = _row(outlooks.frame(), "team", "web")
    assert (team["over_budget_probability"], team["budget_used_up_date"]) == (1.0, date(2026, 3, 16))


def test_a_budget_that_is_met_to_the_cent_is_not_exceeded() -> None:
    outlooks = MonthOutlooks(
        _month(
            [_account("a", spent_amount=Decimal("1.9"))],
            _days("a", a_day=0.1, today=0.1),
            {("account", "a"): Budget(Decimal("3.1"), "EUR")},
        )
    )
    outlooks.add(_paths("a", 0.1))
    assert _row(outlooks.frame(), "account", "a")["over_budget_probability"] == 0.0


def test_a_budget_in_the_reporting_currency_is_compared_in_it() -> None:
    account = _account("a", unit_code="voxpria-credit", reporting_spent_amount=Decimal(19), rate=0.1)
    days = [{**each, "reporting_amount": each["spend_amount"] / 10} for each in _days("a")]
    budgets = {("account", "a"): Budget(Decimal(30), "EUR")}
    outlooks = MonthOutlooks(_month([account], days, budgets))
    outlooks.add(_paths("a", 10.0))
    row = _row(outlooks.frame(), "account", "a")
    assert (row["budget_spent_amount"], row["reporting_total_p50_amount"]) == (19, 31)
    assert (row["over_budget_probability"], row["total_p50_amount"]) == (1.0, 310)


def test_a_budget_in_a_third_currency_is_compared_in_it() -> None:
    # A credit is 0.1 EUR, and a euro 2 GBP now, but was 3 GBP on the complete days.
    account = _account(
        "a", unit_code="voxpria-credit", reporting_spent_amount=Decimal(19), rate=0.1, budget_rate=2.0,
        budget_spent_amount=Decimal(57), budget_fx_rate_date=date(2026, 3, 19),
    )  # fmt: skip
    days = [{**each, "reporting_amount": each["spend_amount"] / 10, "budget_amount": 3.0} for each in _days("a")]
    for limit, chance, day in ((Decimal(81), 0.0, None), (Decimal(80), 1.0, date(2026, 3, 31))):
        outlooks = MonthOutlooks(_month([account], days, {("account", "a"): Budget(limit, "GBP")}))
        outlooks.add(_paths("a", 10.0))
        row = _row(outlooks.frame(), "account", "a")
        # 57 were spent, and 2 GBP a day are to come on each of 12 days.
        assert (row["budget_spent_amount"], row["budget_unit_code"]) == (57, "GBP")
        assert (row["over_budget_probability"], row["budget_used_up_date"]) == (chance, day)
        assert (row["budget_fx_rate_date"], row["total_p50_amount"]) == (date(2026, 3, 19), 310)


def test_a_budget_in_a_unit_without_a_rate_is_shown_and_not_compared() -> None:
    outlooks = MonthOutlooks(_month([_account("a")], _days("a"), {("account", "a"): Budget(Decimal(30), "USD")}))
    outlooks.add(_paths("a", 10.0))
    row = _row(outlooks.frame(), "account", "a")
    assert (row["budget_amount"], row["budget_unit_code"], row["over_budget_probability"]) == (30, "USD", None)


def test_without_a_forecast_only_a_spent_budget_is_known_to_be_exceeded() -> None:
    for limit, chance, day in ((Decimal(500), None, None), (Decimal(100), 1.0, date(2026, 3, 11))):
        outlooks = MonthOutlooks(_month([_account("a")], _days("a"), {("account", "a"): Budget(limit, "EUR")}))
        row = _row(outlooks.frame(), "account", "a")
        assert (row["over_budget_probability"], row["budget_used_up_date"]) == (chance, day)
        assert row["total_p50_amount"] is None


@given(
    spent=st.decimals("0", "999999999999999.999999999", places=9),
    drawn=st.lists(st.floats(0, 1e12), min_size=4, max_size=4),
    limits=st.lists(st.decimals("0", "999999999999999", places=2), min_size=2, max_size=2),
)
@pytest.mark.filterwarnings("error")
def test_a_larger_budget_is_never_more_likely_exceeded_and_quantiles_rise(
    spent: Decimal, drawn: list[float], limits: list[Decimal]
) -> None:
    rows = []
    for limit in sorted(limits):
        month = _month([_account("a", spent_amount=spent)], _days("a"), {("account", "a"): Budget(limit, "EUR")})
        outlooks = MonthOutlooks(month)
        outlooks.add(_paths("a", np.array(drawn)[:, None]))
        rows.append(_row(outlooks.frame(), "account", "a"))
    low, high = rows
    assert low["over_budget_probability"] >= high["over_budget_probability"]
    assert low["spent_amount"] == spent
    assert low["total_p10_amount"] <= low["total_p50_amount"] <= low["total_p90_amount"]
    assert low["total_p50_amount"] == spent + low["rest_p50_amount"]
