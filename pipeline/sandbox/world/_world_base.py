"""Base of every simulated account: dated entries that sum to its balance, and the truth for tests."""

import random
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Literal

Kind = Literal["top_up", "usage", "renewal", "refund"]

ZERO = Decimal(0)

# How far past the initial now a world is generated: a clock moved forward finds events already decided.
HORIZON_DAYS = 120


@dataclass(frozen=True, slots=True)
class Life:
    """The span that a world covers; all instants are aware and in UTC."""

    seed: int
    opened_at: datetime
    initial_now: datetime
    ends_at: datetime

    def rng(self, account_id: str, purpose: str) -> random.Random:
        """Return one purpose's own generator, so that adding an account or a purpose changes no other."""
        return random.Random(f"{self.seed}/{account_id}/{purpose}")  # noqa: S311 - must be repeatable

    def days(self) -> Iterable[datetime]:
        """Return every UTC midnight whose day overlaps the span."""
        day = self.opened_at.replace(hour=0, minute=0, second=0, microsecond=0)
        while day < self.ends_at:
            yield day
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WorldEntry:
    """One change of a balance.

    `amount` is signed, in the account's unit, and is exactly the change of the balance. `net_amount` and `gross_amount`
    are signed too, and only set if tax applies. `quantity` counts usage (calls, checks, billed minutes). A usage report
    includes the entry from `known_at` on, the balance from `at` on.
    """

    entry_id: int
    at: datetime
    kind: Kind
    amount: Decimal
    description: str = ""
    net_amount: Decimal | None = None
    gross_amount: Decimal | None = None
    quantity: int = 0
    known_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UsageDay:
    """The usage of one UTC day as reported at some instant: `amount` is positive, in the account's unit."""

    day: date
    quantity: int
    amount: Decimal
    is_partial: bool


class Account:
    """The complete life of one account, generated ahead and revealed up to the requested instant.

    Every method is the oracle of a test: plain Python over events, independent of the pipeline.
    """

    vendor: str

    def __init__(self, account_id: str, unit: str, opened_at: datetime, entries: Iterable[WorldEntry]) -> None:
        self.account_id = account_id
        self.unit = unit
        self.opened_at = opened_at
        self.entries = tuple(sorted(entries, key=lambda entry: (entry.at, entry.entry_id)))
        self._instants = [entry.at for entry in self.entries]
        self._balances = list(accumulate((entry.amount for entry in self.entries), initial=ZERO))

    def balance_at(self, instant: datetime) -> Decimal:
        """Return the balance in the account's unit, every entry up to and including `instant` counted."""
        return self._balances[bisect_right(self._instants, instant)]

    def ledger(self, until: datetime) -> list[WorldEntry]:
        """Return the entries up to and including `until`, oldest first; their amounts sum to the balance."""
        return list(self.entries[: bisect_right(self._instants, until)])

    def usage(self, until: datetime) -> list[UsageDay]:
        """Return the days with usage as a report made at `until` knows them, oldest first."""
        totals: dict[date, tuple[int, Decimal]] = {}
        for entry in self.ledger(until):
            if entry.kind == "usage" and (entry.known_at is None or entry.known_at <= until):
                quantity, amount = totals.get(entry.at.date(), (0, ZERO))
                totals[entry.at.date()] = (quantity + entry.quantity, amount - entry.amount)
        return [
            UsageDay(day, quantity, amount, is_partial=day == until.date())
            for day, (quantity, amount) in sorted(totals.items())
        ]

    def spend_by_day(self, until: datetime) -> dict[date, Decimal]:
        """Return the spend of each UTC day with any spending; positive, in the account's unit."""
        spend: dict[date, Decimal] = {}
        for entry in self.ledger(until):
            if entry.kind in ("usage", "renewal"):
                spend[entry.at.date()] = spend.get(entry.at.date(), ZERO) - entry.amount
        return spend
