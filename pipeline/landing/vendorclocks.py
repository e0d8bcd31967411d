"""What time it is by the vendors: whether a run may trust this machine's clock, which dates all that it lands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Final
from urllib.parse import urlsplit

from pipeline.http import HttpResult
from pipeline.settings import AccountSettings
from pipeline.support.errors import DrawdownError

WARNED_SECONDS: Final = 120
"""A clock further off than this from a vendor's puts entries into wrong intervals."""
REFUSED_SECONDS: Final = 7_200
"""A clock further off than this puts readings and days of spend into wrong days. Vendors' own clocks, and the caches in
front of them, are off by seconds or minutes; a wrong time zone, battery or virtual machine is off by hours or more."""


def clock_words(skew_seconds: float | None, vendor: str) -> str | None:
    """How far this machine's clock, ahead by so much, is off from a vendor's; None where that is near enough."""
    if skew_seconds is None or abs(skew_seconds) <= WARNED_SECONDS:
        return None
    direction = "ahead of" if skew_seconds > 0 else "behind"
    return f"this machine's clock is {abs(skew_seconds):.0f} s {direction} {vendor}'s"


def clock_skew_seconds(answer: HttpResult) -> float | None:
    """How far this machine's clock is ahead of what an answer that has just come says; None where it says nothing."""
    if answer.date is None:
        return None
    return (datetime.now(UTC) - answer.date).total_seconds() - answer.age_seconds


class VendorClocks:
    """The vendors' Date headers of one run, an origin one vote.

    This machine's clock is wrong where several origins agree on another time and fewer on its own, or where the only
    origin that tells the time tells another. One vendor's broken header among several is a warning for its accounts.
    Where vendors on loopback are asked beside real ones, they have no vote: their clock is the one in question. Nor
    have origins of accounts with `ignore_date_header`.
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
        """Take in an origin's answer: how far this machine's clock is ahead of it, None where it does not say."""
        if origin not in self._voters:
            return
        self._unheard.discard(origin)
        if skew_seconds is not None:
            # An answer that was long on its way, or in a cache, is older than its server's clock: the newest counts.
            self._skews[origin] = min(skew_seconds, self._skews.get(origin, skew_seconds), key=abs)

    @property
    def is_doubtful(self) -> bool:
        """An origin tells another time, and it may yet come out that this machine's clock is wrong."""
        others, agreeing = self._other_clocks(), self._agreeing_count
        return bool(others and self._unheard) and len(others) + len(self._unheard) > agreeing

    @property
    def problem(self) -> str | None:
        """What is said where this machine's clock is wrong, with both times; None where it is not, or may not be."""
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
        """Raise DrawdownError where this machine's clock is wrong."""
        if problem := self.problem:
            raise DrawdownError(
                f"{problem}: nothing is landed with a wrong time; set the clock, or have NTP set it, and run again; "
                "or, if the clock is right and the vendor's is wrong, set ignore_date_header = true for its accounts"
            )

    @property
    def _agreeing_count(self) -> int:
        return sum(abs(skew) <= REFUSED_SECONDS for skew in self._skews.values())

    def _other_clocks(self) -> list[str]:
        """The most origins that are hours off and agree with each other."""
        off = sorted((skew, origin) for origin, skew in self._skews.items() if abs(skew) > REFUSED_SECONDS)
        groups = [[origin for skew, origin in off if first <= skew <= first + REFUSED_SECONDS] for first, _ in off]
        return max(groups, key=len, default=[])


def origin_of_account(account: AccountSettings) -> str:
    """Host and port of an account's vendor: accounts of one server have one clock."""
    return urlsplit(account.base_url).netloc


def _listed(names: list[str], *, most: int = 3) -> str:
    named = sorted(names)
    if len(named) > most:
        return f"{', '.join(named[:most])} and {len(named) - most} more"
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
