"""Step 5: what the accounts of a fleet, and of a vendor, have in common: past errors of their levels, and seasons.

When all accounts move together, twenty origins of six hundred accounts are no twelve thousand lessons about the
level, but as many as there are distinct periods. The shared part of past errors is estimated by period over accounts;
its variance from the periods that do not overlap, shrunk to a prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import WEEKS
from pipeline.forecasts.engine.pool import WIDTH_WEEKS, SharedDeviation, YearlySeason, no_season, prior_shared
from pipeline.forecasts.engine.teachers import Teachers
from pipeline.forecasts.engine.weekly_levels import TIME_CONSTANTS, WeeklyLevels, weighted_means

_LEAST_ACCOUNTS: Final = 3
"""Accounts of which a shared move can be told from their own."""

_LEAST_VENDOR_ACCOUNTS: Final = 8
"""Accounts of a vendor, beside others, from which its own shared moves are told from the fleet's."""

_LEAST_BEHIND: Final = 6
"""Weeks that an account needs behind an origin."""

_ROUGHNESS_OFFSET: Final = 0.05
"""Added to an account's roughness before its weight, 1 / roughness: a constant account says little about the others."""

_NORMAL: Final = np.sqrt(np.pi / 2.0)
"""Standard deviation over mean absolute deviation of a normal distribution. Absolute errors, because a holiday season
that is ten times as large as the other errors must not set the width of the rest of the year; tails have their own."""

_YEAR: Final = 52
"""Weeks after which a season returns; weekdays stay in place, and the day moves by one or two."""

_LEAST_BASE: Final = 4
"""Weeks that a level of last year needs behind it: with them and 52 more, 56 weeks are the least of a season."""

_SEASON_ERROR: Final = 0.03
"""Least log error that last year's week has as a prediction of this year's."""

