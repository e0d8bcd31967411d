from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.forecasts import QUANTILES, InputError, forecast
from pipeline.forecasts.anomalies import ANOMALIES, THRESHOLD, find_anomalies
from pipeline.forecasts.anomaly_events import KINDS
from pipeline.forecasts.tail_probabilities import LEAST_PROBABILITY, tail_probabilities
from tests.forecasts.worlds import AS_OF, frame, noise

USUAL = (6.0, 7.0, 8.0, 10.0, 12.0, 13.0, 14.0)
"""Quantiles of a day of about 10."""
WEEKS = [10.0, 11.0, 9.0, 12.0, 8.0, 10.0, 10.0] * 8


def issued(days: int, quantiles: Sequence[float] | np.ndarray = USUAL, account_id: str = "a") -> pl.DataFrame:
    """The same forecast, or a row of quantiles a day, for the last days up to AS_OF."""
    table = np.broadcast_to(np.asarray(quantiles, dtype=float), (days, len(QUANTILES)))
    dates = [AS_OF - timedelta(days=days - 1 - day) for day in range(days)]
    return pl.DataFrame(
        {
            "account_id": [account_id] * days * len(QUANTILES),
            "date": np.repeat(np.array(dates, dtype="datetime64[D]"), len(QUANTILES)),
            "quantile": np.tile(QUANTILES, days),
            "spend_amount": table.reshape(-1),
        },
        schema_overrides={"date": pl.Date},
    )


def found(days: Sequence[float | None], quantiles=USUAL, restated: Sequence[int] = (), **more) -> list[dict]:
    """Anomalies in days after eight usual weeks; `restated` counts from the first of them."""
    history = frame({"a": [*WEEKS, *days]})
    first = AS_OF - timedelta(days=len(days) - 1)
    flags = [first + timedelta(days=place) for place in restated]
    actual = history.with_columns(is_restated=pl.col("date").is_in(flags))
    return find_anomalies(actual, issued(len(days), quantiles), **more).to_dicts()


def day(back: int):
    return AS_OF - timedelta(days=back)


# -- probabilities --------------------------------------------------------------------------------------------------


def tails(came: float, quantiles: Sequence[float] = USUAL) -> tuple[float, float]:
    below, above = tail_probabilities(np.array([quantiles], dtype=float), np.array([came]))
    return float(below[0]), float(above[0])


@pytest.mark.parametrize(
    ("came", "below"), [(6, 0.05), (7, 0.10), (10, 0.50), (11, 0.625), (12.5, 0.825), (14, 0.95), (9, 0.375)]
)
def test_between_the_quantiles_the_probability_is_linear(came, below):
    assert tails(came) == pytest.approx((below, 1 - below))


def test_beyond_p95_the_probability_halves_with_each_p95_over_p90():
    for halvings in (1, 2, 6):
        assert tails(14 * (14 / 13) ** halvings)[1] == pytest.approx(0.05 / 2**halvings)


def test_below_p05_the_probability_halves_with_each_p10_less_p05():
    assert tails(5)[0] == pytest.approx(0.025)
    assert tails(0) == pytest.approx((0.05 / 64, 1 - 0.05 / 64))


def test_an_account_that_never_changes_is_not_startled_by_a_cent():
    constant = [10.0] * 7
    assert tails(10, constant) == pytest.approx((0.95, 0.95))
    assert tails(10.01, constant)[1] > 0.04
    assert tails(10.2, constant)[1] == pytest.approx(0.025)
    assert tails(9.8, constant)[0] == pytest.approx(0.025)
    assert tails(20, constant)[1] == LEAST_PROBABILITY


def test_rare_payments_do_not_excuse_every_amount():
    rare = [0, 0, 0, 0, 0, 0, 10.0]
    assert tails(12.5, rare)[1] == pytest.approx(0.025)
    assert tails(0, rare) == pytest.approx((0.90, 0.95))


def test_spend_of_an_account_forecast_as_zero_has_the_least_probability():
    assert tails(0.01, [0.0] * 7)[1] == LEAST_PROBABILITY
    assert tails(0, [0.0] * 7) == pytest.approx((0.95, 0.95))


amounts = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda each: round(each, 3))


@settings(max_examples=60)
@given(st.lists(amounts, min_size=7, max_size=7).map(sorted), st.lists(amounts, min_size=2, max_size=2).map(sorted))
def test_probabilities_are_between_0_and_1_and_monotonic(quantiles, came):
    below, above = tail_probabilities(np.array([quantiles] * 2), np.array(came))
    for side in (below, above):
        assert ((side >= LEAST_PROBABILITY) & (side <= 1)).all()
    assert below[0] <= below[1] + 1e-12
    assert above[0] >= above[1] - 1e-12
    assert (below + above >= 1 - 1e-9).all()


