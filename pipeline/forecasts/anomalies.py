"""Days and levels far outside what was forecast for them, how unlikely they were, and what is likely behind them.

Reads what was issued and what came, and tells; it changes no forecast and keeps no day from being learned from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES, InputError, read_histories

THRESHOLD: Final = 0.001
"""What is less probable is an anomaly: with honest forecasts, one day of an account in about three years."""

WINDOW_DAYS: Final = 7
"""Days that are judged together for a level, and that lie between a day and the history that it is compared with: a
new level must not become its own excuse."""

STEP_DAYS: Final = 3
"""Days beyond the range in a row from which one speaks of a level."""

DAY_CORRELATION: Final = 0.25
"""How alike the misses of neighbouring days are taken to be: a level that a forecast has wrong is wrong on each of its
days. At 0, a week of small misses would count as seven proofs."""

LEAST_PROBABILITY: Final = 1e-6
"""Seven quantiles do not tell a millionth from less."""

KINDS: Final = ("spike", "step", "stop", "restatement")

ANOMALIES: Final = {
    "account_id": pl.String,
    "first_date": pl.Date,
    "last_date": pl.Date,
    "anomaly_kind": pl.String,
    "actual_amount": pl.Float64,
    "expected_amount": pl.Float64,
    "low_amount": pl.Float64,
    "high_amount": pl.Float64,
    "tail_probability": pl.Float64,
    "reason": pl.String,
}

_P05, _P10, _P50, _P90, _P95 = (QUANTILES.index(level) for level in (0.05, 0.10, 0.50, 0.90, 0.95))
_LEVELS: Final = np.array(QUANTILES)
_EDGE: Final = 0.05
_NARROWEST, _WIDEST = 1.02, 1.25
"""The factor by which an amount grows while its probability halves: that of p95 over p90, but a constant account's
next cent is no anomaly, and an account of rare payments is not excused whatever comes."""
_WILD: Final = 4.0
"""Where p95 is more than this many times p50, days are rare or of every size, and seven quantiles end long before the
dearest. Measured in 1,000 days: lognormal ones of deviation 1.5 gave 4 alarms without a look at the dearest day and 1
with it, payments on one day in 50 gave 12 and 4."""
_RECORD: Final = 1.5
"""There, the factor by which a day outdoes the dearest one while its probability halves."""
_LEAST_WINDOW: Final = 4
"""Days of a window that must have been observed."""
_PATTERN: Final = 0.05
"""What happens on this share of all days is a pattern of weekdays, which the forecast knows better."""
_STANDARD: Final = NormalDist()


def tail_probabilities(quantiles: Floats, came: Floats) -> tuple[Floats, Floats]:
    """The probability of at most, and of at least, what came: two of (days,).

    `quantiles` is (days, 7), those of QUANTILES, never falling. Between them the distribution is linear. Beyond p95
    the probability halves each time the amount grows by p95 / p90, held between 1.02 and 1.25; where p95 is not above
    zero, each time it grows by p95 - p90. Below p05 it halves with every p10 - p05, at least a fiftieth of p05. Never
    under LEAST_PROBABILITY.
    """
    up_to = _cumulative(quantiles, came, (quantiles <= came[:, None]).sum(axis=1))
    before = _cumulative(quantiles, came, (quantiles < came[:, None]).sum(axis=1))
    is_over, is_under = came > quantiles[:, -1], came < quantiles[:, 0]
    over, under = _over(quantiles, came), _under(quantiles, came)
    below = np.where(is_over, 1.0 - over, np.where(is_under, under, up_to))
    above = np.where(is_over, over, np.where(is_under, 1.0 - under, 1.0 - before))
    return np.clip(below, LEAST_PROBABILITY, 1.0), np.clip(above, LEAST_PROBABILITY, 1.0)


def _cumulative(quantiles: Floats, came: Floats, passed: NDArray[np.int64]) -> Floats:
    """The level of what came, of which `passed` quantiles lie below; meaningless beyond the outermost."""
    rows = np.arange(len(came))
    low, high = np.clip(passed - 1, 0, None), np.clip(passed, None, len(QUANTILES) - 1)
    floor, ceiling = quantiles[rows, low], quantiles[rows, high]
    width = ceiling - floor
    share = np.where(width > 0, (came - floor) / np.where(width > 0, width, 1.0), 0.0)
    found: Floats = _LEVELS[low] + (_LEVELS[high] - _LEVELS[low]) * np.clip(share, 0.0, 1.0)
    return np.where(passed == 0, _EDGE, found)


def _over(quantiles: Floats, came: Floats) -> Floats:
    p90, p95 = quantiles[:, _P90], quantiles[:, _P95]
    is_positive = p95 > 0
    top = np.where(is_positive, p95, 1.0)
    factor = np.clip(top / np.where(p90 > 0, p90, top / _WIDEST), _NARROWEST, _WIDEST)
    by_factor = np.log(np.maximum(came, top) / top) / np.log(factor)
    return _EDGE * np.exp2(-np.where(is_positive, by_factor, _steps(came - p95, p95 - p90)))


def _under(quantiles: Floats, came: Floats) -> Floats:
    p05 = quantiles[:, _P05]
    spread = np.maximum(quantiles[:, _P10] - p05, (_NARROWEST - 1) * np.abs(p05))
    return _EDGE * np.exp2(-_steps(p05 - came, spread))


def _steps(distance: Floats, step: Floats) -> Floats:
    """How often the probability halves over a distance: without end where nothing but one amount was expected."""
    found: Floats = np.maximum(distance, 0.0) / np.where(step > 0, step, 1.0)
    return np.where(step > 0, np.minimum(found, 100.0), np.where(distance > 0, 100.0, 0.0))


@dataclass(frozen=True, slots=True)
class _Days:
    """One account, day by day: each array has an entry a day, NaN where nothing was observed or issued."""

    account_id: str
    first: date
    amounts: Floats
    quantiles: Floats
    """(days, 7)."""
    below: Floats
    above: Floats
    score: Floats
    """How far out each day was, in deviations of a normal one: above 0 is more than expected."""
    is_restated: NDArray[np.bool_]

    def date_of(self, place: int) -> date:
        return self.first + timedelta(days=place)


@dataclass(frozen=True, slots=True)
class _Event:
    kind: str
    first: int
    last: int
    probability: float
    side: int


def find(
    actual: pl.DataFrame,
    issued: pl.DataFrame,
    *,
    history: pl.DataFrame | None = None,
    threshold: float = THRESHOLD,
    day_correlation: float = DAY_CORRELATION,
) -> pl.DataFrame:
    """The days and levels that were less probable than `threshold`, as ANOMALIES, sorted by account and first day.

    - `actual`: account_id, date, spend_amount, optionally is_restated: the day's figure was changed after it was first
      stated. A missing day is unobserved.
    - `issued`: account_id, date, quantile, spend_amount, as `forecast(...).daily`: what was forecast of each day
      before it came, one day ahead or more; one forecast a day. Days without are not judged.
    - `history`: account_id, date, spend_amount: days before these, for what is known to happen. `actual` wins.

    `tail_probability` has both sides in it: that of a day at least so unlikely, above or below. A day that was as far
    out before is as probable as it was often: on the same weekday, or on any where that was rare. Where days are rare
    or of every size (p95 above 4 x p50), a day beyond the dearest one is judged from that one. Days in a row are taken
    together as normal deviates with `day_correlation` between any two.

    The amounts are a day's: of several days, the mean of what came, of p50, p05 and p95; low to high is the range of
    a single day and not of their sum. Raises InputError.
    """
    if not 0 < threshold < 1 or not 0 <= day_correlation <= 1:
        raise InputError(f"threshold {threshold} and day_correlation {day_correlation} must lie between 0 and 1")
    rows = []
    for days in _accounts(actual, issued, history):
        for event in sorted(_events(days, threshold, day_correlation), key=lambda each: each.first):
            rows.append(_row(days, event))
    return pl.DataFrame(rows, schema=ANOMALIES, orient="row")


def _wide(issued: pl.DataFrame) -> pl.DataFrame:
    """account_id, date and a column for each of QUANTILES."""
    missing = [name for name in ("account_id", "date", "quantile", "spend_amount") if name not in issued.columns]
    if missing:
        raise InputError(f"issued has no column {', '.join(missing)}")
    if issued.height and issued.schema["date"] != pl.Date:
        raise InputError(f"issued: date is {issued.schema['date']}, not a Date")
    issued = issued.with_columns(pl.col("account_id").cast(pl.String), pl.col("date").cast(pl.Date))
    doubled = issued.filter(issued.select("account_id", "date", "quantile").is_duplicated())
    if doubled.height:
        where = f"{doubled['account_id'][0]}, {doubled['date'][0]}"
        raise InputError(f"issued has {where} more than once; keep one forecast of a day")
    wide = issued.select("account_id", "date").unique()
    for place, level in enumerate(QUANTILES):
        here = issued.filter((pl.col("quantile") - level).abs() < 1e-9)
        column = here.select("account_id", "date", pl.col("spend_amount").cast(pl.Float64).alias(f"q{place}"))
        wide = wide.join(column, on=["account_id", "date"], how="left")
    table = wide.select(_names()).to_numpy()
    bad = ~(np.isfinite(table).all(axis=1) & (np.diff(table, axis=1) >= 0).all(axis=1))
    if bad.any():
        first = wide.row(int(bad.argmax()))
        raise InputError(f"issued: the quantiles of {first[0]}, {first[1]} are not {QUANTILES}, or they fall")
    return wide


def _names() -> list[str]:
    return [f"q{place}" for place in range(len(QUANTILES))]


def _accounts(actual: pl.DataFrame, issued: pl.DataFrame, history: pl.DataFrame | None) -> Iterator[_Days]:
    frames = []
    for frame in (actual, history):
        if frame is not None and frame.height:
            read_histories(frame, date.max, 1)
            flag = pl.col("is_restated").fill_null(value=False) if "is_restated" in frame.columns else pl.lit(False)
            names, amount = pl.col("account_id").cast(pl.String), pl.col("spend_amount").cast(pl.Float64)
            frames.append(frame.select(names, "date", amount, is_restated=flag))
    wide = _wide(issued)
    if not actual.height:
        return
    spent = pl.concat(frames).unique(["account_id", "date"], keep="first")
    judged = wide.join(frames[0].select("account_id", "date"), on=["account_id", "date"], how="semi")
    spent = spent.join(judged.select("account_id").unique(), on="account_id", how="semi")
    both = spent.join(judged, on=["account_id", "date"], how="left").sort("account_id", "date")
    quantiles = both.select(_names()).cast(pl.Float64).to_numpy()
    amounts = both["spend_amount"].to_numpy()
    below, above = np.full(len(both), np.nan), np.full(len(both), np.nan)
    has = np.isfinite(quantiles[:, 0])
    below[has], above[has] = tail_probabilities(quantiles[has], amounts[has])
    # What ties with an atom, such as a zero among zeros, is as far out as the middle of the atom.
    middle = (below + 1.0 - above) / 2
    bounded = np.clip(middle, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    score = np.array([_STANDARD.inv_cdf(each) if known else np.nan for each, known in zip(bounded, has, strict=True)])
    start = 0
    for account_id, count in both.group_by("account_id", maintain_order=True).len().iter_rows():
        here = slice(start, start + count)
        start += count
        first = both["date"][here.start]
        places = (both["date"][here] - first).dt.total_days().to_numpy()
        dense = np.full((places[-1] + 1, len(QUANTILES) + 4), np.nan)
        dense[places] = np.column_stack([amounts[here], below[here], above[here], score[here], quantiles[here]])
        is_restated = np.zeros(len(dense), dtype=bool)
        is_restated[places] = both["is_restated"][here].to_numpy()
        yield _Days(account_id, first, dense[:, 0], dense[:, 4:], dense[:, 1], dense[:, 2], dense[:, 3], is_restated)


def _events(days: _Days, threshold: float, correlation: float) -> Iterator[_Event]:
    """Stops, then days and runs beyond the range, then levels that no single day tells; no day is told twice."""
    is_told = np.zeros(len(days.amounts), dtype=bool)
    own = np.array([_of_day(days, place) for place in range(len(days.amounts))])
    for event in _stops(days, own):
        if event.probability < threshold:
            is_told[event.first : event.last + 1] = True
            yield _named(days, event)
    with np.errstate(invalid="ignore"):
        side = (days.amounts > days.quantiles[:, _P95]).astype(int) - (days.amounts < days.quantiles[:, _P05])
    side[is_told] = 0
    for first, last in _runs(side):
        least = float(own[first : last + 1].min())
        is_step = last - first + 1 >= STEP_DAYS
        together = _together(days.score[first : last + 1], correlation) if is_step else 1.0
        if min(least, together) < threshold:
            is_told[first : last + 1] = True
            yield _named(days, _Event("step" if is_step else "spike", first, last, min(least, together), side[first]))
    for event in _levels(days, is_told, threshold, correlation):
        yield _named(days, event)


def _named(days: _Days, event: _Event) -> _Event:
    """A restatement, where half of its days or more were stated anew; a level of nothing is a stop."""
    span = slice(event.first, event.last + 1)
    if days.is_restated[span].mean() >= 0.5:
        return replace(event, kind="restatement")
    amounts = days.amounts[span]
    return event if (amounts[np.isfinite(amounts)] != 0).any() else replace(event, kind="stop")


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """First and last place of each run of one value that is not 0."""
    first = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[first]:
            if values[first]:
                yield first, place - 1
            first = place


def _of_day(days: _Days, place: int) -> float:
    """The probability of a day at least so unlikely, in the light of the days that are more than a week older."""
    if not np.isfinite(days.below[place]):
        return 1.0
    amount = days.amounts[place]
    is_high = days.above[place] < days.below[place]
    probability = min(2.0 * float(min(days.above[place], days.below[place])), 1.0)
    if probability > _EDGE * 2:
        return probability
    past = days.amounts[: max(place - WINDOW_DAYS, 0)]
    with np.errstate(invalid="ignore"):
        as_far = past >= amount if is_high else past <= amount
    same = slice(place % 7, None, 7)
    seen = np.isfinite(past)
    known = max(_share(as_far[same].sum(), seen[same].sum()), _rare(as_far.sum(), seen.sum()))
    median, high = days.quantiles[place, [_P50, _P95]]
    if is_high and (median <= 0 or high > _WILD * median):
        known = max(known, _record(past[seen], float(amount)))
    return max(probability, known)


def _share(count: int, days: int) -> float:
    return float(count) / (float(days) + 1.0)


def _record(past: Floats, amount: float) -> float:
    """The chance of an amount where p95 tells little of the largest: by the past days that spent anything.

    The next of m such days is beyond them all with one chance in m + 1, halved for each half again as much.
    """
    spending = past[past > 0]
    if not len(spending):
        return 0.0
    larger = float((spending >= amount).sum())
    excess = max(math.log(amount / float(spending.max())), 0.0) / math.log(_RECORD)
    scarce = math.exp2(-excess) * (larger + 1.0) / (len(spending) + 1.0)
    return _share(len(spending), len(past)) * scarce


def _rare(count: int, days: int) -> float:
    share = _share(count, days)
    return share if share < _PATTERN else 0.0


def _stops(days: _Days, own: Floats) -> Iterator[_Event]:
    """Runs of days without spend where spend was more likely than not.

    Zero days are taken as independent of each other, unless a run as long was seen before.
    """
    is_zero = days.amounts == 0
    with np.errstate(invalid="ignore"):
        is_stop = is_zero & (days.quantiles[:, _P50] > 0)
    for first, last in _runs(is_stop.astype(np.int64)):
        length = last - first + 1
        if length == 1:
            probability = float(own[first])
        else:
            before = [end - begin + 1 for begin, end in _runs(is_zero[:first].astype(np.int64))]
            as_long = sum(each >= length for each in before)
            chance = 2.0 * float(np.prod(days.below[first : last + 1]))
            probability = max(chance, _rare(as_long, int(np.isfinite(days.amounts[:first]).sum())))
        yield _Event("stop", first, last, min(max(probability, LEAST_PROBABILITY), 1.0), -1)


def _together(score: Floats, correlation: float) -> float:
    """The probability, both sides, of deviates whose sum is at least so far from 0."""
    count = len(score)
    deviation = abs(float(score.sum())) / math.sqrt(count + count * (count - 1) * correlation)
    return max(2.0 * (1.0 - _STANDARD.cdf(deviation)), LEAST_PROBABILITY)


def _levels(days: _Days, is_told: NDArray[np.bool_], threshold: float, correlation: float) -> Iterator[_Event]:
    """Weeks that were too high or too low taken together; those that overlap are one level."""
    usable = np.isfinite(days.score) & ~is_told
    side = np.zeros(len(usable), dtype=np.int64)
    least = np.ones(len(usable))
    for last in range(_LEAST_WINDOW - 1, len(usable)):
        window = np.arange(max(last - WINDOW_DAYS + 1, 0), last + 1)
        window = window[usable[window]]
        if len(window) < _LEAST_WINDOW:
            continue
        score = days.score[window]
        probability = _together(score, correlation)
        if probability < threshold:
            towards = 1 if score.sum() > 0 else -1
            # Only the days that lie to that side: the window begins where the level does.
            lean = window[score * towards > 0]
            covered = np.arange(lean[0], lean[-1] + 1)
            covered = covered[~is_told[covered]]
            if len(covered) >= STEP_DAYS:
                side[covered] = towards
                least[covered] = np.minimum(least[covered], probability)
    for first, last in _runs(side):
        if last - first + 1 >= STEP_DAYS:
            yield _Event("step", first, last, float(least[first : last + 1].min()), int(side[first]))


def _row(days: _Days, event: _Event) -> tuple[object, ...]:
    # A level may have days in it that were not observed.
    span = np.flatnonzero(np.isfinite(days.score[event.first : event.last + 1])) + event.first
    amount = float(days.amounts[span].mean())
    expected, low, high = (float(days.quantiles[span, place].mean()) for place in (_P50, _P05, _P95))
    return (
        days.account_id,
        days.date_of(event.first),
        days.date_of(event.last),
        event.kind,
        amount,
        expected,
        low,
        high,
        event.probability,
        _reason(days, event, amount, expected, low, high),
    )


def _reason(days: _Days, event: _Event, amount: float, expected: float, low: float, high: float) -> str:
    count = event.last - event.first + 1
    each = "" if count == 1 else " a day"
    when = f"on {days.date_of(event.first)}"
    if count > 1:
        when = f"from {days.date_of(event.first)} to {days.date_of(event.last)}"
    spent = f"Nothing was spent {when}" if not amount else f"{_money(amount)}{each} was spent {when}"
    range_ = f"{_money(expected)}{each} was expected ({_money(low)} to {_money(high)})"
    return f"{spent}, where {range_}: {_odds(event.probability)}. {_sequel(days, event)}"


def _sequel(days: _Days, event: _Event) -> str:
    """What speaks for the kind."""
    where = "above" if event.side > 0 else "below"
    if event.kind == "restatement":
        return "The vendor changed the figure after it had first stated it."
    if event.kind == "stop":
        return "Either spend stopped, or the vendor did not tell it."
    if event.kind == "step":
        return f"It stayed {where} what was expected for {event.last - event.first + 1} days."
    after = event.last + 1
    if after >= len(days.amounts) or not np.isfinite(days.score[after]):
        return "Whether it stays is not known yet."
    return f"The next day was no longer {where} the range."


def _money(amount: float) -> str:
    text = f"{amount:,.2f}"
    return f"{amount:.2g}" if amount and not text.strip("-0.") else text


def _odds(probability: float) -> str:
    if probability <= LEAST_PROBABILITY:
        return "less than one chance in a million"
    odds = 1.0 / probability
    digits = 10 ** max(math.floor(math.log10(odds)) - 1, 0)
    return f"one chance in {round(odds / digits) * digits:,}"