_NEIGHBOURS: Final = 4.0
"""Neighbouring weeks that tell as much as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedMoves:
    """What the teachers have in common; `scopes` are vendors, and the fleet under the empty name."""

    deviations: dict[str, SharedDeviation]
    """By scope: how far its level has moved beyond what was expected. Empty for fewer than three accounts."""
    errors: dict[str, Floats]
    """By scope: (WIDTH_WEEKS, WEEKS) shrunk log errors of the totals after each week of the calendar; 0 where unknown.
    A vendor's are in addition to the fleet's."""
    season: YearlySeason


def shared_moves(teachers: Teachers, weekly: WeeklyLevels, weights: Floats) -> SharedMoves:
    """Measure what the teachers have in common; `weights` is (n, TIME_CONSTANTS), that of each memory."""
    weeks = _calendar_weeks(teachers)
    known = np.isfinite(weeks)
    mean = np.where(known, weeks, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    sums = np.where(known, weeks, 0.0) / np.where(mean > 0, mean, 1.0)[:, None]
    trust = 1.0 / (weekly.roughness + _ROUGHNESS_OFFSET)
    levels = weighted_means(sums, known, TIME_CONSTANTS)
    expected = (weights.T[:, :, None] * levels).sum(axis=0)
    season, predicted = _season(sums, known, trust, weights)
    moves = SharedMoves(deviations={}, errors={}, season=season)
    _add_scope(moves, "", sums, known, expected, trust, predicted, season.share)
    counts = {vendor: teachers.vendors.count(vendor) for vendor in set(teachers.vendors)}
    for vendor in sorted(vendor for vendor in counts if vendor and counts[vendor] >= _LEAST_VENDOR_ACCOUNTS):
        if counts[vendor] < len(teachers.ids):
            rows = np.array([place for place, name in enumerate(teachers.vendors) if name == vendor])
            fleet = moves.errors[""]
            lead = np.zeros((len(WIDTH_WEEKS), sums.shape[1]))
            width = min(sums.shape[1], WEEKS)
            lead[:, -width:] = fleet[:, -width:]
            _add_scope(
                moves, vendor, sums[rows], known[rows], expected[rows], trust[rows], predicted + lead, season.share
            )
    return moves


def _calendar_weeks(teachers: Teachers) -> Floats:
    """Return (n, w): spend of each week of the calendar in money without refunds, NaN where it was not observed."""
    days = teachers.days.reshape(len(teachers.days), -1, 7)
    is_known = np.isfinite(days)
    counts = is_known.sum(axis=2)
    totals = np.where(is_known, np.maximum(days, 0.0), 0.0).sum(axis=2) / np.maximum(counts, 1) * 7
    recent = np.where(counts >= 3, totals, np.nan)
    weeks = np.concatenate([teachers.older_weeks, recent], axis=1)
    first = int(np.isfinite(weeks).any(axis=0).argmax())
    return weeks[:, first:]


def _add_scope(
    moves: SharedMoves,
    scope: str,
    sums: Floats,
    known: NDArray[np.bool_],
    expected: Floats,
    trust: Floats,
    predicted: Floats,
    share: float,
) -> None:
    """Measure one scope; `predicted` is (WIDTH_WEEKS, w), log moves of the totals after each week known otherwise, a
    season among them in the given share."""
    errors = np.zeros((len(WIDTH_WEEKS), WEEKS))
    deviations, lessons = np.zeros((2, len(WIDTH_WEEKS)))
    for number, ahead in enumerate(WIDTH_WEEKS):
        raw, noise = _errors(sums, known, expected, trust, ahead)
        raw = raw - predicted[number]
        prior = prior_shared(ahead, is_fleet=not scope)
        is_measured = np.isfinite(noise)
        # With a season, an error of the first year, which had none to predict it, tells as much less.
        weight = np.where(np.arange(len(raw)) < _YEAR, (1.0 - share) ** 2, 1.0) * is_measured
        variance = 0.0
        if weight.sum() > 0:
            size = float(weight @ np.abs(raw)) / weight.sum()
            spread = float(weight @ np.where(is_measured, noise, 0.0)) / weight.sum()
            variance = max((_NORMAL * size) ** 2 - spread, 0.0)
            # Periods that do not overlap; of small or rough fleets they tell less.
            lessons[number] = max(weight.sum() / ahead, weight.max()) * prior.scale**2 / (prior.scale**2 + spread)
        total = prior.lessons * prior.scale**2 + lessons[number] * variance
        deviations[number] = np.sqrt(total / (prior.lessons + lessons[number]))
        kept = np.where(is_measured, raw, 0.0) * _kept(deviations[number], noise)
        width = min(len(kept), WEEKS)
        errors[number, -width:] = kept[-width:]
    moves.errors[scope] = errors
    if len(sums) < _LEAST_ACCOUNTS:
        # What one account shares with others that nobody sees is part of its own errors already.
        return
    prior = prior_shared(WIDTH_WEEKS[1], is_fleet=not scope)
    moves.deviations[scope] = SharedDeviation(logs=deviations, freedom=float(prior.lessons + lessons[1]))


def _kept(deviation: float, noise: Floats) -> Floats:
    """Return the share of a shared error that is not the accounts' own noise; 0 where nothing is known."""
    return deviation**2 / (deviation**2 + np.where(np.isfinite(noise), noise, np.inf))


