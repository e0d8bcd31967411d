"""Competitors at each origin of a backtest: asked once, then scored beside the forecast of each account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.backtest_comparison import CompetitorSums
from pipeline.forecasts.backtest_origins import Origins
from pipeline.forecasts.competitors import Answers, Competitor, Measure, ask
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES
from pipeline.forecasts.engine.scoring import quantiles_of
from pipeline.support.errors import UsageError

_LEVELS: Final = np.array(QUANTILES)


@dataclass(slots=True)
class _Entry:
    competitor: Competitor
    sums: CompetitorSums | None = None
    """None until its first answer, which says what it forecasts."""
    answers: Answers | None = None
    """To the newest question."""


@dataclass(slots=True)
class Contest:
    """The competitors of a backtest, and what they scored."""

    origins: Origins
    competitors: Sequence[Competitor]
    _entries: list[_Entry] = field(init=False)

    def __post_init__(self) -> None:
        self._entries = [_Entry(each) for each in self.competitors]

    @property
    def sums(self) -> list[CompetitorSums]:
        """What each scored, in their order; a competitor that never answered has totals without a forecast."""
        return [entry.sums or self._new(entry, "total") for entry in self._entries]

    def ask(self, number: int, past: pl.DataFrame) -> None:
        """Have every competitor forecast from an origin. Raises UsageError."""
        plan = self.origins
        known = set(plan.grid.ids)
        for entry in self._entries:
            entry.answers = None
            if not plan.is_scored[:, :, number].any():
                continue
            found = ask(entry.competitor, past, plan.as_of(number), plan.horizons, known)
            if found is None:
                continue
            entry.sums = entry.sums or self._new(entry, found.measure)
            if entry.sums.measure != found.measure:
                raise UsageError(
                    f"competitor {entry.competitor.where or entry.competitor.name}, as_of {plan.as_of(number)}: it "
                    "answers with the column date here and horizon_days elsewhere; use one of them throughout"
                )
            entry.answers = found

    def add(self, row: int, number: int, paths: Floats, baseline: Floats, ahead: Floats) -> None:
        """Score the answers about an account beside its paths, (paths, days); the others are (days,)."""
        plan = self.origins
        daily: Floats | None = None
        for entry in self._entries:
            stated = entry.answers.amounts.get(plan.grid.ids[row]) if entry.answers else None
            if stated is None or entry.sums is None:
                continue
            for place in np.flatnonzero(plan.is_scored[row, :, number]):
                days, cell = plan.horizons[place], (row, int(place), number)
                if entry.sums.measure == "total":
                    own = quantiles_of(paths[:, :days].sum(axis=1), _LEVELS)
                    entry.sums.add_total(
                        cell, stated[place], own, float(baseline[:days].sum()), float(ahead[:days].sum())
                    )
                else:
                    daily = quantiles_of(paths.T, _LEVELS) if daily is None else daily
                    entry.sums.add_days(cell, stated[:days], daily[:days], baseline[:days], ahead[:days])

    def outcomes(self) -> list[tuple[str, NDArray[np.bool_], NDArray[np.int8]]]:
        """Return name, what was scored and the side of the 80 % band of competitors that stated totals."""
        return [(each.name, each.is_answered, each.side) for each in self.sums if each.measure == "total"]

    def _new(self, entry: _Entry, measure: Measure) -> CompetitorSums:
        plan = self.origins
        shape = (len(plan.grid.ids), len(plan.horizons), len(plan.columns))
        return CompetitorSums(entry.competitor.name, measure, *shape)
