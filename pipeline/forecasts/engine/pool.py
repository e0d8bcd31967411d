"""What accounts learn from each other: some hundred numbers that can be kept and passed in again."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import polars as pl

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.engine.weekly_levels import TIME_CONSTANTS

WIDTH_WEEKS: Final = (1, 4, 12)
"""Weeks whose totals the widths are calibrated on: about the 7, 30 and 90 days that are asked for."""

SHOCK_PROBABILITIES: Final = np.linspace(0.02, 0.98, 49)
"""Probabilities at which quantiles of the shocks are kept: every second per cent."""

SCHEMA: Final = pl.Schema({"statistic": pl.String, "vendor": pl.String, "position": pl.Int64, "value": pl.Float64})


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledStatistics:
    """What the pool says about n accounts, by their roughness."""

    errors: Floats
    """(n, TIME_CONSTANTS): relative past errors."""
    variance: Floats
    """(n,): log variance of the level over four weeks beyond what blocks explain."""
    widths: Floats
    """(n, WIDTH_WEEKS): log of the factor on the level's standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Statistics of all accounts together, without a unit except in `levels`.

    Most are kept at knots: each is the mean roughness of a group of accounts, and values between knots are
    interpolated. The names of the fields are those of the statistics in the pool's frame.
    """

    roughness: Floats
    """(knots,): rising."""
    errors: Floats
    """(knots, TIME_CONSTANTS): mean past error of each time constant, relative to the mean of all."""
    excess: Floats
    """(knots,): log variance of the level over four weeks beyond what blocks explain, relative to `prior_excess`."""
    widths: Floats
    """(knots, WIDTH_WEEKS): log of the factor on the level's deviation that gives past totals the nominal coverage."""
    shocks: Floats
    """(SHOCK_PROBABILITIES,): quantiles of absolute past errors relative to their root mean square."""
    donors: dict[str, Floats]
    """By vendor, and of all under the empty name: (donors, 7) weeks with a sum of 1."""
    levels: dict[str, Floats]
    """By vendor: (2,) mean and standard deviation of the log of the mean daily spend, in money."""

    def at(self, roughness: Floats) -> PooledStatistics:
        """Return the statistics for accounts of a roughness of (n,)."""
        return PooledStatistics(
            errors=between_knots(self.roughness, self.errors, roughness),
            variance=pooled_variance(self.roughness, self.excess, roughness),
            widths=between_knots(self.roughness, self.widths, roughness),
        )


def between_knots(knots: Floats, values: Floats, roughness: Floats) -> Floats:
    """Return (n, columns): `values`, (knots, columns), interpolated linearly at `roughness`, (n,), and flat beyond."""
    columns = values.reshape(len(knots), -1).T
    return np.stack([np.interp(roughness, knots, column) for column in columns], axis=1)


def pooled_variance(knots: Floats, excess: Floats, roughness: Floats) -> Floats:
    """Return (n,): log variance of the level over four weeks from `excess`, (knots,), for a roughness of (n,)."""
    return between_knots(knots, excess, roughness)[:, 0] * prior_excess(roughness)


def prior_excess(roughness: Floats) -> Floats:
    """Return the log variance of a level over four weeks to start from where nothing was learned.

    No level is constant, and a rough account's less so: a deviation of 4.5 % for a smooth account, of 32 % at most.
    """
    return np.minimum(0.002 + 0.3 * roughness, 0.1)


def uninformed_pool() -> Pool:
    """Return the pool to use where there is no account to learn from."""
    knots = np.array([0.0, 0.5])
    return Pool(
        roughness=knots,
        errors=np.ones((2, len(TIME_CONSTANTS))),
        excess=np.ones(2),
        widths=np.zeros((2, len(WIDTH_WEEKS))),
        # An exponential distribution scaled to have about the root mean square of 1 that shocks have.
        shocks=-np.log(1.0 - SHOCK_PROBABILITIES) / 1.4,
        donors={},
        levels={},
    )


def to_frame(pool: Pool) -> pl.DataFrame:
    """Return the pool as rows of SCHEMA, to be kept and passed in again."""
    rows: list[tuple[str, str, int, float]] = []
    for field in fields(pool):
        value = getattr(pool, field.name)
        for vendor, numbers in (value if isinstance(value, dict) else {"": value}).items():
            rows += [(field.name, vendor, place, number) for place, number in enumerate(numbers.ravel().tolist())]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def from_frame(frame: pl.DataFrame) -> Pool:
    """Return the pool of an earlier result; its rows may come in any order. Raises InputError for any other frame."""
    if dict(frame.schema) != dict(SCHEMA):
        raise InputError(f"pool has columns {', '.join(frame.columns)}; pass the `.pool` of an earlier result")
    found: dict[str, dict[str, Floats]] = {field.name: {} for field in fields(Pool)}
    for (name, vendor), rows in frame.sort("statistic", "vendor", "position").group_by(
        "statistic", "vendor", maintain_order=True
    ):
        found.setdefault(str(name), {})[str(vendor)] = rows["value"].to_numpy()
    try:
        knots = len(found["roughness"][""])
        return Pool(
            roughness=found["roughness"][""],
            errors=found["errors"][""].reshape(knots, len(TIME_CONSTANTS)),
            excess=found["excess"][""].reshape(knots),
            widths=found["widths"][""].reshape(knots, len(WIDTH_WEEKS)),
            shocks=found["shocks"][""].reshape(len(SHOCK_PROBABILITIES)),
            donors={vendor: weeks.reshape(-1, 7) for vendor, weeks in found["donors"].items()},
            levels=found["levels"],
        )
    except (KeyError, ValueError):
        raise InputError("pool is incomplete; pass the `.pool` of an earlier result") from None