def _errors(
    sums: Floats, known: NDArray[np.bool_], expected: Floats, trust: Floats, ahead: int
) -> tuple[Floats, Floats]:
    """Return the shared log error of the total of `ahead` weeks after each week, and its variance by own noise: (w,).

    The error is that of the weighted total of all accounts; its variance follows from how the accounts scatter around
    it. Where too few accounts are known, the error is 0 and its variance infinite.
    """
    count, width = sums.shape
    error, noise = np.zeros(width), np.full(width, np.inf)
    age = np.cumsum(known, axis=1)
    for week in range(_LEAST_BEHIND - 1, width - ahead):
        following = slice(week + 1, week + 1 + ahead)
        usable = known[:, following].all(axis=1) & (age[:, week] >= _LEAST_BEHIND) & known[:, week]
        if usable.sum() < min(_LEAST_ACCOUNTS, count):
            continue
        came, said = sums[usable, following].mean(axis=1), expected[usable, week]
        weight = trust[usable]
        total, base = float(weight @ came), float(weight @ said)
        if total <= 0 or base <= 0:
            continue
        ratio = total / base
        error[week] = np.clip(np.log(ratio), -2.0, 2.0)
        share = weight * said / base
        others = 1.0 / float(share @ share)
        if usable.sum() >= _LEAST_ACCOUNTS and others > 1.5:
            scatter = weight * (came - ratio * said) / total
            noise[week] = float(scatter @ scatter) * others / (others - 1.0)
    return error, noise


def _season(sums: Floats, known: NDArray[np.bool_], trust: Floats, weights: Floats) -> tuple[YearlySeason, Floats]:
    """Return the yearly season, as far as it has predicted the past, and (WIDTH_WEEKS, w) what it said then, in logs.

    What followed a year ago, relative to the level of then, is the prediction of what follows now. It is used in the
    proportion in which it has been right at past origins, estimated by ridge regression towards 0.
    """
    width = sums.shape[1]
    said = np.zeros((len(WIDTH_WEEKS), width))
    if width < _YEAR + _LEAST_BASE:
        return no_season(), said
    # Accounts that are known for the whole of it, or all, if there are none: an index must not change its members.
    long = known.sum(axis=1) >= 0.9 * width
    rows = long if long.sum() >= min(_LEAST_ACCOUNTS, len(sums)) else known.any(axis=1)
    weight = trust[rows, None] * known[rows]
    index = (weight * sums[rows]).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-300)
    is_known = (weight.sum(axis=0) > 0) & (index > 0)
    if not is_known.any():
        return no_season(), said
    index = np.where(is_known, index, index[is_known].mean())[None, :]
    levels = weighted_means(index, np.ones_like(index, dtype=bool), TIME_CONSTANTS)[:, 0]
    mixture = (trust[rows, None] * weights[rows]).sum(axis=0)
    level = (mixture / mixture.sum()) @ levels
    share = _share_of_season(index[0])
    for number, ahead in enumerate(WIDTH_WEEKS):
        changes = _changes(index[0], level, ahead)
        said[number, _YEAR:] = share * np.nan_to_num(changes[:-_YEAR])
    years = range(1, (width - _LEAST_BASE) // _YEAR + 1)
    then = [width - 1 - _YEAR * year for year in years]
    following = [np.log(index[0, end + 1 : end + 1 + _YEAR]) for end in then]
    season = YearlySeason(
        share=share,
        weeks=share * np.mean(following, axis=0),
        levels=share * np.mean([np.log(levels[:, end]) for end in then], axis=0),
        is_known=True,
    )
    return season, said


def _changes(index: Floats, level: Floats, ahead: int) -> Floats:
    """Return (w,): log of the mean of the `ahead` weeks after each week over the level then; NaN where not known."""
    changes = np.full(len(index), np.nan)
    for week in range(_LEAST_BASE - 1, len(index) - ahead):
        changes[week] = np.log(index[week + 1 : week + 1 + ahead].mean() / level[week])
    return changes


def _share_of_season(index: Floats) -> float:
    """Return the share, 0 to 1, of last year's ups and downs that came again this year; `index` is (w,), w > 52."""
    now, then = np.log(index[_YEAR:]), np.log(index[:-_YEAR])
    now, then = now - now.mean(), then - then.mean()
    share = 0.0
    for _ in range(3):
        error = max(float(((now - share * then) ** 2).mean()), _SEASON_ERROR**2)
        # Neighbouring weeks tell much the same, so that only a quarter of them count.
        share = float(np.clip((now @ then) / (then @ then + _NEIGHBOURS * error), 0.0, 1.0))
    return share
