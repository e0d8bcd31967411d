from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.forecasts import first_passage, forecast, iterate_paths
from pipeline.forecasts.engine import InputError, learn_pool
from tests.forecasts.worlds import AS_OF, frame, mixed, noise

SPEND = frame(mixed())
BALANCES = pl.DataFrame(
    {
        "account_id": ["usual-00", "usual-01", "days-003"],
        "balance_amount": [200.0, 900.0, 50.0],
        "threshold_amount": [100.0, None, 0.0],
    }
)


def same(one, other) -> bool:
    return all(
        getattr(one, part).equals(getattr(other, part)) for part in ("daily", "total", "runway", "methods", "pool")
    )


def run(spend: pl.DataFrame = SPEND, **more):
    return forecast(spend, AS_OF, **({"horizon_days": 40, "balances": BALANCES, "paths": 100} | more))


@pytest.fixture(scope="module")
def usual():
    return run()


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunks_change_no_bit(usual, chunk):
    assert same(usual, run(chunk=chunk))


def test_the_order_of_rows_changes_no_bit(usual):
    assert same(usual, run(SPEND.sample(fraction=1.0, shuffle=True, seed=3), balances=BALANCES.reverse()))
    assert same(usual, run(SPEND.reverse()))


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_pool_learned_in_batches_is_that_of_all_accounts(usual, size):
    ids = SPEND["account_id"].unique().sort(descending=True).to_list()
    batches = [ids[first : first + size] for first in range(0, len(ids), size)]
    rows = (SPEND.filter(pl.col("account_id").is_in(batch)) for batch in batches)
    assert learn_pool(rows, AS_OF).equals(usual.pool)


def test_an_account_in_two_batches_is_refused():
    with pytest.raises(InputError, match="usual-00 is in two batches"):
        learn_pool([SPEND, SPEND.filter(pl.col("account_id") == "usual-00")], AS_OF)


def test_many_accounts_forecast_together_are_as_in_small_batches():
    rng = np.random.default_rng(4)
    ids = [f"many-{number:03d}" for number in range(520)]
    dates = [AS_OF - timedelta(days=day) for day in range(35)]
    spend = pl.DataFrame(
        {"account_id": np.repeat(ids, 35), "date": dates * len(ids), "spend_amount": rng.gamma(2, 5, 35 * len(ids))}
    )
    balances = pl.DataFrame(
        {
            "account_id": ids[::2],
            "balance_amount": np.full(260, 90.0),
            "threshold_amount": [20.0 if number % 3 else None for number in range(260)],
        }
    )
    together = run(spend, balances=balances, horizon_days=5, paths=8)
    assert together.total["account_id"].unique().sort().to_list() == ids
    batches = [
        run(
            spend.filter(pl.col("account_id").is_in(batch)),
            balances=balances.filter(pl.col("account_id").is_in(batch)),
            pool=together.pool,
            horizon_days=5,
            paths=8,
        )
        for batch in (ids[:100], ids[100:])
    ]
    for part in ("daily", "total", "runway", "methods"):
        assert pl.concat([getattr(batch, part) for batch in batches]).equals(getattr(together, part))


def test_another_seed_gives_other_paths(usual):
    assert not usual.total.equals(run(seed=1).total)


def test_large_seeds_are_seeds(usual):
    assert not run(seed=2**40).total.equals(run(seed=2**40 + 1).total)


@pytest.mark.parametrize("account_id", ["usual-00", "days-003", "days-013", "rare", "gap"])
def test_with_the_same_pool_one_account_alone_is_as_among_the_others(usual, account_id):
    alone = run(
        SPEND.filter(pl.col("account_id") == account_id),
        pool=usual.pool,
        balances=BALANCES.filter(pl.col("account_id") == account_id),
    )
    for part in ("daily", "total", "runway"):
        assert getattr(alone, part).equals(getattr(usual, part).filter(pl.col("account_id") == account_id))


def test_without_the_pool_an_account_alone_is_not_the_same(usual):
    alone = run(SPEND.filter(pl.col("account_id") == "usual-00"), balances=None)
    assert not alone.total.equals(usual.total.filter(pl.col("account_id") == "usual-00"))


