"""Runs of days that were too improbable: stops, days and runs beyond the range, and levels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.judged_days import JudgedDays
from pipeline.forecasts.tail_probabilities import EDGE_PROBABILITY, LEAST_PROBABILITY, P05, P50, P95

WINDOW_DAYS: Final = 7
"""Days that are judged together as a level. A day is compared with the history before such a window, so that a new
level does not become its own excuse."""

STEP_DAYS: Final = 3
"""Consecutive days beyond the range that are called a level: two can be the same accident."""

KINDS: Final = ("spike", "step", "stop", "restatement")

_LARGE_RANGE: Final = 4.0
"""Where p95 is more than this many times p50, spend is rare or of every size, and the seven quantiles end far below the
highest day. Measured in 1,000 days: lognormal ones of deviation 1.5 gave 4 alarms without comparison with the highest
day and 1 with it, payments on one day in 50 gave 12 and 4."""

_RECORD_FACTOR: Final = 1.5
"""There, the factor by which a day exceeds the highest one while its probability halves."""

_LEAST_WINDOW_DAYS: Final = 4
"""Observed days that a window needs: most of it."""

_PATTERN_SHARE: Final = 0.05
"""What happens on this share of all days is a weekly pattern, which the forecast knows better."""

_RESTATED_SHARE: Final = 0.5
"""Share of restated days from which an event is a restatement: most of its days."""

_STANDARD_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class AnomalyEvent:
    """Consecutive days of one account that were too improbable."""

    kind: str
    """One of KINDS."""
    first: int
    """Position of the first day in `JudgedDays`."""
    last: int
    """Position of the last day."""
    probability: float
    """Two-sided: of days at least as improbable."""
    side: int
    """1 above what was expected, -1 below."""


def anomaly_events(days: JudgedDays, threshold: float, correlation: float) -> Iterator[AnomalyEvent]:
    """Yield stops, then days and runs beyond p05 to p95, then levels that no single day shows; no day twice.

    An event is yielded if its probability is below `threshold`. `correlation` is that of any two days' scores.
    """
    is_covered = np.zeros(len(days.amounts), dtype=bool)
    own = np.array([_day_probability(days, place) for place in range(len(days.amounts))])
    for event in _stop_events(days, own):
        if event.probability < threshold:
            is_covered[event.first : event.last + 1] = True
            yield _named(days, event)
    with np.errstate(invalid="ignore"):
        side = (days.amounts > days.quantiles[:, P95]).astype(int) - (days.amounts < days.quantiles[:, P05])
    side[is_covered] = 0
    for first, last in _runs(side):
        least = float(own[first : last + 1].min())
        is_step = last - first + 1 >= STEP_DAYS
        together = _joint_probability(days.score[first : last + 1], correlation) if is_step else 1.0
        if min(least, together) < threshold:
            is_covered[first : last + 1] = True
            yield _named(
                days, AnomalyEvent("step" if is_step else "spike", first, last, min(least, together), side[first])
            )
    for event in _level_events(days, is_covered, threshold, correlation):
        yield _named(days, event)


def _named(days: JudgedDays, event: AnomalyEvent) -> AnomalyEvent:
    """Change the kind to a restatement if half of the days or more were restated, to a stop if nothing was spent."""
    span = slice(event.first, event.last + 1)
    if days.is_restated[span].mean() >= _RESTATED_SHARE:
        return replace(event, kind="restatement")
    amounts = days.amounts[span]
    return event if (amounts[np.isfinite(amounts)] != 0).any() else replace(event, kind="stop")


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield the first and last position of each run of one value that is not 0."""
    first = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[first]:
            if values[first]:
                yield first, place - 1
            first = place


