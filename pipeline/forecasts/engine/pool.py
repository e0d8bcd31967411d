"""The one small statistic that accounts take from each other."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import polars as pl

from pipeline.forecasts.engine.histories import Floats, InputError
from pipeline.forecasts.engine.learn import TAUS

HORIZONS: Final = (1, 4, 12)
"""Weeks whose totals the widths are set by."""

LADDER: Final = np.linspace(0.02, 0.98, 49)
"""Probabilities at which the sizes of past errors are kept."""

SCHEMA: Final = pl.Schema({"statistic": pl.String, "vendor": pl.String, "position": pl.Int64, "value": pl.Float64})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What is known of all accounts together; has no unit but in `levels`. A knot is a group of accounts as rough."""

    roughness: Floats
    """(knots,): rising."""
    errors: Floats
    """(knots, taus): how wrong each memory was, over the mean of all memories."""
    excess: Floats
    """(knots,): variance of the level over four weeks beyond what blocks explain, over `prior_excess`."""
    widths: Floats
    """(knots, len(HORIZONS)): log of what the deviation is multiplied by, so that past totals fell inside."""
    shocks: Floats
    """(len(LADDER),): quantiles of the size of past errors over their root mean square."""
    donors: dict[str, Floats]
    """By vendor, and of all under the empty name: (donors, 7) weeks with a sum of 1."""
    levels: dict[str, Floats]
    """By vendor: mean and deviation of the log of the mean daily spend."""

    def at(self, values: Floats, roughness: Floats) -> Floats:
        """(n, columns) of one of the knots' statistics, linear between knots and flat beyond."""
        columns = values.reshape(len(self.roughness), -1).T
        return np.stack([np.interp(roughness, self.roughness, column) for column in columns], axis=1)

    def excess_at(self, roughness: Floats) -> Floats:
        """(n,): variance of the level over four weeks beyond what blocks explain."""
        return self.at(self.excess, roughness)[:, 0] * prior_excess(roughness)


def prior_excess(roughness: Floats) -> Floats:
    """The variance to begin with where nothing was learnt: no level stands still, and a rough one less so."""
    return np.minimum(0.002 + 0.3 * roughness, 0.1)


def nobody() -> Pool:
    """What is supposed of an account when there is nobody to learn from, not even itself."""
    knots = np.array([0.0, 0.5])
    return Pool(
        roughness=knots,
        errors=np.ones((2, len(TAUS))),
        excess=np.ones(2),
        widths=np.zeros((2, len(HORIZONS))),
        # The sizes of a normal error, near enough.
        shocks=-np.log(1.0 - LADDER) / 1.4,
        donors={},
        levels={},
    )


def to_frame(pool: Pool) -> pl.DataFrame:
    """The pool as rows, to be kept and passed in again."""
    rows: list[tuple[str, str, int, float]] = []
    for field in fields(pool):
        value = getattr(pool, field.name)
        for vendor, numbers in (value if isinstance(value, dict) else {"": value}).items():
            rows += [(field.name, vendor, place, number) for place, number in enumerate(numbers.ravel().tolist())]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def from_frame(frame: pl.DataFrame) -> Pool:
    """The pool of an earlier result, whatever the order of its rows. Raises InputError where it is none."""
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
            errors=found["errors"][""].reshape(knots, len(TAUS)),
            excess=found["excess"][""].reshape(knots),
            widths=found["widths"][""].reshape(knots, len(HORIZONS)),
            shocks=found["shocks"][""].reshape(len(LADDER)),
            donors={vendor: weeks.reshape(-1, 7) for vendor, weeks in found["donors"].items()},
            levels=found["levels"],
        )
    except (KeyError, ValueError):
        raise InputError("pool is not whole; pass the `.pool` of an earlier result") from None