def test_the_pool_survives_a_file_and_any_order_of_its_rows(usual, tmp_path):
    usual.pool.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(tmp_path / "pool.parquet")
    assert same(usual, run(pool=pl.read_parquet(tmp_path / "pool.parquet")))


def test_the_pool_is_small_and_names_no_account():
    many = frame({f"account-{number:03d}": noise(60, seed=number) for number in range(80)})
    pool = forecast(many, AS_OF, 5, paths=10).pool
    assert len(pool) < 1000
    assert not pool["vendor"].str.contains("account").any()


def test_totals_are_quantiles_of_sums(usual):
    paths = {found.account_id: found.amounts for found in iterate_paths(SPEND, AS_OF, 40, paths=100)}
    rows = usual.total.filter((pl.col("account_id") == "usual-02") & (pl.col("horizon_days") == 30))
    sums = paths["usual-02"][:, :30].sum(axis=1)
    assert rows["spend_amount"].to_numpy() == pytest.approx(np.quantile(sums, rows["quantile"].to_numpy()))
    daily = usual.daily.filter((pl.col("account_id") == "usual-02") & (pl.col("date") <= AS_OF + timedelta(days=30)))
    assert daily.filter(pl.col("quantile") == 0.95)["spend_amount"].sum() > 1.1 * rows["spend_amount"].max()


def test_the_runway_is_the_share_of_paths_that_have_passed(usual):
    paths = {found.account_id: found.amounts for found in iterate_paths(SPEND, AS_OF, 40, paths=100)}
    rows = usual.runway.filter(pl.col("account_id") == "usual-00")
    for column, threshold in (("depleted_probability", 0.0), ("below_threshold_probability", 100.0)):
        days = first_passage(paths["usual-00"], 200.0, threshold)
        assert rows[column].to_list() == [float((days <= day).mean()) for day in range(1, 41)]
    assert 0 < rows["depleted_probability"][19] < 1


def test_the_runway_never_falls_and_only_thresholds_that_were_given_are_answered(usual):
    for account_id, rows in usual.runway.group_by("account_id"):
        assert (rows.sort("date")["depleted_probability"].diff().drop_nulls() >= 0).all()
        assert rows["below_threshold_probability"].is_null().all() == (account_id == ("usual-01",))
    assert set(usual.runway["account_id"]) == set(BALANCES["account_id"])


def test_a_balance_below_zero_has_run_out_already():
    gone = run(balances=pl.DataFrame({"account_id": ["zeros"], "balance_amount": [-0.01]})).runway
    assert gone["depleted_probability"].to_list() == [1.0] * 40


def test_a_balance_of_zero_without_spend_has_not_run_out():
    left = run(balances=pl.DataFrame({"account_id": ["zeros"], "balance_amount": [0.0]})).runway
    assert left["depleted_probability"].to_list() == [0.0] * 40


def test_known_charges_land_on_their_day(usual):
    day = AS_OF + timedelta(days=10)
    late = AS_OF + timedelta(days=41)
    charges = pl.DataFrame(
        {"account_id": ["usual-02"] * 3, "date": [day, day, late], "charge_amount": [70.0, 30.0, 999.0]}
    )
    charged = run(known_charges=charges)

    def more(part: str, key: str) -> dict:
        joined = getattr(charged, part).join(getattr(usual, part), on=["account_id", key, "quantile"])
        grown = joined.with_columns(more=pl.col("spend_amount") - pl.col("spend_amount_right"))
        mine = grown.filter(pl.col("account_id") == "usual-02").group_by(key).agg(pl.col("more").mean())
        assert grown.filter(pl.col("account_id") != "usual-02")["more"].abs().max() == 0
        return dict(mine.iter_rows())

    daily, total = more("daily", "date"), more("total", "horizon_days")
    assert daily.pop(day) == pytest.approx(100)
    assert max(map(abs, daily.values())) < 1e-9
    assert {round(total[days], 6) for days in range(1, 10)} == {0}
    assert {round(total[days], 6) for days in range(10, 41)} == {100}


