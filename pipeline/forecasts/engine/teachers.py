"""Step 5a: choose the accounts that the others learn from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.regimes import Regimes
from pipeline.forecasts.engine.weekly_levels import BLOCK_WEEKS, observed_weeks

TEACHERS: Final = 600
"""Most accounts that the pool learns from, chosen by a hash of their ids: enough for all groups (12 of 35 are 420), and
their number bounds the time."""

DONORS: Final = 24
"""Most weeks that a vendor's new accounts borrow from."""

_LEAST_LEVELS: Final = 3
"""Accounts of a vendor from which their levels have a standard deviation worth using."""

_TEACHING_METHODS: Final = frozenset({"blocks", "full"})
"""Shorter histories learn and do not teach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teachers:
    """The accounts that the pool learns from, and what it takes from their days as they are."""

    ids: list[str]
    days: Floats
    """(teachers, weeks x 7): spend a day in money, NaN where unobserved."""
    older_weeks: Floats
    """(teachers, weeks): as in Histories; NaN for accounts whose level has shifted since."""
    vendors: list[str]
    """One an account; empty where none is named."""
    donors: dict[str, Floats]
    """As in Pool."""
    levels: dict[str, Floats]
    """As in Pool."""


def choose_teachers(regimes: Regimes) -> Teachers:
    """Choose at most TEACHERS accounts by a hash of their ids, which depends on nothing that they do."""
    ids = regimes.histories.ids
    able = [row for row, method in enumerate(regimes.methods) if method in _TEACHING_METHODS]
    order = sorted(able, key=lambda row: hashlib.sha256(ids[row].encode()).digest())
    rows = sorted(order[:TEACHERS])
    return Teachers(
        ids=[ids[row] for row in rows],
        days=regimes.days[rows],
        older_weeks=np.where(regimes.is_cut[rows, None], np.nan, regimes.histories.older_weeks[rows]),
        vendors=[regimes.histories.vendors[row] for row in rows],
        levels=_vendor_levels(regimes, order),
        donors=_donor_weeks(regimes, order),
    )


def _donor_weeks(regimes: Regimes, order: list[int]) -> dict[str, Floats]:
    """By vendor, and of all under the empty name: the newest weeks of the first accounts, scaled to a sum of 1."""
    found: dict[str, list[Floats]] = {}
    for row in order:
        for vendor in {"", regimes.histories.vendors[row]}:
            if len(found.get(vendor, [])) < DONORS:
                week = np.maximum(observed_weeks(regimes.days[[row]])[0][0, -1], 0.0)
                if week.sum() > 0:
                    found.setdefault(vendor, []).append(week / week.sum())
    return {vendor: np.stack(weeks) for vendor, weeks in sorted(found.items())}


def _vendor_levels(regimes: Regimes, order: list[int]) -> dict[str, Floats]:
    """By vendor: mean and standard deviation of the log of its accounts' mean daily spend over half a year."""
    found: dict[str, list[float]] = {}
    for row in order:
        vendor, days = regimes.histories.vendors[row], regimes.days[row, -7 * BLOCK_WEEKS :]
        days = days[np.isfinite(days)]
        if vendor and days.sum() > 0:
            found.setdefault(vendor, []).append(float(np.log(days.mean())))
    return {
        vendor: np.array([np.mean(logs), np.std(logs, ddof=1)])
        for vendor, logs in sorted(found.items())
        if len(logs) >= _LEAST_LEVELS
    }