# -- kinds ----------------------------------------------------------------------------------------------------------


def test_usual_days_are_no_anomaly():
    assert found([10, 12, 7, 14, 9, 6, 13, 10]) == []


def test_one_day_far_out_with_the_next_back_is_a_spike():
    [row] = found([10, 60, 10, 9])
    assert (row["anomaly_kind"], row["first_date"], row["last_date"]) == ("spike", day(2), day(2))
    assert (row["actual_amount"], row["expected_amount"], row["low_amount"], row["high_amount"]) == (60, 10, 6, 14)
    assert row["tail_probability"] < THRESHOLD
    assert row["reason"].startswith(f"60.00 was spent on {day(2)}, where 10.00 was expected (6.00 to 14.00): ")
    assert row["reason"].endswith("The next day was no longer above the range.")


def test_both_sides_are_in_the_probability():
    [row] = found([10, 25, 10])
    assert row["tail_probability"] == pytest.approx(2 * tails(25)[1])


def test_the_newest_day_far_out_may_stay():
    [row] = found([10, 60])
    assert row["anomaly_kind"] == "spike"
    assert row["reason"].endswith("Whether it stays is not known yet.")


@pytest.mark.parametrize(("length", "kind"), [(1, "spike"), (2, "spike"), (3, "step"), (6, "step")])
def test_three_days_beyond_the_range_are_a_step(length, kind):
    [row] = found([10, *[25.0] * length, 10])
    assert (row["anomaly_kind"], row["first_date"], row["last_date"]) == (kind, day(length), day(1))
    assert (row["actual_amount"], row["expected_amount"], row["low_amount"], row["high_amount"]) == (25, 10, 6, 14)


def test_a_step_down_is_a_step():
    [row] = found([10, 1, 1, 2])
    assert row["anomaly_kind"] == "step"
    assert "below what was expected for 3 days" in row["reason"]


def test_a_week_of_days_that_are_each_likely_enough_can_be_a_level():
    days = [15.5] * 7
    assert 2 * tails(15.5)[1] > 30 * THRESHOLD
    [row] = found(days)
    assert (row["anomaly_kind"], row["first_date"], row["last_date"]) == ("step", day(6), day(0))
    assert found(days[:2]) == []


def test_a_level_is_found_by_week_if_days_within_the_range_break_its_runs():
    [row] = found([9, 9, 17, 17, 13, 17, 17, 13, 17])
    assert (row["anomaly_kind"], row["first_date"], row["last_date"]) == ("step", day(6), day(0))
    assert found([9, 9, 17, 17, 9, 17, 17, 9, 17]) == []


def test_a_level_begins_with_the_first_day_on_its_side():
    [row] = found([9, 20, 20, 13, 20, 20, 13])
    assert (row["anomaly_kind"], row["first_date"], row["last_date"]) == ("step", day(5), day(0))


def test_four_observed_days_are_enough_for_a_level_and_three_are_not():
    assert 2 * tails(18)[1] > THRESHOLD
    [row] = found([18, 18, None, 13, 18])
    assert (row["anomaly_kind"], row["first_date"], row["last_date"]) == ("step", day(4), day(0))
    assert (row["actual_amount"], row["expected_amount"]) == (pytest.approx(67 / 4), 10)
    assert found([18.5, 18.5, None, None, 18.5]) == []


def test_a_week_without_expected_spend_is_no_level():
    assert found([0.0] * 7, [0.0] * 7, day_correlation=0) == []


def test_days_that_miss_together_are_no_seven_proofs():
    week = [13.2] * 7
    assert [row["anomaly_kind"] for row in found(week, day_correlation=0)] == ["step"]
    assert found(week, day_correlation=1) == []


def test_highs_and_lows_in_turn_are_no_level():
    assert found([14.5, 5.5] * 5) == []


@pytest.mark.parametrize("length", [1, 3])
def test_a_day_without_certain_spend_is_a_stop(length):
    [row] = found([10, *[0.0] * length], [8, 8.5, 9, 10, 11, 11.5, 12])
    assert (row["anomaly_kind"], row["first_date"], row["last_date"]) == ("stop", day(length - 1), day(0))
    assert row["reason"].startswith("Nothing was spent")


def test_a_stop_takes_longer_to_detect_if_days_without_spend_are_usual():
    often = [0, 5, 8, 10, 12, 13, 14]
    chance = tails(0, often)[0]
    assert chance == pytest.approx(0.05)
    assert found([10, 0, 0], often) == []
    [row] = found([10, 0, 0, 0], often)
    assert row["anomaly_kind"] == "stop"
    assert row["tail_probability"] == pytest.approx(2 * chance**3)