def test_paths_say_which_charges_they_hold():
    charges = pl.DataFrame({"account_id": ["zeros"], "date": [AS_OF + timedelta(days=3)], "charge_amount": [5]})
    [found] = iterate_paths(frame({"zeros": [0.0] * 40}), AS_OF, 4, known_charges=charges, paths=3)
    assert found.charges.tolist() == [0, 0, 5, 0]
    assert found.amounts.tolist() == [[0, 0, 5, 0]] * 3
    assert found.dates()[2] == AS_OF + timedelta(days=3)


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_money_in_another_unit_gives_the_same_forecast_in_that_unit(usual, factor):
    scaled = run(
        SPEND.with_columns(pl.col("spend_amount") * factor),
        balances=BALANCES.with_columns(pl.col("balance_amount") * factor, pl.col("threshold_amount") * factor),
    )
    assert scaled.total["spend_amount"].to_numpy() / factor == pytest.approx(
        usual.total["spend_amount"].to_numpy(), abs=1e-9
    )
    assert scaled.runway.equals(usual.runway)


def test_a_quiet_weekday_stays_quiet():
    week = [10.0, 12.0, 11.0, 10.0, 12.0, 0.0, 0.0]
    last_is_a_sunday = AS_OF - timedelta(days=(AS_OF.weekday() + 1) % 7)
    days = forecast(frame({"a": week * 26}, until=last_is_a_sunday), last_is_a_sunday, 28, paths=400).daily
    median = days.filter(pl.col("quantile") == 0.5).with_columns(weekday=pl.col("date").dt.weekday())
    assert median.filter(pl.col("weekday") >= 6)["spend_amount"].max() == 0
    assert median.filter(pl.col("weekday") <= 5)["spend_amount"].min() > 5


def test_bands_of_ordinary_accounts_have_their_nominal_coverage():
    rng = np.random.default_rng(11)
    truth = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, (120, 210)), axis=1)) * rng.gamma(4, 0.25, (120, 210))
    spend = frame({f"a{number:03d}": days[:180].tolist() for number, days in enumerate(truth)})
    total = forecast(spend, AS_OF, 30, quantiles=(0.025, 0.1, 0.9, 0.975), paths=300).total
    month = total.filter(pl.col("horizon_days") == 30)["spend_amount"].to_numpy().reshape(120, 4)
    came = truth[:, 180:].sum(axis=1)
    assert 0.68 < ((came >= month[:, 1]) & (came <= month[:, 2])).mean() < 0.92
    assert ((came >= month[:, 0]) & (came <= month[:, 3])).mean() > 0.88


def test_accounts_that_wander_teach_a_wider_range_than_those_that_do_not():
    rng = np.random.default_rng(5)
    still = {f"s{number:02d}": (10 * rng.gamma(9, 1 / 9, 180)).tolist() for number in range(40)}
    level = np.repeat(np.exp(rng.normal(0, 0.5, (40, 9))), 20, axis=1)
    moving = {f"m{number:02d}": (10 * level[number] * rng.gamma(9, 1 / 9, 180)).tolist() for number in range(40)}
    width = {}
    for name, world in (("still", still), ("moving", moving)):
        pool = forecast(frame(world), AS_OF, 5, paths=10).pool
        rows = forecast(frame({"x": noise(60)}), AS_OF, 30, pool=pool, paths=400).total.filter(
            pl.col("horizon_days") == 30
        )
        width[name] = rows["spend_amount"][-1] - rows["spend_amount"][0]
    assert width["moving"] > 1.5 * width["still"]


def widths(world: dict[str, list[float]]) -> list[float]:
    return forecast(frame(world), AS_OF, 5, paths=10).pool.filter(pl.col("statistic") == "widths")["value"].to_list()


