"""A permanent change of level: earlier days are no history of the new level."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pipeline.forecasts import forecast
from pipeline.forecasts.engine.regimes import cut_at_level_shift

AS_OF = date(2026, 11, 20)


def _days(*parts: tuple[int, float]) -> np.ndarray:
    """(1, 420): the last days at the given levels, NaN before."""
    values = np.concatenate([np.full(days, level) for days, level in parts])
    return np.concatenate([np.full(420 - len(values), np.nan), values])[None, :]


def _kept(*parts: tuple[int, float]) -> int:
    return int(np.isfinite(cut_at_level_shift(_days(*parts))).sum())


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ([(200, 10), (42, 100)], 42),
        ([(200, 100), (42, 10)], 42),
        # In the middle of a week: it belongs to the nearer level.
        ([(200, 10), (46, 100)], 49),
        ([(200, 100), (46, 10)], 42),
        # The newest of two changes.
        ([(100, 10), (100, 100), (42, 10)], 42),
        ([(100, 10), (120, 100), (42, 1000)], 42),
        # Too small, too short, or with too little history before.
        ([(200, 10), (42, 29)], 242),
        ([(200, 10), (21, 100)], 221),
        ([(33, 10), (42, 100)], 75),
        # Too long ago to matter.
        ([(100, 10), (203, 100)], 303),
        # Weeks without spend are no level, neither before nor since.
        ([(200, 0), (42, 5)], 242),
        ([(200, 10), (42, 0)], 242),
        ([(200, 10), (42, -5)], 242),
    ],
)
def test_only_a_clear_change_of_level_ends_a_history(parts: list[tuple[int, float]], kept: int) -> None:
    assert _kept(*parts) == kept


def test_days_that_were_not_observed_neither_make_a_change_nor_hide_one() -> None:
    days = _days((200, 10), (42, 100))
    days[0, -20:-16] = np.nan
    assert np.isfinite(cut_at_level_shift(days)).sum() == 38
    gap = _days((200, 10))
    gap[0, -60:-20] = np.nan
    assert np.isfinite(cut_at_level_shift(gap)).sum() == 160


def test_noise_of_weeks_is_no_change() -> None:
    rng = np.random.default_rng(5)
    days = rng.lognormal(0.0, 1.0, (500, 420))
    assert (np.isnan(cut_at_level_shift(days)).any(axis=1)).mean() < 0.01


def test_after_a_step_up_the_account_runs_dry_as_fast_as_it_now_spends() -> None:
    rng = np.random.default_rng(1)
    spend = np.concatenate([rng.normal(170, 30, 359), rng.normal(1250, 200, 41)])
    frame = pl.DataFrame(
        {
            "account_id": ["campaign"] * len(spend),
            "date": [AS_OF - timedelta(days=len(spend) - 1 - day) for day in range(len(spend))],
            "spend_amount": spend,
        }
    )
    result = forecast(frame, AS_OF, 30, balances=pl.DataFrame({"account_id": ["campaign"], "balance_amount": [3650.0]}))

    dry = dict(result.runway.select("date", "depleted_probability").iter_rows())
    assert dry[AS_OF + timedelta(days=7)] > 0.95
    assert result.methods.select("method", "history_days").row(0) == ("blocks", 42)
    # The old level is outside the forecast.
    tomorrow = result.daily.filter((pl.col("quantile") == 0.05) & (pl.col("date") == AS_OF + timedelta(days=1)))
    assert tomorrow["spend_amount"].item() > 500
