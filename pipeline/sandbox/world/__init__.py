"""A deterministic world of eight prepaid accounts, with a clock that reveals it.

Everything is generated from a seed for a fixed span; the clock only decides how much of it an answer shows, and its
path to that instant makes no difference.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from pipeline.sandbox.world import deepvue_world, hyperstack_world, voxpria_world, vpsbg_world
from pipeline.sandbox.world._world_base import HORIZON_DAYS, Account, Life, UsageDay, WorldEntry
from pipeline.sandbox.world.declared_world import declared_accounts, declared_vendors

__all__ = ["HORIZON_DAYS", "STORIES", "Account", "Life", "UsageDay", "World", "WorldEntry"]

STORIES: dict[str, tuple[str, Callable[[str, Life], Account]]] = {
    "vpsbg-main": ("vpsbg", vpsbg_world.main),
    "vpsbg-agency": ("vpsbg", vpsbg_world.agency),
    "vpsbg-idle": ("vpsbg", vpsbg_world.idle),
    "hyperstack-main": ("hyperstack", hyperstack_world.main),
    "voxpria-main": ("voxpria", voxpria_world.main),
    "voxpria-campaign": ("voxpria", voxpria_world.campaign),
    "deepvue-main": ("deepvue", deepvue_world.main),
    "deepvue-new": ("deepvue", deepvue_world.new),
}


class World:
    """The accounts of some vendors over `days` before the initial now, and `HORIZON_DAYS` after it.

    `vendors` are those whose accounts it has, or `all`; None for the four that have a world of their own. `now` must be
    aware; it is truncated to the second, and the real time if absent. The clock only advances if `ticking`. Raises
    ValueError for a naive instant, for days under 1 and for an unknown vendor.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        days: int = 400,
        now: datetime | None = None,
        vendors: Iterable[str] | None = None,
        ticking: bool = False,
    ) -> None:
        if days < 1:
            raise ValueError(f"days must be at least 1, not {days}")
        ported = {vendor for vendor, _ in STORIES.values()}
        known = ported | declared_vendors().keys()
        wanted = ported if vendors is None else set(vendors)
        if "all" in wanted:
            wanted = known
        if wanted - known:
            raise ValueError(f"unknown vendors {sorted(wanted - known)}; known are {sorted(known)}")
        self.seed = seed
        self.days = days
        self.initial_now = _utc(now or datetime.now(UTC)).replace(microsecond=0)
        self.opened_at = self.initial_now - timedelta(days=days)
        self.ends_at = self.initial_now + timedelta(days=HORIZON_DAYS)
        self._now = self.initial_now
        self._ticking_since = time.monotonic() if ticking else None
        life = Life(seed, self.opened_at, self.initial_now, self.ends_at)
        self.accounts: dict[str, Account] = {
            account_id: tell(account_id, life) for account_id, (vendor, tell) in STORIES.items() if vendor in wanted
        }
        for vendor in sorted(wanted - ported):
            self.accounts |= {each.account_id: each for each in declared_accounts(vendor, life)}

    @property
    def now(self) -> datetime:
        """Instant of every answer, in UTC."""
        if self._ticking_since is None:
            return self._now
        return min(self._now + timedelta(seconds=time.monotonic() - self._ticking_since), self.ends_at)

    def move_clock(self, instant: datetime) -> None:
        """Set the clock, forward or back; raises ValueError for an instant naive or outside the span."""
        instant = _utc(instant)
        if not self.opened_at <= instant <= self.ends_at:
            raise ValueError(f"this world lasts from {self.opened_at.isoformat()} to {self.ends_at.isoformat()}")
        self._now = instant
        if self._ticking_since is not None:
            self._ticking_since = time.monotonic()

    def account(self, account_id: str) -> Account:
        """Return one account's oracle; raises KeyError for an id that this world does not have."""
        return self.accounts[account_id]


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no UTC offset")
    return instant.astimezone(UTC)
