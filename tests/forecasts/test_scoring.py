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


SAMPLES = {
    "money": lambda rng, shape: rng.gamma(2, 5, shape).round(2),
    "large": lambda rng, shape: 123_456_789_012.34 + rng.integers(0, 50, shape) / 100,
    "constant": lambda rng, shape: np.full(shape, 49.99),
    "mostly zero": lambda rng, shape: rng.gamma(2, 5, shape) * (rng.random(shape) < 0.08),
    "refunds": lambda rng, shape: rng.normal(0, 3, shape).round(1),
    "nearer than a key tells": lambda rng, shape: np.where(rng.random(shape) < 0.01, 1e9, rng.random(shape)),
}


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("count", [255, 256, 1000, 1024, 1025, 4096])
def test_quantiles_of_many_samples_are_exact(kind, count):
    samples = SAMPLES[kind](np.random.default_rng(count), (3, 20, count))
    levels = np.array([0.0001, 0.05, 0.1, 0.5, 0.9, 0.95, 0.9999])
    # A row at a time, all of its 64 bits are compared.
    one_by_one = np.array([[quantiles_of(row, levels) for row in rows] for rows in samples])
    assert np.array_equal(quantiles_of(samples, levels), one_by_one)
    assert quantiles_of(samples[0], np.array([0.5]))[:, 0] == pytest.approx(np.median(samples[0], axis=1))


def test_an_infinite_sample_leaves_the_other_quantiles_as_they_are():
    samples = np.tile(np.arange(1001.0), (10, 1))
    samples[:, -1] = np.inf
    assert quantiles_of(samples, np.array([0.1, 0.9])).tolist() == [[100.0, 900.0]] * 10


def test_a_total_at_a_bands_edge_is_within_it_despite_rounding():
    edge = np.array(0.3)
    assert is_at_or_below(np.array(0.1 + 0.2), edge)
    assert is_at_or_above(np.array(0.3), np.array(0.1 + 0.2))
    assert not is_at_or_below(np.array(0.3001), edge)
    assert not is_at_or_above(np.array(0.2999), edge)


def test_a_brier_score_is_the_squared_distance():
    assert brier(np.array([0.0, 0.5, 0.2]), np.array([False, True, True])) == pytest.approx([0, 0.25, 0.64])
