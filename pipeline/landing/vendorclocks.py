"""The vendors' clocks, as evidence of whether a run may trust this machine's, which stamps all that is landed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from pipeline.http import HttpResult
from pipeline.settings import AccountSettings
from pipeline.support.errors import DrawdownError
from pipeline.support.wording import listed

WARNED_SECONDS: Final = 120
"""A clock that is further off than this from a vendor's puts entries into wrong intervals."""
REFUSED_SECONDS: Final = 7_200
"""A clock that is further off than this puts readings and days of spend into wrong days. Vendors' own clocks, and the
caches in front of them, are off by seconds or minutes; a wrong time zone, battery or virtual machine is off by hours or
more."""


def clock_words(skew_seconds: float | None, vendor: str) -> str | None:
    """Sentence on the difference between this machine's clock and a vendor's; None if it is small enough."""
    if skew_seconds is None or abs(skew_seconds) <= WARNED_SECONDS:
        return None
    direction = "ahead of" if skew_seconds > 0 else "behind"
    return f"this machine's clock is {abs(skew_seconds):.0f} s {direction} {vendor}'s"


def clock_skew_seconds(answer: HttpResult) -> float | None:
    """Seconds that this machine's clock is ahead of an answer that has just arrived; None if it states no time."""
    if answer.date is None:
        return None
    return (datetime.now(UTC) - answer.date).total_seconds() - answer.age_seconds


class VendorClocks:
    """Date headers of one run's answers, one vote for each origin.

    This machine's clock is wrong if several origins agree on another time and fewer on its own, or if the only origin
    with a time states another. One vendor's wrong header among several is a warning for its accounts. If vendors on
    loopback are requested along with real ones, they have no vote: theirs is the clock in question. Nor have origins of
    accounts with `ignore_date_header`.
    """

    def __init__(self, accounts: Iterable[AccountSettings]) -> None:
        asked = {
            origin_of_account(each): each.is_loopback
            for each in accounts
            if each.base_url and not each.ignore_date_header
        }
        has_real = not all(asked.values())
        self._unheard = {origin for origin, is_loopback in asked.items() if not (has_real and is_loopback)}
        self._voters = frozenset(self._unheard)
        self._skews: dict[str, float] = {}

    def hear(self, origin: str, skew_seconds: float | None) -> None:
        """Register an origin's answer, with the seconds that this machine's clock is ahead of it; None if unknown."""
        if origin not in self._voters:
            return
        self._unheard.discard(origin)
        if skew_seconds is not None:
            # An answer that spent time on its way, or in a cache, is older than its server's clock: the newest counts.
            self._skews[origin] = min(skew_seconds, self._skews.get(origin, skew_seconds), key=abs)

    @property
    def is_doubtful(self) -> bool:
        """Whether an origin states another time, so that this machine's clock may turn out to be wrong."""
        others, agreeing = self._other_clocks(), self._agreeing_count
        return bool(others and self._unheard) and len(others) + len(self._unheard) > agreeing

    @property
    def problem(self) -> str | None:
        """Sentence for a wrong clock of this machine, with both times; None if it is right, or may be."""
        others, agreeing = self._other_clocks(), self._agreeing_count
        is_only_one = len(self._skews) == 1 and not self._unheard
        if not others or not (is_only_one or 1 < len(others) > agreeing + len(self._unheard)):
            return None
        now = datetime.now(UTC)
        skew = median(self._skews[origin] for origin in others)
        return (
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, but {_listed(others)} "
            f"{'say' if len(others) > 1 else 'says'} {now - timedelta(seconds=skew):%Y-%m-%d %H:%M} UTC, "
            f"{abs(skew) / 3600:.1f} hours {'earlier' if skew > 0 else 'later'}"
        )

    def check(self) -> None:
        """Raise DrawdownError if this machine's clock is wrong."""
        if problem := self.problem:
            raise DrawdownError(
                f"{problem}: nothing is landed with a wrong time; set the clock, or have NTP set it, and run again; "
                "or, if the clock is right and the vendor's is wrong, set ignore_date_header = true for its accounts"
            )

    @property
    def _agreeing_count(self) -> int:
        return sum(abs(skew) <= REFUSED_SECONDS for skew in self._skews.values())

    def _other_clocks(self) -> list[str]:
        """Largest group of origins that are hours off and agree with each other."""
        off = sorted((skew, origin) for origin, skew in self._skews.items() if abs(skew) > REFUSED_SECONDS)
        groups = [[origin for skew, origin in off if first <= skew <= first + REFUSED_SECONDS] for first, _ in off]
        return max(groups, key=len, default=[])


def origin_of_account(account: AccountSettings) -> str:
    """Host and port of an account's vendor: accounts at one server share its clock."""
    return urlsplit(account.base_url).netloc


def _listed(names: list[str], *, most: int = 3) -> str:
    named = sorted(names)
    if len(named) > most:
        return f"{', '.join(named[:most])} and {len(named) - most} more"
    return listed(named)
