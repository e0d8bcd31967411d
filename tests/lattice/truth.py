"""The truth about an account in some state over nine weeks: movements of its balance, and its polls."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.landing.store import Fetch
from tests.lattice.combinations import Combination

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
"""Start of the newest run."""

POLLS = 22
"""Every third day, so that one of them is the first of March and February has many."""
_LAST = POLLS - 1
_TIMES = {"noon": timedelta(hours=12), "midnight": timedelta(0), "before_midnight": -timedelta(microseconds=1)}

RECORDS = (0, 8, 14, _LAST)
"""Polls before which a run landed the settings."""

_SCALES = {
    # Opening balances and movements. The bound of amounts is 10^15.
    "ordinary": ("500", "3.25"),
    "zero": ("0", "3.25"),
    "tiny": ("0.0000001", "0.000000001"),
    "huge": ("300000000000000.999999999", "10000000000000"),
    "negative": ("-20", "3.25"),
}
_BOUND = Decimal("999999999999999.999999999")
"""The largest amount that the contract accepts."""
UNITS = {"changes_once": ("BGN", "EUR"), "changes_twice": ("BGN", "EUR", "BGN")}
CHANGES = (10, 16)
"""Polls after which the unit changes, both in February."""

KINDS = {"deposit": "top_up", "usage": "usage", "renewal": "renewal", "refund": "refund"}


@dataclass(frozen=True)
class Entry:
    """A true ledger entry."""

    at: datetime
    word: str
    moved: Decimal
    """Movement of the balance, or of another balance if its unit is foreign."""
    unit: str | None
    """As the vendor states it, in capitals; None if it does not."""

    @property
    def kind(self) -> str:
        return KINDS[self.word]


@dataclass
class SimulatedAccount:
    """An account, its answers and the truth about it."""

    account_id: str
    combination: Combination
    number: int
    """The account's own number, on which its fetch ids depend: other accounts do not change them."""
    former_id: str | None = None
    is_configured: bool = True
    fetches: list[Fetch] = field(default_factory=list)
    readings: dict[datetime, tuple[Decimal, str | None]] = field(default_factory=dict)
    """Every good balance, and its unit if the answer names it."""
    entries: dict[str, Entry] = field(default_factory=dict)
    usage: dict[date, Decimal] = field(default_factory=dict)
    """As last stated."""
    unit: str | None = "unknown"
    """Unit of the newest balance; None if it may be a reading by hand, which does not state it."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids under which its rows may appear."""
        return (self.account_id,) if self.former_id is None else (self.account_id, self.former_id)

    def settings(self, record: int) -> dict[str, dict[str, Any]]:
        """Settings that the run before that poll landed: none if it was not configured."""
        life = self.combination["life"]
        if (life == "removed" and record == _LAST) or (life == "back" and record == RECORDS[1]):
            return {}
        renamed = life == "renamed" and record >= RECORDS[2]
        given: dict[str, Any] = {
            "vendor": self.combination.vendor,
            "team": "unusual",
            "identity": None if self.combination.vendor == "manual" else f"{self.number + 1:016x}",
            "formerly": [self.former_id] if renamed else [],
            "same_as": None,
        }
        match self.combination["limits"]:
            case "alerts":
                given |= {"alert_below_days": "10", "alert_below_amount": "50"}
            case "topup":
                given |= {"topup_lead_days": "5", "topup_minimum_amount": "20", "tax_rate": "0.2"}
        if self.combination.vendor == "deepvue":
            unit = self.combination["unit"]
            given["unit_code"] = "INR" if unit == "known" or (unit == "named_later" and record == _LAST) else None
        match self.combination["price"]:
            case "one":
                given |= {"credit_price_amount": "0.1", "credit_price_unit_code": "USD"}
            case "changes":
                given |= {"credit_price_amount": "0.1", "credit_price_unit_code": "USD"}
                given["credit_prices"] = [
                    {"from_date": "2026-02-10", "price_amount": "0.2", "price_unit_code": "EUR"},
                ]
        old = self.former_id if life == "renamed" and not renamed else None
        return {old or self.account_id: given}


