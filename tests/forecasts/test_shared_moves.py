"""Accounts that move together: joint paths, totals of groups, and a season that is known."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from pipeline.forecasts import InputError, forecast, iterate_paths
from tests.forecasts.worlds import AS_OF, frame, mixed, noise

ACCOUNTS = 24


def together(days: int = 180, *, deviation: float = 0.15, seed: int = 0) -> dict[str, list[float]]:
    """Accounts with one wandering level and their own noise."""
    level = np.repeat(np.exp(np.cumsum(np.random.default_rng(seed).normal(0, deviation, days // 7 + 1))), 7)[:days]
    return {f"a{number:02d}": (level * noise(days, seed=number)).tolist() for number in range(ACCOUNTS)}


def apart(days: int = 180) -> dict[str, list[float]]:
    return {f"a{number:02d}": noise(days, seed=number) for number in range(ACCOUNTS)}


def totals(histories: dict[str, list[float]], **more) -> np.ndarray:
    """Totals of 28 days, (accounts, paths)."""
    found = iterate_paths(frame(histories), AS_OF, 28, **({"paths": 400} | more))
    return np.stack([each.amounts.sum(axis=1) for each in found])


def correlations(paths: np.ndarray) -> np.ndarray:
    """Rank correlations between accounts: a few paths with an unusual spell, which all share, do not decide them."""
    return np.corrcoef(paths.argsort(axis=1).argsort(axis=1))


def correlation(paths: np.ndarray) -> float:
    found = correlations(paths)
    return float(found[np.triu_indices(len(paths), 1)].mean())


def test_paths_of_accounts_that_moved_together_move_together():
    assert correlation(totals(together())) > 0.5
    # Those that did not share what the prior cannot exclude.
    assert correlation(totals(apart())) < 0.5 * correlation(totals(together()))


def test_the_fleet_total_is_wider_than_that_of_independent_accounts():
    paths = totals(together())
    rng = np.random.default_rng(1)
    independent = np.stack([rng.permutation(row) for row in paths]).sum(axis=0)
    assert np.log(paths.sum(axis=0)).std() > 2.5 * np.log(independent).std()


def test_a_constant_account_does_not_take_part():
    # Same days for all: what the others share is none of its business.
    world = together() | {"fixed": [10.0] * 180}
    total = forecast(frame(world), AS_OF, 30, paths=400).total
    month = total.filter((pl.col("account_id") == "fixed") & (pl.col("horizon_days") == 30))["spend_amount"]
    assert month[-1] / month[0] < 1.2


def test_an_account_alone_with_the_pool_has_the_shared_moves_of_the_fleet():
    world = together()
    spend = frame(world).with_columns(
        vendor=pl.when(pl.col("account_id") < "a12").then(pl.lit("x")).otherwise(pl.lit("y"))
    )
    pool = forecast(spend, AS_OF, 5, paths=10).pool
    assert set(pool.filter(pl.col("statistic") == "shared")["vendor"]) == {"", "x", "y"}
    every = {each.account_id: each.amounts for each in iterate_paths(spend, AS_OF, 28, paths=50, pool=pool)}
    for name in ("a03", "a20"):
        [alone] = iterate_paths(spend.filter(pl.col("account_id") == name), AS_OF, 28, paths=50, pool=pool)
        assert np.array_equal(alone.amounts, every[name])


def test_a_vendor_whose_accounts_move_together_is_told_from_the_fleet():
    rng = np.random.default_rng(4)
    level = np.repeat(np.exp(np.cumsum(rng.normal(0, 0.2, 26))), 7)[:180]
    rows = {f"a{number:02d}": noise(180, seed=number) for number in range(ACCOUNTS)}
    for number in range(12):
        rows[f"a{number:02d}"] = (np.array(rows[f"a{number:02d}"]) * level).tolist()
    spend = frame(rows).with_columns(
        vendor=pl.when(pl.col("account_id") < "a12").then(pl.lit("x")).otherwise(pl.lit("y"))
    )
    paths = np.stack([each.amounts.sum(axis=1) for each in iterate_paths(spend, AS_OF, 28, paths=400)])
    found = correlations(paths)
    within = found[:12, :12][np.triu_indices(12, 1)].mean()
    between = found[:12, 12:].mean()
    assert within > between + 0.1


def test_accounts_whose_balances_are_of_different_days_still_move_together():
    world = together()
    spend = frame(world)
    pool = forecast(spend, AS_OF, 5, paths=10).pool
    earlier = AS_OF - timedelta(days=3)
    today = np.stack([each.amounts.sum(axis=1) for each in iterate_paths(spend, AS_OF, 28, paths=400, pool=pool)])
    before = iterate_paths(spend.filter(pl.col("date") <= earlier), earlier, 28, paths=400, pool=pool)
    other = np.stack([each.amounts.sum(axis=1) for each in before])
    assert correlations(np.stack([today[0], other[1]]))[0, 1] > 0.4


@pytest.fixture(scope="module")
def grouped():
    spend = frame(mixed())
    names = sorted(mixed())
    groups = pl.DataFrame({"account_id": [*names, *names[:4]], "group_id": ["fleet"] * len(names) + ["team"] * 4})
    return spend, groups, forecast(spend, AS_OF, 20, paths=60, groups=groups)


def test_groups_are_sums_of_paths(grouped):
    spend, groups, result = grouped
    paths = {each.account_id: each.amounts for each in iterate_paths(spend, AS_OF, 20, paths=60)}
    for group, count in (("fleet", len(mixed())), ("team", 4)):
        members = groups.filter(pl.col("group_id") == group)["account_id"].to_list()
        summed = np.cumsum(sum(paths[name] for name in members), axis=1)
        rows = result.groups.filter(pl.col("group_id") == group)
        for days in (1, 7, 20):
            some = rows.filter(pl.col("horizon_days") == days)
            wanted = np.quantile(summed[:, days - 1], some["quantile"].to_numpy())
            assert some["spend_amount"].to_numpy() == pytest.approx(wanted)
        assert set(rows["forecast_account_count"]) == {count}


def test_groups_do_not_depend_on_chunks_or_order(grouped):
    spend, groups, result = grouped
    again = forecast(
        spend.sample(fraction=1.0, shuffle=True, seed=2),
        AS_OF,
        20,
        paths=60,
        groups=groups.sample(fraction=1.0, shuffle=True, seed=3),
        chunk=3,
    )
    assert again.groups.equals(result.groups)
    assert again.total.equals(result.total)


def test_accounts_that_cannot_be_forecast_are_not_counted():
    spend = frame({"a": noise(60), "old": [1.0]}, until=AS_OF)
    held = pl.DataFrame({"account_id": ["empty"], "balance_amount": [1.0]})
    groups = pl.DataFrame({"account_id": ["a", "empty", "empty"], "group_id": ["one", "one", "none"]})
    found = forecast(spend, AS_OF, 3, balances=held, groups=groups, paths=20).groups
    assert set(found.select("group_id", "forecast_account_count").iter_rows()) == {("one", 1)}


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"account_id": ["a"]}, "no column group_id"),
        ({"account_id": ["a", "a"], "group_id": ["x", "x"]}, "more than once"),
        ({"account_id": ["b"], "group_id": ["x"]}, "account b, of which nothing"),
        ({"account_id": ["a"], "group_id": [None]}, "without an account_id or a group_id"),
    ],
)
def test_wrong_groups_are_refused(groups, words):
    frame_of = pl.DataFrame(groups, schema_overrides={"group_id": pl.String} if "group_id" in groups else None)
    with pytest.raises(InputError, match=words):
        forecast(frame({"a": noise(40)}), AS_OF, 3, groups=frame_of, paths=5)


def with_yearly_shock(days: int, *, begins_in: int) -> dict[str, list[float]]:
    """Every account halves for three weeks once a year, last a year before `begins_in` days ahead."""
    ahead = np.arange(1 - days, 1)
    is_shock = np.zeros(days, dtype=bool)
    for year in (1, 2, 3):
        first = begins_in - 365 * year
        is_shock |= (ahead >= first) & (ahead < first + 21)
    factor = np.where(is_shock, 0.5, 1.0)
    return {f"a{number:02d}": (factor * noise(days, seed=number)).tolist() for number in range(ACCOUNTS)}


@pytest.mark.parametrize("begins_in", [1, 15])
def test_a_season_that_came_twice_is_expected_again(begins_in):
    world = frame(with_yearly_shock(730, begins_in=begins_in))
    result = forecast(world, AS_OF, 42, quantiles=(0.025, 0.1, 0.5, 0.9, 0.975), paths=300)
    assert set(result.methods["reason"]) == {""}
    days = result.daily.filter(pl.col("quantile") == 0.5).with_columns(
        ahead=(pl.col("date") - pl.lit(AS_OF)).dt.total_days()
    )
    during = days.filter(pl.col("ahead").is_between(begins_in, begins_in + 20))["spend_amount"].mean()
    after = days.filter(pl.col("ahead").is_between(begins_in + 23, 42))["spend_amount"].mean()
    if after is not None:
        assert 0.35 < during / after < 0.75


def test_noise_of_two_years_is_no_season():
    pool = forecast(frame(apart(730)), AS_OF, 5, paths=10).pool
    share = pool.filter((pl.col("statistic") == "season") & (pl.col("position") == 1))["value"].item()
    assert share < 0.3


def test_with_half_a_year_the_season_is_unknown_and_a_fall_by_half_is_inside_the_outer_band():
    result = forecast(frame(apart(182)), AS_OF, 28, quantiles=(0.025, 0.1, 0.9, 0.975), paths=400)
    assert set(result.methods["reason"]) == {"less than 56 weeks observed: the season is unknown"}
    total = result.total.filter(pl.col("horizon_days") == 21)["spend_amount"].to_numpy().reshape(-1, 4)
    halved = 0.5 * 21 * 10 * (5 * 1.2 + 2 * 0.5) / 7
    assert (total[:, 0] < halved).mean() > 0.8
    assert (total[:, 1] > halved).all()


def test_the_end_of_an_unknown_year_is_wider_than_its_middle():
    def width(until) -> float:
        total = forecast(frame(apart(182), until=until), until, 28, paths=400).total
        month = total.filter(pl.col("horizon_days") == 28)["spend_amount"].to_numpy().reshape(ACCOUNTS, -1)
        return float((month[:, -1] / month[:, 0]).mean())

    assert width(AS_OF.replace(month=12, day=5)) > 1.2 * width(AS_OF)