def test_days_without_likely_spend_are_no_stop():
    assert found([0.0] * 10, [0, 0, 0, 0, 12, 13, 14]) == []


def test_a_pause_as_long_as_one_before_is_no_stop():
    paused = frame({"a": [*WEEKS[:30], 0, 0, 0, *WEEKS[:26], 0, 0, 0]})
    often = issued(3, [0, 5, 8, 10, 12, 13, 14])
    assert find_anomalies(paused, often).height == 0
    assert find_anomalies(paused.filter(pl.col("date") > day(28)), often).height == 1


def test_a_day_whose_figure_was_changed_is_a_restatement():
    [row] = found([10, 60, 10], restated=[1])
    assert row["anomaly_kind"] == "restatement"
    assert "changed the figure" in row["reason"]
    assert [each["anomaly_kind"] for each in found([10, 60, 10], restated=[0, 2])] == ["spike"]
    assert found([10, 11, 10], restated=[1]) == []


def test_one_restated_day_does_not_make_a_level_a_restatement():
    assert [row["anomaly_kind"] for row in found([25.0] * 5, restated=[2])] == ["step"]
    assert [row["anomaly_kind"] for row in found([25.0] * 4, restated=[0, 3])] == ["restatement"]


def test_a_day_that_was_not_observed_breaks_a_run():
    kinds = [(row["anomaly_kind"], row["first_date"], row["last_date"]) for row in found([30, 30, None, 30, 30])]
    assert kinds == [("spike", day(4), day(3)), ("spike", day(1), day(0))]


# -- earlier occurrences --------------------------------------------------------------------------------------------


def test_an_earlier_amount_on_a_rare_day_is_no_anomaly():
    before = frame({"a": [*WEEKS[:20], 60.0, *WEEKS[:35], 60.0]})
    assert find_anomalies(before, issued(1)).height == 0
    assert find_anomalies(before.filter(pl.col("date") > day(30)), issued(1)).height == 1


def test_the_day_before_is_no_excuse():
    assert [row["anomaly_kind"] for row in found([60, 10, 60])] == ["spike", "spike"]


def test_a_weekday_is_compared_with_its_own_kind():
    # Every seventh day, the weekday of AS_OF among them, costs 60 more than on rare days: other weekdays do not excuse
    # it.
    weekly = [60.0 if (55 - place) % 7 == 0 else 10.0 for place in range(56)]
    another = [60.0 if (55 - place) % 7 == 1 else 10.0 for place in range(56)]
    assert find_anomalies(frame({"a": [*weekly[:-1], 60.0]}), issued(1)).height == 0
    assert find_anomalies(frame({"a": [*another[:-1], 60.0]}), issued(1)).height == 1


def test_rare_payments_are_judged_from_the_dearest():
    rare = [0, 0, 0, 0, 0, 0, 1.0]
    paid = [100.0 if place % 20 == 3 else 0.0 for place in range(100)]
    assert find_anomalies(frame({"a": [*paid, 150.0]}), issued(1, rare)).height == 0
    assert find_anomalies(frame({"a": [*paid, 90.0]}), issued(1, rare)).height == 0
    assert find_anomalies(frame({"a": [*paid, 9000.0]}), issued(1, rare)).height == 1
    assert find_anomalies(frame({"a": [*[0.0] * 100, 150.0]}), issued(1, rare)).height == 1


def test_history_can_be_passed_apart_and_actual_wins():
    whole = frame({"a": [*WEEKS[:20], 60.0, *WEEKS[:35], 60.0]})
    newest, older = whole.filter(pl.col("date") == AS_OF), whole.filter(pl.col("date") < AS_OF)
    assert find_anomalies(newest, issued(1)).height == 1
    assert find_anomalies(newest, issued(1), history=older).height == 0
    stale = whole.with_columns(spend_amount=pl.lit(10.0))
    assert find_anomalies(newest, issued(1), history=stale)["actual_amount"].to_list() == [60.0]


# -- all kinds together ---------------------------------------------------------------------------------------------


def test_only_days_with_a_forecast_are_judged():
    days = frame({"a": [*WEEKS, 60, 60, 60, 10], "b": [60.0]})
    assert find_anomalies(days, issued(1)).height == 0
    assert find_anomalies(days.filter(pl.col("date") < AS_OF), issued(1)).height == 0


