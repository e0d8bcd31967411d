"""Scores of a forecast of one series from one origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TRAINING = 180
HORIZON = 90
DAILY = 30
"""Single days ahead that are scored."""
TOTALS = (7, 30, 90)
LEVELS = (np.arange(21) + 0.5) / 21
"""The quantiles whose mean pinball loss, doubled, is the CRPS."""
EDGES = np.array([0.025, 0.10, 0.90, 0.975, 0.95])
"""80 %, 95 %, and the level of a top-up at a risk of 5 %."""
ASKED = np.concatenate([LEVELS, EDGES])
BALANCES = (5, 10, 20, 40)
"""Starting balances of the runway, in days of mean spend."""

SCORES = (
    "daily",
    *(f"{name}{days}" for days in TOTALS for name in ("crps", "in80_", "in95_", "low", "high")),
    "runway",
    "short",
    "over",
    "over_of_sums",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A method's forecast of one series."""

    daily: Array
    """(DAILY, len(ASKED)) quantiles."""
    totals: Array
    """(len(TOTALS), len(ASKED)) quantiles of sums."""
    runway: Array
    """(len(BALANCES), HORIZON): probability of having run dry by the end of each day."""


def at(values: Array, levels: Array) -> Array:
    """Quantiles over the last axis, which has the samples."""
    ordered = np.sort(values, axis=-1)
    place = levels * (values.shape[-1] - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, values.shape[-1] - 1)
    return ordered[..., low] + (ordered[..., high] - ordered[..., low]) * (place - low)


def from_paths(days: Array, mean: float) -> Answer:
    """Forecast from sample paths, (HORIZON, paths), for balances in multiples of `mean`."""
    sums = np.cumsum(days, axis=0)
    reached = np.maximum.accumulate(sums, axis=0)
    runway = np.stack([(reached > times * mean).mean(axis=1) for times in BALANCES])
    return Answer(at(days[:DAILY], ASKED), at(sums[[days_ - 1 for days_ in TOTALS]], ASKED), runway)


def from_rate(rate: float, mean: float) -> Answer:
    """Forecast of a method with a single number: a constant daily rate."""
    day = np.arange(1, HORIZON + 1)
    runway = np.stack([(rate * day > times * mean).astype(float) for times in BALANCES])
    return Answer(
        np.full((DAILY, len(ASKED)), rate), np.repeat(rate * np.array(TOTALS, float), len(ASKED)).reshape(3, -1), runway
    )


def _pinball(quantiles: Array, came: Array) -> Array:
    miss = came[..., None] - quantiles
    return 2 * np.maximum(LEVELS * miss, (LEVELS - 1) * miss).mean(axis=-1)


def score(answer: Answer, past: Array, future: Array, whole: Array) -> Array:
    """Return one number for each of SCORES; NaN if the future is too short or the scale is zero.

    `past` is (TRAINING,), `future` (at most HORIZON,), `whole` the series. Losses are divided by a scale that is the
    same for every method. For days it is the in-sample mean absolute difference to the same weekday a week before, at
    least a tenth of the whole series'; for sums the whole series' mean, because a series that had hardly begun at an
    origin would otherwise outweigh a hundred others.
    """
    out = dict.fromkeys(SCORES, np.nan)
    weekly = max(np.abs(past[7:] - past[:-7]).mean(), 0.1 * np.abs(whole[7:] - whole[:-7]).mean())
    mean, scale = past.mean(), whole.mean()
    if weekly > 0:
        out["daily"] = float(_pinball(answer.daily[:, : len(LEVELS)], future[:DAILY]).mean() / weekly)
    for row, days in enumerate(TOTALS):
        if len(future) < days or scale <= 0:
            continue
        came = future[:days].sum()
        quantiles = answer.totals[row]
        lower95, lower80, upper80, upper95, ready = quantiles[len(LEVELS) :]
        slack = 1e-9 * abs(came)
        out[f"crps{days}"] = float(_pinball(quantiles[: len(LEVELS)], np.array(came)) / (scale * days))
        out[f"in80_{days}"] = float(lower80 - slack <= came <= upper80 + slack)
        out[f"in95_{days}"] = float(lower95 - slack <= came <= upper95 + slack)
        out[f"low{days}"], out[f"high{days}"] = float(came < lower80 - slack), float(came > upper80 + slack)
        if days == DAILY:
            out["short"] = float(came > ready + slack)
            out["over"] = max(ready - came, 0.0) / (scale * days)
            out["over_of_sums"] = max(answer.daily[:, -1].sum() - came, 0.0) / (scale * days)
    if len(future) >= HORIZON and mean > 0:
        sums = np.maximum.accumulate(np.cumsum(future[:HORIZON]))
        dry = np.stack([sums > times * mean for times in BALANCES]).astype(float)
        out["runway"] = float(((answer.runway - dry) ** 2).sum(axis=1).mean())
    return np.array([out[name] for name in SCORES])
