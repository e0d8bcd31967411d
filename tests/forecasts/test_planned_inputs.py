"""Plans of the warehouse, by day, in what the forecaster gets."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pipeline.forecasts.account_forecasts import account_paths, forecast_accounts
from pipeline.forecasts.forecast_inputs import Inputs, read_inputs, read_spend
from tests.sql.rows import fill_in, insert
from tests.staging.landed import Workshop

YESTERDAY = date(2026, 3, 17)
DAY = timedelta(days=1)


@pytest.fixture
def planned(workshop: Workshop) -> Workshop:
    """Two accounts that spend 10 a day and have 1000; the first ended a plan and has others ahead."""
    rows = {
        "core.accounts": [{"account_id": name} for name in ("main", "other")],
        "core.spend_daily": [
            {"account_id": "main", "spend_date": "2025-12-01..2026-03-07", "spend_amount": "10"},
            {"account_id": "main", "spend_date": "2026-03-08..2026-03-17", "spend_amount": "50"},
            {"account_id": "other", "spend_date": "2025-12-01..2026-03-17", "spend_amount": "10"},
        ],
        "core.balance_snapshots": [
            {"account_id": name, "balance_amount": "1000", "observed_at_utc": "2026-03-18T06:00:00Z"}
            for name in ("main", "other")
        ],
        "core.planned_spend": [
            {"plan_number": "1", "from_date": "2026-03-08", "to_date": "2026-03-17", "planned_amount": "400"},
            {"plan_number": "2", "from_date": "2026-03-20", "to_date": "2026-03-23", "planned_amount": "2000"},
            {"plan_number": "3", "from_date": "2026-03-23", "to_date": "2026-03-23", "multiplier": "2"},
            {"plan_number": "4", "from_date": "2023-01-01", "to_date": "2023-03-03", "planned_amount": "1"},
            {"plan_number": "5", "from_date": "2026-06-01", "to_date": "2026-07-31", "multiplier": "3"},
        ],
    }
    for table, listed in rows.items():
        insert(workshop.connection, table, listed)
    fill_in(workshop.connection)
    return workshop


def inputs_of(workshop: Workshop, *, with_plans: bool = True) -> Inputs:
    if not with_plans:
        workshop.connection.execute("DELETE FROM core.planned_spend")
    return read_inputs(workshop.connection, YESTERDAY)


def test_a_plan_is_one_row_a_day_within_history_and_horizon(planned: Workshop) -> None:
    rows = inputs_of(planned).planned
    assert set(rows["account_id"]) == {"main"}
    ahead = rows.filter(pl.col("date") > YESTERDAY).drop("account_id").rows()
    assert ahead[:5] == [
        *((date(2026, 3, day), 500.0, 1.0) for day in (20, 21, 22, 23)),
        (date(2026, 3, 23), 0.0, 2.0),
    ]
    assert ahead[5:] == [(date(2026, 6, day), 0.0, 3.0) for day in range(1, 16)]
    past = rows.filter(pl.col("date") <= YESTERDAY).drop("account_id").rows()
    first = YESTERDAY - 1119 * DAY
    count = (date(2023, 3, 3) - first).days + 1
    assert past[:count] == [(first + number * DAY, 1 / 62, 1.0) for number in range(count)]
    assert past[-10:] == [(date(2026, 3, day), 40.0, 1.0) for day in range(8, 18)]


def test_three_years_of_spend_are_read_because_a_season_is_learned_of_them(workshop: Workshop) -> None:
    insert(workshop.connection, "core.accounts", [{"account_id": "main"}])
    insert(
        workshop.connection,
        "core.spend_daily",
        [{"account_id": "main", "spend_date": f"{YESTERDAY - 1200 * DAY}..{YESTERDAY}", "spend_amount": "10"}],
    )
    fill_in(workshop.connection)
    found = read_spend(workshop.connection, YESTERDAY)["date"]
    assert (found.min(), found.max(), len(found)) == (YESTERDAY - 1119 * DAY, YESTERDAY, 1120)


def test_forecasts_and_backtests_learn_from_spend_without_plans(planned: Workshop) -> None:
    spend = inputs_of(planned).spend
    assert set(spend["spend_amount"]) == {10.0}
    assert spend.equals(read_spend(planned.connection, YESTERDAY))
    assert set(inputs_of(planned, with_plans=False).spend["spend_amount"]) == {10.0, 50.0}


def test_the_paths_of_an_account_have_its_plans_on_their_days(planned: Workshop) -> None:
    found = account_paths(inputs_of(planned), "main")
    assert found is not None
    days = np.median(found[0].amounts, axis=0)
    assert days[[0, 1, 6]] == pytest.approx(10, rel=0.2)
    assert days[2:5] == pytest.approx(510, rel=0.01)
    assert days[5] == pytest.approx(520, rel=0.02)
    assert days[(date(2026, 6, 1) - YESTERDAY).days - 1] == pytest.approx(30, rel=0.3)


def test_a_plan_brings_the_top_up_forward_and_changes_no_other_account(planned: Workshop) -> None:
    with_plans = forecast_accounts(inputs_of(planned))
    # The plan of the past goes, too, from what the accounts learn from each other.
    planned.connection.execute("UPDATE core.spend_daily SET spend_amount = 10")
    without = forecast_accounts(inputs_of(planned, with_plans=False))

    def first(rows: pl.DataFrame, account_id: str) -> dict[str, object]:
        return rows.filter((pl.col("account_id") == account_id) & (pl.col("horizon_days") == 1)).row(0, named=True)

    assert first(with_plans, "other") == first(without, "other")
    assert with_plans.filter(pl.col("account_id") == "other").equals(without.filter(pl.col("account_id") == "other"))
    assert first(with_plans, "main")["risk_passed_date"] == date(2026, 3, 21)
    assert first(without, "main")["risk_passed_date"] is None


def test_inputs_without_an_account_have_none_of_its_plans(planned: Workshop) -> None:
    assert inputs_of(planned).without(["main"]).planned.is_empty()
    assert not inputs_of(planned).without(["other"]).planned.is_empty()