def test_the_threshold_is_the_callers():
    assert found([10, 24, 10], threshold=1e-5) == []
    [row] = found([10, 24, 10], threshold=0.01)
    assert 1e-5 < row["tail_probability"] < 0.01


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("gamma", lambda rng, shape: rng.gamma(4, 0.25, shape)),
        ("normal", lambda rng, shape: rng.normal(100, 10, shape)),
        ("lognormal", lambda rng, shape: rng.lognormal(0, 1.5, shape)),
        ("pauses", lambda rng, shape: (rng.random(shape) < 0.9) * rng.gamma(4, 0.25, shape)),
        ("rare", lambda rng, shape: (rng.random(shape) < 0.1) * rng.lognormal(3, 1, shape)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_honest_forecasts_raise_few_alarms(name, draw):
    rng = np.random.default_rng(5)
    quantiles = np.quantile(draw(rng, 200_000), QUANTILES)
    names = [f"a{number:02d}" for number in range(60)]
    days = frame(dict(zip(names, draw(rng, (60, 180)).tolist(), strict=True)))
    alarms = find_anomalies(days, pl.concat([issued(90, quantiles, each) for each in names]))
    # 5,400 days at a threshold of 1 in 1,000: 5 would be calibrated, 22 are 4 in 1,000.
    assert alarms.height <= 22


def test_the_order_of_rows_changes_nothing_and_accounts_do_not_touch():
    rng = np.random.default_rng(2)
    days = {f"a{number}": [*WEEKS, *rng.choice([10.0, 60.0, 0.0, 25.0], 20)] for number in range(6)}
    forecasts = pl.concat([issued(20, USUAL, each) for each in days])
    whole = find_anomalies(frame(days), forecasts)
    mixed = find_anomalies(
        frame(days).sample(fraction=1.0, shuffle=True, seed=1), forecasts.sample(fraction=1.0, shuffle=True, seed=2)
    )
    assert whole.height > 6
    assert whole.equals(mixed)
    assert whole.equals(
        pl.concat([find_anomalies(frame({each: days[each]}), issued(20, USUAL, each)) for each in sorted(days)])
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([10.0, 12.0, 14.5, 25.0, 60.0, 5.0, 0.0, None]), min_size=1, max_size=25))
@example([0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0])
def test_no_day_is_reported_twice_and_every_row_is_complete(days):
    rows = found(days)
    days = [
        row["first_date"] + timedelta(days=place)
        for row in rows
        for place in range((row["last_date"] - row["first_date"]).days + 1)
    ]
    assert len(days) == len(set(days))
    for row in rows:
        assert row["anomaly_kind"] in KINDS
        assert LEAST_PROBABILITY <= row["tail_probability"] < THRESHOLD
        assert all(row[name] is not None and row[name] == row[name] for name in ANOMALIES)
        lasts = (row["last_date"] - row["first_date"]).days + 1
        assert row["anomaly_kind"] != "step" or lasts >= 3
        assert row["anomaly_kind"] != "spike" or lasts <= 2
        assert row["low_amount"] <= row["expected_amount"] <= row["high_amount"]
        assert (row["actual_amount"] == 0) == (row["anomaly_kind"] == "stop")


def test_issued_forecasts_are_accepted_and_unchanged():
    history = noise(120)
    before, after = frame({"a": history[:-1]}, until=day(1)), frame({"a": [*history[:-1], 500.0]})
    result = forecast(before, day(1), 5, paths=200)
    kept = result.daily.clone()
    [row] = find_anomalies(after, result.daily).to_dicts()
    assert (row["anomaly_kind"], row["first_date"], row["actual_amount"]) == ("spike", AS_OF, 500)
    assert result.daily.equals(kept)
    assert find_anomalies(frame({"a": history}), result.daily).height == 0


def test_nothing_in_gives_nothing_out():
    empty = find_anomalies(frame({}), issued(0))
    assert (empty.height, dict(empty.schema)) == (0, ANOMALIES)
    assert find_anomalies(frame({"a": WEEKS}), issued(0)).height == 0


def test_invalid_input_of_anomalies_is_refused():
    actual = frame({"a": WEEKS})
    with pytest.raises(InputError, match="issued has no column quantile"):
        find_anomalies(actual, issued(1).drop("quantile"))
    with pytest.raises(InputError, match="more than once"):
        find_anomalies(actual, pl.concat([issued(2), issued(1)]))
    with pytest.raises(InputError, match="the quantiles of a"):
        find_anomalies(actual, issued(1).filter(pl.col("quantile") != 0.5))
    with pytest.raises(InputError, match="not a Date"):
        find_anomalies(actual, issued(1).with_columns(pl.col("date").cast(pl.Datetime)))
    with pytest.raises(InputError, match="or they fall"):
        find_anomalies(actual, issued(1, USUAL[::-1]))
    with pytest.raises(InputError, match="more than once"):
        find_anomalies(pl.concat([actual, actual]), issued(1))
    with pytest.raises(InputError, match="between 0 and 1"):
        find_anomalies(actual, issued(1), threshold=0)
    with pytest.raises(InputError, match="between 0 and 1"):
        find_anomalies(actual, issued(1), day_correlation=1.1)
