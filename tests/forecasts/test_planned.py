"""Planned spend: added to the paths of its days, and taken out of past days before anything is learned from them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipeline.forecasts import InputError, Paths, forecast, iterate_paths
from pipeline.forecasts.engine import learn_pool, usual_spend
from tests.forecasts.worlds import AS_OF, frame, mixed, noise

SPEND = frame(mixed())
POOL = learn_pool(SPEND, AS_OF)
HORIZON = 20
Row = tuple[str, int, float, float]


def plans(*rows: Row) -> pl.DataFrame:
    """Rows of account, days after AS_OF, amount and multiplier."""
    return pl.DataFrame(
        [(name, AS_OF + timedelta(days=day), amount, multiplier) for name, day, amount, multiplier in rows],
        schema={"account_id": pl.String, "date": pl.Date, "planned_amount": pl.Float64, "multiplier": pl.Float64},
        orient="row",
    )


def paths_of(planned: pl.DataFrame | None = None, **more: pl.DataFrame) -> dict[str, Paths]:
    found = iterate_paths(SPEND, AS_OF, HORIZON, paths=50, planned=planned, **more)
    return {each.account_id: each for each in found}


@pytest.fixture(scope="module")
def usual() -> dict[str, Paths]:
    return paths_of()


def test_a_day_is_multiplied_then_planned_amounts_and_known_charges_are_added(usual: dict[str, Paths]) -> None:
    charges = pl.DataFrame({"account_id": ["usual-00"], "date": [AS_OF + timedelta(days=2)], "charge_amount": [1000.0]})
    planned = plans(("usual-00", 2, 7.0, 1.5), ("usual-00", 2, 30.0, 2.0), ("usual-00", 3, 0.0, 0.0))
    found = paths_of(planned, known_charges=charges)["usual-00"]
    drawn = usual["usual-00"].amounts
    assert found.amounts[:, 1] == pytest.approx(drawn[:, 1] * 3 + 37 + 1000)
    assert (found.amounts[:, 2] == 0).all()
    others = [0, *range(3, HORIZON)]
    assert found.amounts[:, others].tobytes() == drawn[:, others].tobytes()
    assert found.charges.tolist() == [0, 1000, *[0] * (HORIZON - 2)]


@pytest.mark.parametrize(
    "planned",
    [
        plans(),
        plans(("usual-00", 5, 100.0, 2.0), ("days-003", 5, 100.0, 2.0)),
        plans(("usual-00", HORIZON + 1, 100.0, 2.0), ("usual-01", 0, 100.0, 2.0), ("usual-02", 1, 0.0, 1.0)),
    ],
    ids=["none", "others", "other days, or without effect"],
)
def test_accounts_without_a_plan_have_the_very_same_paths(usual: dict[str, Paths], planned: pl.DataFrame) -> None:
    found = paths_of(planned)
    concerned = set(planned.filter(pl.col("date") == AS_OF + timedelta(days=5))["account_id"])
    assert found.keys() == usual.keys()
    for name, paths in found.items():
        assert (paths.amounts.tobytes() == usual[name].amounts.tobytes()) is (name not in concerned), name


def test_the_order_of_plans_changes_no_bit() -> None:
    rows: list[Row] = [("usual-00", 3, 0.1 * number, 1 + 0.1 * number) for number in range(8)]
    one, other = paths_of(plans(*rows)), paths_of(plans(*reversed(rows)))
    assert one["usual-00"].amounts.tobytes() == other["usual-00"].amounts.tobytes()


def test_a_plan_is_in_days_totals_and_the_runway() -> None:
    balances = pl.DataFrame({"account_id": ["usual-00"], "balance_amount": [400.0]})

    def run(planned: pl.DataFrame | None):
        return forecast(SPEND, AS_OF, HORIZON, balances, planned=planned, quantiles=(0.5,), paths=100)

    without, with_plan = run(None), run(plans(("usual-00", 2, 500.0, 1.0)))

    def more(part: str) -> list[float]:
        one, other = (getattr(each, part).filter(pl.col("account_id") == "usual-00") for each in (without, with_plan))
        return (other["spend_amount"] - one["spend_amount"]).round(6).to_list()

    assert more("daily") == [0, 500, *[0] * (HORIZON - 2)]
    assert more("total") == [0, *[500] * (HORIZON - 1)]
    assert without.runway["depleted_probability"][1] == 0
    assert with_plan.runway["depleted_probability"][1] == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"multiplier": -0.1}, "planned: multiplier of a, 2026-07-01 is -0.1; it must not be negative"),
        ({"planned_amount": -1.0}, "planned: planned_amount of a, 2026-07-01 is -1.0; it must not be negative"),
        ({"planned_amount": float("nan")}, "planned: planned_amount of a, 2026-07-01, 0 is nan"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(columns: dict[str, float], words: str) -> None:
    planned = plans(("a", 1, 0.0, 1.0)).with_columns(**{name: pl.lit(value) for name, value in columns.items()})
    with pytest.raises(InputError) as refused:
        forecast(SPEND, AS_OF, planned=planned)
    assert words in str(refused.value)
    with pytest.raises(InputError, match="planned has no column multiplier"):
        forecast(SPEND, AS_OF, planned=planned.drop("multiplier"))


amount = st.floats(0, 1000)
plan = st.tuples(st.just("usual-00"), st.integers(1, HORIZON), amount, st.sampled_from([0.0, 0.5, 1.0, 3.0]))


@settings(max_examples=40, deadline=None)
@given(st.lists(plan, max_size=5), st.integers(1, HORIZON), amount, st.floats(-10, 2000))
def test_more_planned_amount_never_lowers_the_probability_of_running_dry(
    listed: list[Row], day: int, more: float, balance: float
) -> None:
    balances = pl.DataFrame({"account_id": ["usual-00"], "balance_amount": [balance]})
    spend = SPEND.filter(pl.col("account_id") == "usual-00")

    def dry(rows: list[Row]) -> np.ndarray:
        found = forecast(spend, AS_OF, HORIZON, balances, planned=plans(*rows), pool=POOL, paths=50)
        return found.runway["depleted_probability"].to_numpy()

    assert (dry([*listed, ("usual-00", day, more, 1.0)]) >= dry(listed)).all()


# -- the past -------------------------------------------------------------------------------------------------------


def test_a_past_day_loses_its_planned_amount_and_is_divided_by_its_multiplier() -> None:
    spend = frame({"a": [30.0, 30.0, 30.0, 5.0, -4.0, 30.0, 30.0, 30.0], "b": [30.0] * 8})
    planned = plans(
        ("a", -7, 12.0, 1.0), ("a", -6, 0.0, 1.5), ("a", -5, 10.0, 4.0), ("a", -4, 6.0, 1.0), ("a", -3, 6.0, 2.0),
        ("a", -2, 0.0, 0.0), ("a", -1, 0.0, 0.0999), ("a", 0, 0.0, 0.1), ("a", 1, 99.0, 9.0),
    )  # fmt: skip
    found = usual_spend(spend, planned)
    assert_frame_equal(found.filter(pl.col("account_id") == "b"), spend.filter(pl.col("account_id") == "b"))
    mine = found.filter(pl.col("account_id") == "a").select("date", "spend_amount")
    days = {(AS_OF - day).days: amount for day, amount in mine.iter_rows()}
    assert days == {7: 18.0, 6: 20.0, 5: 5.0, 4: 0.0, 3: -4.0, 0: 300.0}


def test_days_without_a_plan_keep_every_bit_and_their_order() -> None:
    shuffled = SPEND.with_columns(vendor=pl.lit("vpsbg")).sample(fraction=1.0, shuffle=True, seed=3)
    assert usual_spend(shuffled, plans()).equals(shuffled)
    found = usual_spend(shuffled, plans(("usual-00", -3, 1.0, 1.0)))
    is_planned = (pl.col("account_id") == "usual-00") & (pl.col("date") == AS_OF - timedelta(days=3))
    assert found.columns == shuffled.columns
    assert found.filter(~is_planned).equals(shuffled.filter(~is_planned))
    assert not found.equals(shuffled)


def test_exact_amounts_are_taken_like_numbers() -> None:
    spend = pl.DataFrame({"account_id": ["a"], "date": [AS_OF], "spend_amount": [Decimal("30.5")]})
    assert usual_spend(spend, plans(("a", 0, 0.5, 2.0)))["spend_amount"].to_list() == [15.0]


def month_ahead(spend: pl.DataFrame) -> float:
    total = forecast(spend, AS_OF, 30, quantiles=(0.5,), paths=400).total
    return total.filter(pl.col("horizon_days") == 30)["spend_amount"].item()


@pytest.mark.parametrize(("added", "multiplier"), [(40.0, 1.0), (0.0, 5.0)], ids=["amount", "multiplier"])
def test_after_a_campaign_the_forecast_is_that_of_before_if_it_was_planned(added: float, multiplier: float) -> None:
    before, campaign = noise(120, seed=4), noise(21, seed=5)
    spend = frame({"a": [*before, *(day * multiplier + added for day in campaign)]})
    planned = plans(*(("a", -day, added, multiplier) for day in range(21)))
    level = month_ahead(frame({"a": [*before, *campaign]}))
    assert month_ahead(usual_spend(spend, planned)) == pytest.approx(level, rel=1e-9)
    assert month_ahead(spend) > 2 * level


def test_a_plan_that_did_not_happen_lowers_the_forecast_after_it() -> None:
    spend = frame({"a": noise(141, seed=4)})
    planned = plans(*(("a", -day, 40.0, 1.0) for day in range(21)))
    assert month_ahead(usual_spend(spend, planned)) < 0.6 * month_ahead(spend)
