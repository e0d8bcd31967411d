"""What accounts learn from each other: some hundred numbers that can be kept and passed in again."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import WEEKS, InputError
from pipeline.forecasts.engine.weekly_levels import TIME_CONSTANTS

WIDTH_WEEKS: Final = (1, 4, 12)
"""Weeks whose totals the widths are calibrated on: about the 7, 30 and 90 days that are asked for."""

SHOCK_PROBABILITIES: Final = np.linspace(0.02, 0.98, 49)
"""Probabilities at which quantiles of the shocks are kept: every second per cent."""

_FLEET_SCALE, _VENDOR_SCALE = 0.06, 0.03
"""Log deviation over four weeks of what a fleet's levels have in common, and a vendor's in addition, before any period
was seen. Half of it gave totals of made-up fleets that were too narrow, a half more calm fleets that were too wide."""

PRIOR_LESSONS: Final = 2.0
"""Distinct periods that the prior of shared moves counts as. Few: fleets differ, and the tails of a move are heavy."""

YEAR_WEEKS: Final = 52
"""Weeks after which a season returns."""

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
class SharedPrior:
    """What is assumed of shared moves of the level before any period was seen."""

    scale: float
    """Log deviation of the total."""
    lessons: float
    """Distinct periods that it counts as."""


def prior_shared(weeks: int, *, is_fleet: bool) -> SharedPrior:
    """Return the prior of the shared log error of totals of `weeks`, of the fleet or of a vendor beside it."""
    grown = float(np.sqrt(0.3 + 0.7 * (weeks + 1) / 2 / 2.5))
    return SharedPrior(scale=(_FLEET_SCALE if is_fleet else _VENDOR_SCALE) * grown, lessons=PRIOR_LESSONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedDeviation:
    """How far the level of a fleet or a vendor moves."""

    logs: Floats
    """(WIDTH_WEEKS,): log standard deviation of the total of that many weeks."""
    freedom: float
    """Degrees of freedom of the t distribution of a move: the distinct periods seen, and those of the prior."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YearlySeason:
    """What followed in the years before, in logs, times the share of it that is expected again."""

    share: float
    """0 to 1; 0 where it has not predicted the past."""
    weeks: Floats
    """(YEAR_WEEKS,): spend of all accounts in the weeks ahead, a year ago."""
    levels: Floats
    """(TIME_CONSTANTS,): the level a year ago, by each memory."""
    is_known: bool
    """Whether there was a year to learn from."""

    def factors(self, weeks: int) -> Floats:
        """Return (weeks, TIME_CONSTANTS): log factors on the level of each memory, in each week ahead."""
        return self.weeks[np.arange(weeks) % YEAR_WEEKS, None] - self.levels


def no_season() -> YearlySeason:
    """Return the season of a fleet that is known for less than a year."""
    return YearlySeason(share=0.0, weeks=np.zeros(YEAR_WEEKS), levels=np.zeros(len(TIME_CONSTANTS)), is_known=False)


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
    shared: dict[str, Floats]
    """By vendor, and of the fleet under the empty name: (WIDTH_WEEKS + 1,) as in SharedDeviation, `freedom` last."""
    shared_errors: dict[str, Floats]
    """By the same names: (WEEKS,) shared log errors of the four weeks after each past week; a vendor's beside the
    fleet's."""
    season: Floats
    """(2 + YEAR_WEEKS + TIME_CONSTANTS,): as in YearlySeason, whether it is known first."""

    def deviation_of(self, scope: str) -> SharedDeviation | None:
        """Return what is known of the shared moves of a vendor, or of the fleet; None where nothing is."""
        if scope not in self.shared:
            return None
        return SharedDeviation(logs=self.shared[scope][:-1], freedom=float(self.shared[scope][-1]))

    def yearly(self) -> YearlySeason:
        """Return the season."""
        known, share, rest = float(self.season[0]), float(self.season[1]), self.season[2:]
        return YearlySeason(share=share, weeks=rest[:YEAR_WEEKS], levels=rest[YEAR_WEEKS:], is_known=known > 0)

    def at(self, roughness: Floats) -> PooledStatistics:
        """Return the statistics for accounts of a roughness of (n,)."""
        return PooledStatistics(
            errors=between_knots(self.roughness, self.errors, roughness),
            variance=pooled_variance(self.roughness, self.excess, roughness),
            widths=between_knots(self.roughness, self.widths, roughness),
        )


def shared_errors_of(errors: dict[str, Floats], vendors: list[str], calendar: NDArray[np.int64]) -> Floats:
    """Return (n, w): the shared errors of n accounts of these vendors in their weeks, `calendar`, (n, w).

    `errors` has (WEEKS,) for each scope, as `Pool.shared_errors`.
    """
    fleet = errors[""]
    by_account = np.stack([fleet + errors[vendor] if vendor and vendor in errors else fleet for vendor in vendors])
    return np.take_along_axis(by_account, calendar, axis=1)


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
        shared={},
        shared_errors={"": np.zeros(WEEKS)},
        season=season_numbers(no_season()),
    )


def season_numbers(season: YearlySeason) -> Floats:
    """Return the season as the numbers that the pool keeps."""
    return np.concatenate([[float(season.is_known), season.share], season.weeks, season.levels])


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
            shared={vendor: numbers.reshape(len(WIDTH_WEEKS) + 1) for vendor, numbers in found["shared"].items()},
            shared_errors={vendor: errors.reshape(WEEKS) for vendor, errors in found["shared_errors"].items()},
            season=found["season"][""].reshape(2 + YEAR_WEEKS + len(TIME_CONSTANTS)),
        )
    except (KeyError, ValueError):
        raise InputError("pool is incomplete; pass the `.pool` of an earlier result") from None
