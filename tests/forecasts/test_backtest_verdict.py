"""What backtest scores mean, in sentences."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.forecasts.backtest_scores import SCORES
from pipeline.forecasts.backtest_verdict import verdict


def scores(
    *,
    held: float = 0.79,
    below: float = 0.08,
    count: int = 200,
    apart: int = 12,
    loss: float | None = 0.7,
    week: float | None = 1.4,
) -> pl.DataFrame:
    own = ("*", "drawdown", 30, count, apart, count, loss, held, 0.9, below, 1 - held - below, loss, 0.1)
    others = [
        ("*", method, 30, count, apart, count, ratio, None, None, None, None, ratio, 0.1)
        for method, ratio in (("mean_7d", week), ("mean_28d", None if loss is None else 1.0), ("seasonal_naive", week))
    ]
    return pl.DataFrame([own, *others], schema=SCORES, orient="row")


def test_the_verdict_states_the_coverage_and_the_beaten_baselines():
    assert verdict(scores()) == [
        "In 100 weeks like these, the 80 % band for the next 30 days would have held 79: 8 would have fallen below it, 13 above.",
        "Next 30 days: the forecast's loss is 30 % smaller than the 28-day mean's and 50 % smaller than the 7-day mean's.",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"held": 0.6}, "too narrow"),
        ({"held": 0.97, "below": 0.01}, "wider than necessary"),
        ({"count": 6}, "only 6 forecasts: read it as a hint"),
        ({"count": 1}, "only 1 forecast: read it as a hint"),
        ({"apart": 3}, "the 200 forecasts cover only 3 stretches of 30 days: read it as a hint"),
        ({"apart": 1}, "cover only one stretch of 30 days"),
        ({"loss": 1.25}, "25 % larger than the 28-day mean's and 11 % smaller than the 7-day mean's"),
        ({"loss": 1.01}, "the same as the 28-day mean's"),
        ({"week": 0.0}, "the 7-day mean made no error"),
        ({"loss": None, "week": None}, "the 28-day mean made no error"),
    ],
)
def test_the_verdict_is_honest(more, said):
    assert said in " ".join(verdict(scores(**more)))


def test_a_hint_is_not_judged():
    assert "narrow" not in " ".join(verdict(scores(held=0.2, count=5)))


def test_weeks_are_mentioned_only_if_origins_are_a_week_apart():
    assert verdict(scores(), step_days=3)[0].startswith("In 100 forecasts like these")


def test_an_account_that_has_no_scores_gets_one_sentence():
    assert len(verdict(scores(), "another")) == 1
