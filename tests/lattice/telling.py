"""What the vendor of an account in some state would have answered in nine weeks of polling, and what is true of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.landing.store import Fetch
from tests.lattice.combinations import Combination
from tests.staging.landed import Landing

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
"""When the newest run began."""

POLLS = 22
"""Every third day, so that one of them is the first of March and February has many."""
_LAST = POLLS - 1
_TIMES = {"noon": timedelta(hours=12), "midnight": timedelta(0), "before_midnight": -timedelta(microseconds=1)}

RECORDS = (0, 8, 14, _LAST)
"""The polls before which a run landed the settings."""

_SCALES = {
    # What is there at first, and by how much it moves. The bound of amounts is 10^15.
    "ordinary": ("500", "3.25"),
    "zero": ("0", "3.25"),
    "tiny": ("0.0000001", "0.000000001"),
    "huge": ("300000000000000.999999999", "10000000000000"),
    "negative": ("-20", "3.25"),
}
_BOUND = Decimal("999999999999999.999999999")
"""The largest amount that the contract takes."""
_UNITS = {"changes_once": ("BGN", "EUR"), "changes_twice": ("BGN", "EUR", "BGN")}
_CHANGES = (10, 16)
"""The polls after which the unit changes, both in February."""

_KINDS = {"deposit": "top_up", "usage": "usage", "renewal": "renewal", "refund": "refund"}


@dataclass(frozen=True)
class Entry:
    """A ledger entry as it is."""

    at: datetime
    word: str
    moved: Decimal
    """What it moved the balance by, or another balance where its unit is foreign."""
    unit: str | None
    """As the vendor states it, in capitals; None where it does not."""

    @property
    def kind(self) -> str:
        return _KINDS[self.word]


@dataclass
class Told:
    """An account, what was answered of it and what is true."""

    account_id: str
    combination: Combination
    number: int
    """Its own, which its fetch ids are made of: whoever else is there changes nothing of them."""
    former_id: str | None = None
    is_configured: bool = True
    fetches: list[Fetch] = field(default_factory=list)
    readings: dict[datetime, tuple[Decimal, str | None]] = field(default_factory=dict)
    """Every good balance, and its unit where the answer names it."""
    entries: dict[str, Entry] = field(default_factory=dict)
    usage: dict[date, Decimal] = field(default_factory=dict)
    """As last stated."""
    unit: str | None = "unknown"
    """Of the newest balance; None where it may be that of readings by hand, for nobody says."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids that its rows may stand under."""
        return (self.account_id,) if self.former_id is None else (self.account_id, self.former_id)

    def settings(self, record: int) -> dict[str, dict[str, Any]]:
        """What the run before that poll landed of its settings: nothing where it was not configured."""
        life = self.combination["life"]
        if (life == "removed" and record == _LAST) or (life == "back" and record == RECORDS[1]):
            return {}
        renamed = life == "renamed" and record >= RECORDS[2]
        given: dict[str, Any] = {
            "vendor": self.combination.vendor,
            "team": "odd",
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


def tell(account_id: str, number: int, combination: Combination) -> Told:
    """Nine weeks of the account."""
    former = f"{account_id}-old" if combination["life"] == "renamed" else None
    told = Told(account_id, combination, number, former, combination["life"] != "removed")
    _Teller(told).tell()
    return told


class _Teller:
    """Answers poll after poll."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.state = told.combination
        self.last = 13 if self.state["life"] == "removed" else _LAST
        self.opening, self.step = (Decimal(text) for text in _SCALES[self.state["amounts"]])
        self.landing = Landing(folder=None, ids=())  # type: ignore[arg-type]
        self.moves: list[tuple[datetime, Decimal]] = []
        self.ordinal = 0
        self.kept_rows: list[tuple[datetime, Decimal, str]] = []

    def at(self, poll: int) -> datetime:
        day = NOW.replace(hour=0) - timedelta(days=3 * (_LAST - poll))
        return day + _TIMES[self.state["hour"]]

    def land(self, endpoint: str, body: object, at: datetime, poll: int, **more: Any) -> None:
        self.ordinal += 1
        place = int(at.timestamp()) * 10**9 + at.microsecond * 1000 + self.told.number * 10_000 + self.ordinal
        renamed = self.told.former_id if poll < RECORDS[2] else None
        vendor = "manual" if endpoint == "readings" else self.state.vendor
        self.told.fetches.append(
            self.landing.fetch(
                vendor, endpoint, body, account_id=renamed or self.told.account_id, at=at,
                run_id=f"run-{poll:02d}", fetch_id=f"{place:016x}", **more,
            )
        )  # fmt: skip

    # -- when it was asked, and how that ended ------------------------------------------------------------------------

    def polls(self) -> tuple[list[int], list[int]]:
        """The polls that gave a balance, and those that did not."""
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
            # Nobody asked while it was out of the settings.
            out = range(RECORDS[1], RECORDS[2])
            good, bad = ([poll for poll in each if poll not in out] for each in (good, bad))
        return good, bad

    def tell(self) -> None:
        good, bad = self.polls()
        self.history()
        self.live(good)
        asked = sorted([*good, *bad])
        # Listings are long: what the first, a middle and the last say is enough.
        listed = {asked[0], asked[len(asked) // 2], asked[-1]} if asked else set()
        for poll in asked:
            self.balance(poll, is_good=poll in good)
            if poll in listed and not (poll in bad and self.state["trouble"] == "first_failed"):
                self.listings(poll)
        newest = max(self.told.readings, default=None)
        stated = self.told.readings[newest][1] if newest else None
        own = {"voxpria": "voxpria-credit", "hyperstack": "USD"}.get(self.state.vendor, "unknown")
        if self.state.vendor == "deepvue" and self.state["unit"] != "absent":
            own = "INR"
        is_nobodys = own == "unknown" and self.state["csv"] != "none"
        self.told.unit = stated or (None if is_nobodys else own)

    # -- what is true ------------------------------------------------------------------------------------------------

    def unit_at(self, poll: int) -> str | None:
        """The unit of the balance, where the vendor states one."""
        if self.state.vendor == "voxpria":
            return "voxpria-credit"
        if self.state.vendor == "hyperstack":
            return "USD"
        if self.state.vendor == "deepvue":
            return None
        units = _UNITS.get(self.state["unit"], ("EUR",))
        return units[min(sum(poll > change for change in _CHANGES), len(units) - 1)]

    def live(self, good: list[int]) -> None:
        """What moves the balance: entries or usage, a rise that nothing tells of, and a jump where the unit changes."""
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
            self.told.entries[number] = Entry(at, word, moved, unit)
            if entry_unit == f"foreign_{_KINDS[word]}" and poll in (3, 10, 17):
                self.told.entries[f"f{poll:02d}"] = Entry(at + timedelta(hours=1), word, 2 * moved, "USD")
        self.moves.append((at, moved))

    def use(self) -> None:
        """Usage by day; and every three weeks money comes in."""
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
                self.told.usage[day] = amount
                # A day's usage is there in one piece, at its first instant.
                self.moves.append((datetime(day.year, day.month, day.day, tzinfo=UTC), -amount))
        self.moves += [(self.at(poll) + timedelta(hours=3), 20 * self.step) for poll in (3, 10, 17)]

    def amount_at(self, instant: datetime) -> Decimal:
        return self.opening + sum((moved for at, moved in self.moves if at <= instant), Decimal(0))

    # -- what is answered --------------------------------------------------------------------------------------------

    def history(self) -> None:
        """Readings kept by hand in an account that has an API: from before it, or beside its own."""
        csv = self.state["csv"]
        if csv == "none":
            return
        unit = "SEK" if csv == "other_unit" else self.unit_at(0) or "INR"
        rows = [
            (datetime(2025, 12, day, hour, tzinfo=UTC), 7 * self.step + day * self.step)
            for day, hour in [(1, 0), (15, 12), (31, 23)]
        ]
        if csv == "same_instants":
            rows = [(self.at(poll), Decimal(77)) for poll in (2, 9)]
        for at, amount in rows:
            self.told.readings[at] = (amount, unit)
        # A file is read after its rows were written.
        self.file(9 if csv == "same_instants" else 0, rows, unit)

    def file(self, poll: int, rows: list[tuple[datetime, Decimal]], unit: str) -> None:
        lines = [f"{at.isoformat()},{amount:f},{unit}" for at, amount in rows]
        self.land("readings", "\n".join(["observed_at_utc,balance_amount,unit_code", *lines, ""]), self.at(poll), poll)

    def balance(self, poll: int, *, is_good: bool) -> None:
        if self.state.vendor == "manual":
            self.kept(poll, is_good=is_good)
            return
        endpoint = {"vpsbg": "balance", "voxpria": "credits", "hyperstack": "credit", "deepvue": "wallet"}[
            self.state.vendor
        ]
        instants = [self.at(poll)]
        if poll == _CHANGES[0] and self.state["hour"] == "midnight" and self.state["unit"] in _UNITS:
            # The unit changes within a day that has intervals in both.
            instants += [self.at(poll) + timedelta(hours=hours) for hours in (1, 2, 3)]
        for number, at in enumerate(instants):
            if not is_good and self.state["trouble"] != "last_unreadable":
                self.land(endpoint, b"", at, poll, outcome="timeout")
                continue
            unit = self.unit_at(poll + (number > 1))
            amount = self.amount_at(at)
            body = self.body(amount, unit)
            if not is_good:
                body = {"message": "under maintenance"}
            elif not (self.state.vendor == "vpsbg" and self.state["unit"] == "absent"):
                self.told.readings[at] = (amount, unit)
            self.land(endpoint, body, at, poll)

    def body(self, amount: Decimal, unit: str | None) -> dict[str, Any]:
        stated = f"{amount:f}"
        claims = self.state["claims"]
        size = f"{10 * self.step:f}"
        match self.state.vendor:
            case "vpsbg":
                given: dict[str, Any] = {
                    "balance": stated,
                    "currency": unit.lower() if self.state["unit"] == "lower_case" and unit else unit,
                }
                if self.state["unit"] == "absent":
                    del given["currency"]
                if claims == "some":
                    deposit = {
                        "tx_hash": "x",
                        "tx_amount": "1",
                        "amount": size,
                        "amount_with_vat": size,
                        "noticed_on": NOW.isoformat(),
                    }
                    given |= {
                        "estimated_expenses": size,
                        "shortfall": "0",
                        "balance_limit": size,
                        "unconfirmed_bitcoin_deposits": [deposit],
                    }
                if claims == "zero":
                    given |= {
                        "estimated_expenses": 0,
                        "shortfall": 0,
                        "balance_limit": 0,
                        "unconfirmed_bitcoin_deposits": [],
                    }
                return given
            case "voxpria":
                named = {"currency": "credits"} if self.state["unit"] == "known" else {}
                return {"success": True, "data": {"balance": stated, **named}}
            case "hyperstack":
                threshold = {"some": {"threshold": size}, "zero": {"threshold": 0}}.get(claims, {})
                return {"status": True, "message": "", "data": {"credit": stated, **threshold}}
            case _:
                return {"current_balance": stated, "success": True}

    def kept(self, poll: int, *, is_good: bool) -> None:
        """A file kept by hand: all rows so far; an unreadable newest row is one as people type it."""
        if not is_good and self.state["trouble"] != "last_unreadable":
            self.land("readings", b"", self.at(poll), poll, outcome="not_found")
            return
        if is_good:
            self.kept_rows.append((self.at(poll), self.amount_at(self.at(poll)), self.unit_at(poll) or ""))
            if self.state["unit"] != "absent":
                self.told.readings[self.at(poll)] = self.kept_rows[-1][1:]
        spelled = {"lower_case": " {} ", "absent": ""}.get(self.state["unit"], "{}")
        lower = self.state["unit"] == "lower_case"
        lines = [
            f"{at.isoformat()},{amount:f},{spelled.format(unit.lower() if lower else unit)}"
            for at, amount, unit in self.kept_rows
        ]
        lines += [] if is_good else [f'{self.at(poll).isoformat()},"12,50",EUR']
        self.land("readings", "\n".join(["observed_at_utc,balance_amount,unit_code", *lines, ""]), self.at(poll), poll)

    def listings(self, poll: int) -> None:
        at = self.at(poll)
        match self.state.vendor:
            case "vpsbg":
                self.ledger(poll, at)
                self.orders(poll, at)
            case "voxpria":
                self.days(poll, at)
            case "hyperstack":
                self.billed(poll, at)
                self.more(poll, at)

    def ledger(self, poll: int, at: datetime) -> None:
        if self.state["ledger"] == "absent":
            self.land("transactions", b"", at, poll, outcome="forbidden")
            return
        if self.state["ledger"] == "future" and not self.told.entries:
            for number, days in enumerate((5, 40)):
                ahead = Entry(
                    NOW + timedelta(days=days),
                    "usage",
                    -self.step,
                    "EUR" if self.state["entry_unit"] != "none" else None,
                )
                self.told.entries[f"n{number}"] = ahead
        rows = [
            self.row(name, entry)
            for name, entry in sorted(self.told.entries.items(), key=lambda each: each[1].at, reverse=True)
            if entry.at <= at or name[0] == "n"
        ]
        self.land("transactions", {"data": rows, "links": {"next": None}, "meta": {}}, at, poll)

    def row(self, name: str, entry: Entry) -> dict[str, Any]:
        amount = {"signed": entry.moved, "unsigned": abs(entry.moved), "inverted": -entry.moved}[self.state["signs"]]
        row = {
            "id": name,
            "type": entry.word,
            "amount": f"{amount:f}",
            "created_at": entry.at.isoformat(),
            "status": "paid",
        }
        if entry.unit:
            row["currency"] = entry.unit.lower() if self.state["unit"] == "lower_case" else entry.unit
        return row

    def orders(self, poll: int, at: datetime) -> None:
        if self.state["orders"] == "absent":
            self.land("orders", b"", at, poll, outcome="forbidden")
            return
        rows = []
        if self.state["orders"] == "some":
            rows = [
                {
                    "id": number,
                    "type": word,
                    "status": "paid",
                    "amount_with_vat": f"{size * self.step:f}",
                    "amount_from_balance": f"{taken * self.step:f}",
                    "created_at": when.isoformat(),
                    "payment_date": when.isoformat(),
                }
                for number, (word, size, taken, when) in enumerate(
                    [
                        ("deposit", 9, 0, self.at(4)),
                        ("renew-service", 2, 2, self.at(6)),
                        ("new-addon", 1, 1, self.at(9)),
                    ]
                )
                if when <= at
            ]
        self.land("orders", {"data": rows, "links": {"next": None}, "meta": {}}, at, poll)

    def usage_rows(self, at: datetime, back: int) -> Iterator[tuple[date, Decimal | None]]:
        for number in reversed(range(back)):
            day = (at - timedelta(days=number)).date()
            yield day, self.told.usage.get(day)

    def days(self, poll: int, at: datetime) -> None:
        span = (self.at(0).date(), at.date())
        if self.state["usage"] == "absent":
            self.land("usage", b"", at, poll, outcome="forbidden", days=span)
            return
        back = (span[1] - span[0]).days + 1
        rows = [
            {"date": str(day), "calls": 1, "creditsUsed": f"{amount:f}"}
            for day, amount in self.usage_rows(at, back)
            if amount is not None
        ]
        self.land("usage", {"success": True, "data": {"usage": rows, "total": None}}, at, poll, days=span)

    def billed(self, poll: int, at: datetime) -> None:
        if self.state["usage"] == "absent":
            self.land("history", b"", at, poll, outcome="forbidden", days=(at.date(), at.date()))
            return
        for day, amount in self.usage_rows(at, 34 if poll == self.last else 2):
            rows = (
                [{"attributes": {"id": "1"}, "metrics": {"incurred_bill": f"{amount:f}"}}] if amount is not None else []
            )
            body = {"status": True, "message": "", "billing_history": {"billing_history": rows}}
            self.land("history", body, at, poll, days=(day, day))

    def more(self, poll: int, at: datetime) -> None:
        payments = self.state["payments"]
        if payments == "absent":
            self.land("payments", b"", at, poll, outcome="forbidden")
        else:
            when = {"future": NOW + timedelta(days=3)}.get(payments, self.at(3) + timedelta(hours=3))
            row = {
                "payment_id": "p1",
                "amount": f"{20 * self.step:f}",
                "currency": "USD",
                "status": "pending" if payments == "pending" else "completed",
                "created_at": when.isoformat(),
                "updated_at": when.isoformat(),
            }
            self.land(
                "payments", {"status": True, "message": "", "data": [row] if payments != "none" else []}, at, poll
            )
        if self.state["auto"] == "absent":
            self.land("auto_topup", b"", at, poll, outcome="forbidden")
        else:
            body = {
                "status": "enabled" if self.state["auto"] == "on" else None,
                "threshold_amount": f"{10 * self.step:f}",
                "topup_amount": f"{20 * self.step:f}",
            }
            self.land("auto_topup", body, at, poll)
