"""Scores of forecasts, by hand and as the benchmark computes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.forecast import scores as benchmark
from pipeline.forecasts.engine.scoring import brier, is_at_or_above, is_at_or_below, pinball, quantiles_of


def test_losses_and_bands_are_those_of_the_benchmark():
    rng = np.random.default_rng(3)
    days, past = rng.gamma(2, 5, (90, 400)), rng.gamma(2, 5, 180)
    for future in (rng.gamma(2, 5, 90), np.full(90, 40.0), np.zeros(90)):
        scores = dict(
            zip(
                benchmark.SCORES,
                benchmark.score(benchmark.from_paths(days, past.mean()), past, future, past),
                strict=True,
            )
        )
        totals = days[:30].sum(axis=0)
        came = np.array(future[:30].sum())
        found = quantiles_of(totals, benchmark.LEVELS)
        assert pinball(found, benchmark.LEVELS, came) / (past.mean() * 30) == pytest.approx(scores["crps30"])
        low, high = quantiles_of(totals, np.array([0.1, 0.9]))
        assert (scores["low30"], scores["high30"]) == (not is_at_or_above(came, low), not is_at_or_below(came, high))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_quantiles_are_those_of_numpy(samples, level):
    values = np.array(samples)
    assert quantiles_of(values, np.array([level]))[0] == pytest.approx(np.quantile(values, level), rel=1e-9, abs=1e-6)


def test_a_total_at_a_bands_edge_is_within_it_despite_rounding():
    edge = np.array(0.3)
    assert is_at_or_below(np.array(0.1 + 0.2), edge)
    assert is_at_or_above(np.array(0.3), np.array(0.1 + 0.2))
    assert not is_at_or_below(np.array(0.3001), edge)
    assert not is_at_or_above(np.array(0.2999), edge)


def test_a_brier_score_is_the_squared_distance():
    assert brier(np.array([0.0, 0.5, 0.2]), np.array([False, True, True])) == pytest.approx([0, 0.25, 0.64])