def _day_probability(days: JudgedDays, place: int) -> float:
    """Return the probability of a day at least as improbable, given all days more than a week older."""
    if not np.isfinite(days.below[place]):
        return 1.0
    amount = days.amounts[place]
    is_high = days.above[place] < days.below[place]
    probability = min(2.0 * float(min(days.above[place], days.below[place])), 1.0)
    if probability > EDGE_PROBABILITY * 2:
        return probability
    past = days.amounts[: max(place - WINDOW_DAYS, 0)]
    with np.errstate(invalid="ignore"):
        as_far = past >= amount if is_high else past <= amount
    same = slice(place % 7, None, 7)
    seen = np.isfinite(past)
    known = max(_frequency(as_far[same].sum(), seen[same].sum()), _rare_frequency(as_far.sum(), seen.sum()))
    median, high = days.quantiles[place, [P50, P95]]
    if is_high and (median <= 0 or high > _LARGE_RANGE * median):
        known = max(known, _record_probability(past[seen], float(amount)))
    return max(probability, known)


def _frequency(count: int, days: int) -> float:
    return float(count) / (float(days) + 1.0)


def _record_probability(past: Floats, amount: float) -> float:
    """Return the probability of `amount` by the past days with spend, where p95 tells little about the largest.

    The next of m such days exceeds them all with a probability of 1 / (m + 1), which halves with each _RECORD_FACTOR.
    """
    spending = past[past > 0]
    if not len(spending):
        return 0.0
    larger = float((spending >= amount).sum())
    excess = max(math.log(amount / float(spending.max())), 0.0) / math.log(_RECORD_FACTOR)
    scarce = math.exp2(-excess) * (larger + 1.0) / (len(spending) + 1.0)
    return _frequency(len(spending), len(past)) * scarce


def _rare_frequency(count: int, days: int) -> float:
    share = _frequency(count, days)
    return share if share < _PATTERN_SHARE else 0.0


def _stop_events(days: JudgedDays, own: Floats) -> Iterator[AnomalyEvent]:
    """Yield runs of days without spend where spend was more likely than not.

    Zero days count as independent of each other, unless a run of this length was seen before.
    """
    is_zero = days.amounts == 0
    with np.errstate(invalid="ignore"):
        is_stop = is_zero & (days.quantiles[:, P50] > 0)
    for first, last in _runs(is_stop.astype(np.int64)):
        length = last - first + 1
        if length == 1:
            probability = float(own[first])
        else:
            before = [end - begin + 1 for begin, end in _runs(is_zero[:first].astype(np.int64))]
            as_long = sum(each >= length for each in before)
            chance = 2.0 * float(np.prod(days.below[first : last + 1]))
            probability = max(chance, _rare_frequency(as_long, int(np.isfinite(days.amounts[:first]).sum())))
        yield AnomalyEvent("stop", first, last, min(max(probability, LEAST_PROBABILITY), 1.0), -1)


def _joint_probability(score: Floats, correlation: float) -> float:
    """Return the two-sided probability of normal deviates whose sum is at least this far from 0."""
    count = len(score)
    deviation = abs(float(score.sum())) / math.sqrt(count + count * (count - 1) * correlation)
    return max(2.0 * (1.0 - _STANDARD_NORMAL.cdf(deviation)), LEAST_PROBABILITY)


def _level_events(
    days: JudgedDays, is_covered: NDArray[np.bool_], threshold: float, correlation: float
) -> Iterator[AnomalyEvent]:
    """Yield windows of a week that were too high or too low together; those that overlap are one level."""
    usable = np.isfinite(days.score) & ~is_covered
    side = np.zeros(len(usable), dtype=np.int64)
    least = np.ones(len(usable))
    for last in range(_LEAST_WINDOW_DAYS - 1, len(usable)):
        window = np.arange(max(last - WINDOW_DAYS + 1, 0), last + 1)
        window = window[usable[window]]
        if len(window) < _LEAST_WINDOW_DAYS:
            continue
        score = days.score[window]
        probability = _joint_probability(score, correlation)
        if probability < threshold:
            towards = 1 if score.sum() > 0 else -1
            # Only the days on that side: a window can begin before the level does.
            lean = window[score * towards > 0]
            covered = np.arange(lean[0], lean[-1] + 1)
            covered = covered[~is_covered[covered]]
            if len(covered) >= STEP_DAYS:
                side[covered] = towards
                least[covered] = np.minimum(least[covered], probability)
    for first, last in _runs(side):
        if last - first + 1 >= STEP_DAYS:
            yield AnomalyEvent("step", first, last, float(least[first : last + 1].min()), int(side[first]))