def test_bands_are_widened_or_narrowed_by_past_coverage():
    rng = np.random.default_rng(9)
    spiky = {f"a{number:02d}": rng.lognormal(0, 1.5, 180).tolist() for number in range(35)}
    slow = {f"a{number:02d}": np.exp(np.cumsum(rng.normal(0, 0.01, 180))).tolist() for number in range(35)}
    assert widths(spiky)[0] > 0.1
    assert widths(slow)[1] < -0.1


def test_wider_widths_give_wider_bands(usual):
    wider = usual.pool.with_columns(
        value=pl.when(pl.col("statistic") == "widths").then(pl.col("value") + 0.7).otherwise("value")
    )

    def band(result) -> float:
        rows = result.total.filter((pl.col("account_id") == "usual-03") & (pl.col("horizon_days") == 30))
        return rows["spend_amount"][-1] - rows["spend_amount"][0]

    assert band(run(pool=wider)) > 1.2 * band(usual)


days = st.one_of(st.none(), st.just(0.0), st.floats(0, 1e6), st.floats(-1e3, 0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(days, max_size=120), min_size=1, max_size=3), st.floats(-10, 1e6))
def test_for_any_observations_the_forecast_is_finite_ordered_and_bounded(histories, balance):
    names = [f"a{number}" for number in range(len(histories))]
    spend = frame(dict(zip(names, histories, strict=True)))
    held = pl.DataFrame({"account_id": names, "balance_amount": [balance] * len(names)})
    result = forecast(spend, AS_OF, 12, balances=held, quantiles=(0.1, 0.5, 0.9), paths=40)
    refunded = {name for name, listed in zip(names, histories, strict=True) if any((day or 0) < 0 for day in listed)}
    for part in (result.daily, result.total):
        amounts = part["spend_amount"].to_numpy().reshape(-1, 3)
        assert np.isfinite(amounts).all()
        assert (np.diff(amounts, axis=1) >= 0).all()
        usage = part.filter(~pl.col("account_id").is_in(list(refunded)))["spend_amount"]
        assert usage.is_empty() or usage.min() >= 0
    shares = result.runway["depleted_probability"].to_numpy().reshape(-1, 12)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert (np.diff(shares, axis=1) >= 0).all()
    assert len(result.methods) == len(names)
    empty = {name for name, listed in zip(names, histories, strict=True) if all(day is None for day in listed)}
    assert set(result.methods.filter(pl.col("is_abstained"))["account_id"]) == empty


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-5, 20), min_size=1, max_size=15), st.floats(-5, 60), st.floats(-5, 30))
def test_first_passage_is_the_first_day_below(spend, balance, threshold):
    left, expected = balance, 0 if balance < threshold - 1e-6 else None
    for day, amount in enumerate(spend, start=1):
        left -= amount
        if abs(left - threshold) <= 1e-6:
            return  # the side of a tie that a sum of floats falls on is not tested
        if expected is None and left < threshold:
            expected = day
    if abs(balance - threshold) <= 1e-6:
        return
    assert first_passage(np.array([spend]), balance, threshold).tolist() == [
        len(spend) + 1 if expected is None else expected
    ]


def test_using_up_a_balance_exactly_is_not_running_out():
    assert first_passage(np.full((1, 10), 0.1), 1.0).tolist() == [11]
    assert first_passage(np.full((1, 11), 0.1), 1.0).tolist() == [11]
    assert sum([0.1, 0.1, 0.1]) > 0.3
    assert first_passage(np.full((1, 3), 0.1), 0.3).tolist() == [4]


def test_paths_and_pool_passed_on_are_those_of_the_forecast(usual):
    handed = []
    assert same(usual, run(on_paths=handed.append))
    drawn = list(iterate_paths(SPEND, AS_OF, 40, balances=BALANCES, paths=100))
    assert [each.account_id for each in handed] == [each.account_id for each in drawn]
    assert len(handed) > 10
    for one, other in zip(handed, drawn, strict=True):
        assert (one.as_of, one.method, one.history_days) == (other.as_of, other.method, other.history_days)
        assert np.array_equal(one.amounts, other.amounts)
        assert np.array_equal(one.charges, other.charges)
    assert learn_pool(SPEND, AS_OF).equals(usual.pool)