class Truth:
    """Movements of an account, and the result of each poll."""

    def __init__(self, simulated: SimulatedAccount) -> None:
        self.simulated = simulated
        self.state = simulated.combination
        self.last = 13 if self.state["life"] == "removed" else _LAST
        self.opening, self.step = (Decimal(text) for text in _SCALES[self.state["amounts"]])
        self.moves: list[tuple[datetime, Decimal]] = []

    def at(self, poll: int) -> datetime:
        day = NOW.replace(hour=0) - timedelta(days=3 * (_LAST - poll))
        return day + _TIMES[self.state["hour"]]

    def polls(self) -> tuple[list[int], list[int]]:
        """Polls with a balance, and those without."""
        last, trouble = self.last, self.state["trouble"]
        fails_at_last = trouble in ("last_failed", "last_unreadable")
        good_last = last - 1 if fails_at_last else last
        good: list[int]
        match self.state["readings"]:
            case "many":
                good = list(range(good_last + 1))
            case "one":
                good = [good_last]
            case "two":
                good = [5 if self.last < _LAST else 10, good_last]
            case _:
                good = []
        bad = [last] if fails_at_last else []
        if not good:
            bad = [last - 1, last]
        elif trouble == "first_failed":
            bad = [0, 1] if len(good) > 2 else [good[0] - 1]
            good = [poll for poll in good if poll not in bad]
        if self.state["life"] == "back":
            # It was not polled while it was not in the settings.
            out = range(RECORDS[1], RECORDS[2])
            good, bad = ([poll for poll in each if poll not in out] for each in (good, bad))
        return good, bad

    def unit_at(self, poll: int) -> str | None:
        """Unit of the balance, if the vendor states one."""
        if self.state.vendor == "voxpria":
            return "voxpria-credit"
        if self.state.vendor in ("hyperstack", "vultr"):
            return "USD"
        if self.state.vendor == "deepvue":
            return None
        units = UNITS.get(self.state["unit"], ("EUR",))
        return units[min(sum(poll > change for change in CHANGES), len(units) - 1)]

    def live(self, good: list[int]) -> None:
        """Movements of the balance: entries or usage, an undocumented rise, and a jump at a change of unit."""
        step = self.step
        if self.state.vendor in ("voxpria", "hyperstack"):
            self.use()
        else:
            for poll in range(self.last):
                if self.unit_at(poll) != self.unit_at(poll + 1):
                    self.moves.append((self.at(poll) + timedelta(days=1), -4 * step))
                    continue
                self.move(poll, "usage", -step)
                if poll % 7 == 3:
                    self.move(poll, "deposit", 10 * step)
                if poll % 9 == 4:
                    self.move(poll, "renewal", -2 * step)
                if poll == 12:
                    self.move(poll, "refund", step)
        if self.state["amounts"] == "zero" and good:
            self.opening -= self.amount_at(self.at(good[-1]))
        if self.state["amounts"] == "huge" and self.state["readings"] == "one" and good:
            self.opening += _BOUND - self.amount_at(self.at(good[-1]))

    def move(self, poll: int, word: str, moved: Decimal) -> None:
        # At the poll itself, at midnight, or well within the interval.
        after = {
            "noon": timedelta(hours=30),
            "midnight": timedelta(days=poll % 2 + 1),
            "before_midnight": timedelta(days=1),
        }
        at = self.at(poll) + after[self.state["hour"]] + timedelta(hours={"deposit": 5, "renewal": 7}.get(word, 0))
        if self.state["hour"] == "midnight" and word == "usage" and poll % 5 == 0:
            at = self.at(poll + 1)
        ledger = self.state["ledger"]
        if ledger == "one" and (poll, word) != (10 if self.last == _LAST else 3, "deposit"):
            return
        if ledger in ("empty", "future"):
            return
        if ledger in ("many", "one"):
            number = f"e{poll:02d}{word}"
            entry_unit = self.state["entry_unit"]
            unit = self.unit_at(poll) if entry_unit != "none" else None
            self.simulated.entries[number] = Entry(at, word, moved, unit)
            if entry_unit == f"foreign_{KINDS[word]}" and poll in (3, 10, 17):
                self.simulated.entries[f"f{poll:02d}"] = Entry(at + timedelta(hours=1), word, 2 * moved, "USD")
        self.moves.append((at, moved))

    def use(self) -> None:
        """Usage by day, with incoming money every three weeks."""
        first, days = self.at(0).date(), 3 * self.last + 1
        for number in range(days):
            day = first + timedelta(days=number)
            amount = self.step * (number % 3)
            match self.state["usage"]:
                case "below_zero" if number % 5 == 0:
                    amount = -self.step
                case "zero":
                    amount = Decimal(0)
                case "none":
                    continue
            if amount or self.state["usage"] == "zero":
                self.simulated.usage[day] = amount
                # A day's usage is stated as one amount, at its first instant.
                self.moves.append((datetime(day.year, day.month, day.day, tzinfo=UTC), -amount))
        self.moves += [(self.at(poll) + timedelta(hours=3), 20 * self.step) for poll in (3, 10, 17)]

    def amount_at(self, instant: datetime) -> Decimal:
        return self.opening + sum((moved for at, moved in self.moves if at <= instant), Decimal(0))
