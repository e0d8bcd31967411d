"""Step 5: choose the accounts that the others learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import SEASON_WEEKS, WEEKS, InputError
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
    """(teachers, SEASON_WEEKS - WEEKS): as in Histories; NaN for accounts whose level has shifted since."""
    vendors: list[str]
    """One an account; empty where none is named."""
    donors: dict[str, Floats]
    """As in Pool."""
    levels: dict[str, Floats]
    """As in Pool."""


@dataclass(frozen=True, slots=True)
class _Teacher:
    """A row of Teachers, and the hash it is chosen by."""

    digest: bytes
    account_id: str
    vendor: str
    days: Floats
    older_weeks: Floats


_Donor = tuple[bytes, Floats]
"""The hash of an account, and its week."""

_Order = Sequence[tuple[bytes, int]]
"""Hashes and rows of accounts, sorted."""


class TeacherSelection:
    """Chooses the teachers of accounts that come in batches; neither their order nor their size changes the choice.

    At most TEACHERS are kept, by a hash of their ids, which depends on nothing that they do.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._kept: list[_Teacher] = []
        self._donors: dict[str, list[_Donor]] = {}
        self._levels: dict[str, list[tuple[bytes, float]]] = {}

    def add(self, regimes: Regimes) -> None:
        """Add a batch of accounts. Raises InputError for an account of an earlier batch."""
        ids = regimes.histories.ids
        again = self._ids.intersection(ids)
        if again:
            raise InputError(f"account {min(again)} is in two batches; all of its days must be in one")
        self._ids.update(ids)
        able = [row for row, method in enumerate(regimes.methods) if method in _TEACHING_METHODS]
        order = sorted((hashlib.sha256(ids[row].encode()).digest(), row) for row in able)
        self._keep(regimes, order[:TEACHERS])
        self._add_donors(regimes, order)
        self._add_levels(regimes, order)

    def teachers(self) -> Teachers:
        """Return those chosen so far, sorted by id."""
        kept = sorted(self._kept, key=lambda teacher: teacher.account_id)
        levels = {vendor: np.array([log for _, log in sorted(logs)]) for vendor, logs in sorted(self._levels.items())}
        return Teachers(
            ids=[teacher.account_id for teacher in kept],
            days=np.array([teacher.days for teacher in kept]),
            older_weeks=np.array([teacher.older_weeks for teacher in kept]),
            vendors=[teacher.vendor for teacher in kept],
            donors={vendor: np.stack([week for _, week in weeks]) for vendor, weeks in sorted(self._donors.items())},
            levels={
                vendor: np.array([np.mean(logs), np.std(logs, ddof=1)])
                for vendor, logs in levels.items()
                if len(logs) >= _LEAST_LEVELS
            },
        )

    def _keep(self, regimes: Regimes, order: _Order) -> None:
        histories = regimes.histories
        for digest, row in order:
            older = np.full(SEASON_WEEKS - WEEKS, np.nan)
            if histories.older_weeks.shape[1] and not regimes.is_cut[row]:
                older = histories.older_weeks[row]
            days = regimes.days[row].copy()
            self._kept.append(_Teacher(digest, histories.ids[row], histories.vendors[row], days, older))
        self._kept = sorted(self._kept, key=lambda teacher: teacher.digest)[:TEACHERS]

    def _add_donors(self, regimes: Regimes, order: _Order) -> None:
        """By vendor, and of all under the empty name: the newest weeks of the first accounts, scaled to a sum of 1."""
        found: dict[str, list[_Donor]] = {}
        for digest, row in order:
            for vendor in {"", regimes.histories.vendors[row]}:
                if len(found.get(vendor, [])) < DONORS:
                    week = np.maximum(observed_weeks(regimes.days[[row]])[0][0, -1], 0.0)
                    if week.sum() > 0:
                        found.setdefault(vendor, []).append((digest, week / week.sum()))
        for vendor, weeks in found.items():
            together = [*self._donors.get(vendor, []), *weeks]
            self._donors[vendor] = sorted(together, key=lambda donor: donor[0])[:DONORS]

    def _add_levels(self, regimes: Regimes, order: _Order) -> None:
        """By vendor: the log of its accounts' mean daily spend over half a year."""
        for digest, row in order:
            vendor, days = regimes.histories.vendors[row], regimes.days[row, -7 * BLOCK_WEEKS :]
            days = days[np.isfinite(days)]
            if vendor and days.sum() > 0:
                self._levels.setdefault(vendor, []).append((digest, float(np.log(days.mean()))))


def choose_teachers(regimes: Regimes) -> Teachers:
    """Choose the teachers of accounts that come together."""
    selection = TeacherSelection()
    selection.add(regimes)
    return selection.teachers()
