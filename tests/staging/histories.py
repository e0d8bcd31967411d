"""Random histories of several accounts, in several loads: late, restated, with gaps, out of order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pipeline.landing.store import FX_RATES, OWN, RUNS, Fetch
from tests.staging.landed import Landing, run_record

START = datetime(2025, 11, 20, tzinfo=UTC)
DAYS = 130
"""Long enough for five months, one of them possibly skipped completely."""

_SIGN = {"deposit": 1, "refund": 1, "renewal": -1, "usage": -1, "tax": -1}
_TYPES = [*_SIGN, "correction", "mystery"]

DAY = st.integers(0, DAYS)
# Midnights and hours: both sides of a day's and a month's end.
INSTANT = st.builds(lambda day, hour: START + timedelta(days=day, hours=hour), DAY, st.sampled_from([0, 0, 6, 23]))
_HOURS = st.sampled_from([1, 7, 30, 24 * 40])
_AMOUNT = st.sampled_from(["1", "2.5", "7", "0.000000001", "33.333333333", "100"])


@dataclass
class Ledger:
    """The truth about a ledger account, whatever has been stated about it."""

    convention: str
    entries: dict[int, tuple[datetime, str, Decimal]] = field(default_factory=dict)
    """By id: time, type, and movement of the balance."""

    def stated(self, number: int) -> dict[str, Any]:
        """The entry as the vendor states it under its convention."""
        at, word, moved = self.entries[number]
        amount = {"signed": moved, "inverted": -moved, "by_kind": abs(moved)}[self.convention]
        return {"id": number, "type": word, "amount": str(amount), "created_at": at.isoformat()}

    def balance_at(self, instant: datetime) -> Decimal:
        """Balance with every entry up to the instant, known or not."""
        return Decimal(500) + sum((moved for at, _, moved in self.entries.values() if at <= instant), Decimal(0))


@st.composite
def _ledger(draw: st.DrawFn) -> Ledger:
    made = Ledger(draw(st.sampled_from(["signed", "inverted", "by_kind"])))
    for number in range(draw(st.integers(2, 6))):
        made.entries[number] = _entry(draw)
    return made


def _entry(draw: st.DrawFn) -> tuple[datetime, str, Decimal]:
    word = draw(st.sampled_from(_TYPES))
    sign = _SIGN.get(word) or draw(st.sampled_from([1, -1]))
    at = draw(INSTANT.filter(lambda instant: instant < START + timedelta(days=100)))
    return at, word, sign * Decimal(draw(_AMOUNT))


_VENDORS = {
    "ledger": "vpsbg",
    "usage": "voxpria",
    "balance": "deepvue",
    "hand": "vpsbg",
    "refused": "vpsbg",
    "gpu": "hyperstack",
}
_FIRST = {"unit": "INR", "price": "0.1", "price_unit": "EUR", "reporting": "EUR", "team": None, "prices": []}
_SETTINGS = st.fixed_dictionaries(
    {
        "unit": st.sampled_from([None, "INR", "USD"]),
        "price": st.sampled_from([None, "0.1", "0.25"]),
        "price_unit": st.sampled_from(["EUR", "USD"]),
        "reporting": st.sampled_from(["EUR", "EUR", "USD"]),
        "team": st.sampled_from([None, "a"]),
        "prices": st.lists(st.sampled_from(["2025-12-20", "2026-01-31", "2026-02-01"]), unique=True),
    }
)
# Events of an account. Most of them must not change the account itself, which would make all of its months dirty.
_EVENTS = {
    "ledger": ["entries", "entries", "restated", "restated", "same", "reading", "failure"],
    "usage": ["usage", "usage", "credits"],
    "balance": ["wallet"],
    "hand": ["file", "file", "now", "entries"],
    # Its vendor does not show the key a ledger, and later does.
    "refused": ["orders", "orders", "orders", "balance", "entries"],
    "gpu": ["billed", "billed", "paid"],
}


@dataclass
class Teller:
    """Answers about some accounts, one after the other; its ids rise with the order in which answers were made."""

    draw: st.DrawFn
    accounts: list[str]
    ledger: Ledger
    landing: Landing = field(default_factory=lambda: Landing(Path("nowhere")))

    def run(self, chosen: dict[str, Any], accounts: list[str]) -> list[Fetch]:
        """A run's settings."""
        settings: dict[str, dict[str, Any]] = {}
        for account_id in accounts:
            settings[account_id] = {"vendor": _VENDORS[account_id], "team": chosen["team"]}
            if account_id == "balance":
                settings[account_id]["unit_code"] = chosen["unit"]
            if account_id == "usage" and chosen["price"]:
                settings[account_id] |= {
                    "credit_price_amount": chosen["price"], "credit_price_unit_code": chosen["price_unit"],
                }  # fmt: skip
            if account_id == "usage":
                settings[account_id]["credit_prices"] = [
                    {"from_date": day, "price_amount": self.draw(_AMOUNT), "price_unit_code": chosen["price_unit"]}
                    for day in chosen["prices"]
                ]
        return [self.landing.fetch(OWN, RUNS, run_record(settings, chosen["reporting"]), account_id="*", at=START)]

    def rates(self) -> list[Fetch]:
        """An edition of exchange rates: some days new, some restated, some unchanged."""
        days = self.draw(st.sets(DAY, min_size=1, max_size=5))
        lines = [
            f"{(START + timedelta(days=day)).date()},{self.draw(st.sampled_from(['1.1', '1.25', 'N/A']))},100,"
            for day in sorted(days)
        ]
        body = "\n".join(["Date,USD,INR,", *reversed(lines), ""])
        return [self.landing.fetch(OWN, FX_RATES, body, account_id="*", at=START)]

    def beginning(self, account_id: str) -> list[Fetch]:
        """Enough of an account to settle its evidence and its signs."""
        first, last = START + timedelta(days=self.draw(st.sampled_from([0, 20]))), START + timedelta(days=90)
        match account_id:
            case "ledger":
                return [*self._readings(last), self._page(list(self.ledger.entries), last, is_complete=True)]
            case "usage":
                return self._usage(last, {1, 40, 80})
            case "balance":
                return [self._wallet(first), self._wallet(last)]
            case "refused":
                return [self._balance(first, account_id="refused"), *self._orders(last, {1, 2, 3}, is_complete=True)]
            case "gpu":
                return self._billed(last, 40)
            case _:
                return [*self._file({first, last}), self._balance(last)]

    def event(self, account_id: str) -> list[Fetch]:
        """Answers of one event."""
        what, at = self.draw(st.sampled_from(_EVENTS[account_id])), self.draw(INSTANT)
        match what:
            case "failure":
                return [self.landing.fetch("vpsbg", "balance", b"", account_id=account_id, at=at, outcome="timeout")]
            case "reading":
                return self._readings(at)
            case "same":
                # Nothing new except a request of the listing, up to a later or earlier day.
                return [self._page(list(self.ledger.entries)[:1], at, is_complete=True)]
            case "entries":
                number = self.draw(st.integers(0, 9))
                self.ledger.entries.setdefault(number, _entry(self.draw))
                status = self.draw(st.sampled_from(["paid", "paid", "pending", "cancelled"]))
                is_complete = self.draw(st.booleans())
                return [self._page([number], at, account_id=account_id, status=status, is_complete=is_complete)]
            case "restated":
                number = self.draw(st.sampled_from(list(self.ledger.entries)))
                self.ledger.entries[number] = _entry(self.draw)
                return [self._page([number], at, is_complete=self.draw(st.integers(0, 3)) == 0)]
            case "usage":
                return self._usage(at, self.draw(st.sets(st.integers(0, 60), max_size=3)))
            case "credits":
                unit = self.draw(st.sampled_from([{"currency": "credits"}, {}]))
                body = {"success": True, "data": {"balance": self.draw(st.sampled_from([10, 50])), **unit}}
                return [self.landing.fetch("voxpria", "credits", body, account_id=account_id, at=at)]
            case "wallet":
                return [self._wallet(at)]
            case "balance":
                return [self._balance(at, account_id=account_id)]
            case "orders":
                numbers = self.draw(st.sets(st.integers(0, 5), max_size=3))
                return self._orders(at, numbers, is_complete=self.draw(st.booleans()))
            case "billed":
                return self._billed(at, self.draw(st.integers(1, 4)))
            case "paid":
                return self._paid(at)
            case "file":
                return self._file(self.draw(st.sets(INSTANT, max_size=3)))
            case _:
                return [self._balance(at)]

    def _page(
        self, numbers: list[int], at: datetime, *, is_complete: bool, account_id: str = "ledger", status: str = "paid"
    ) -> Fetch:
        rows = [self.ledger.stated(number) | {"status": status} for number in numbers]
        body = {"data": rows, "links": {"next": None}, "meta": {}}
        return self.landing.fetch("vpsbg", "transactions", body, account_id=account_id, at=at, is_complete=is_complete)

    def _readings(self, at: datetime) -> list[Fetch]:
        # One on each side of an entry: an interval that can prove the sign convention. Sometimes it does not.
        entered = self.draw(st.sampled_from([each[0] for each in self.ledger.entries.values()]))
        off = self.draw(st.sampled_from([0, 0, 0, 1]))
        sides = {entered - timedelta(hours=self.draw(_HOURS)), entered + timedelta(hours=self.draw(_HOURS)), at}
        return [self._balance(each, self.ledger.balance_at(each) + off, account_id="ledger") for each in sorted(sides)]

    def _balance(self, at: datetime, amount: Decimal | None = None, *, account_id: str = "hand") -> Fetch:
        chosen = str(amount if amount is not None else self.draw(_AMOUNT))
        return self.landing.fetch(
            "vpsbg", "balance", {"balance": chosen, "currency": "EUR"}, account_id=account_id, at=at
        )

    def _wallet(self, at: datetime) -> Fetch:
        return self.landing.fetch(
            "deepvue", "wallet", {"current_balance": self.draw(_AMOUNT)}, account_id="balance", at=at
        )

    def _file(self, instants: set[datetime]) -> list[Fetch]:
        # A minute later, because an account has one balance at a time.
        rows = [f"{(each + timedelta(minutes=1)).isoformat()},{self.draw(_AMOUNT)},EUR" for each in sorted(instants)]
        body = "\n".join(["observed_at_utc,balance_amount,unit_code", *rows])
        at = max(instants, default=START) + timedelta(hours=1)
        return [self.landing.fetch("manual", "readings", body, account_id="hand", at=at)]

    def _usage(self, at: datetime, days: set[int]) -> list[Fetch]:
        rows = [
            {
                "date": str((at - timedelta(days=day)).date()),
                "calls": 1,
                "creditsUsed": self.draw(st.sampled_from([0, 3, 7])),
            }
            for day in sorted(days)
        ]
        body = {"success": True, "data": {"usage": rows, "total": None}}
        span: tuple[date, date] = ((at - timedelta(days=max(days, default=0))).date(), at.date())
        return [self.landing.fetch("voxpria", "usage", body, account_id="usage", at=at, days=span)]

    def _orders(self, at: datetime, numbers: set[int], *, is_complete: bool) -> list[Fetch]:
        rows = [
            {
                "id": number,
                "type": self.draw(st.sampled_from(["deposit", "renew-service", "new-addon"])),
                "status": self.draw(st.sampled_from(["paid", "paid", "paid", "cancelled"])),
                "amount_with_vat": self.draw(_AMOUNT),
                "amount_from_balance": self.draw(_AMOUNT),
                "created_at": self.draw(INSTANT).isoformat(),
                "payment_date": self.draw(INSTANT).isoformat() if self.draw(st.booleans()) else None,
            }
            for number in sorted(numbers)
        ]
        body = {"data": rows, "links": {"next": None}, "meta": {}}
        return [
            self.landing.fetch("vpsbg", "orders", body, account_id="refused", at=at, is_complete=is_complete),
            self.landing.fetch("vpsbg", "transactions", b"", account_id="refused", at=at, outcome="not_found"),
        ]

    def _billed(self, at: datetime, days: int) -> list[Fetch]:
        # One day an answer, and sometimes a day without a row. Windows of several answers may leave a gap.
        made = []
        for back in reversed(range(days)):
            day = (at - timedelta(days=back)).date()
            bill = self.draw(st.sampled_from([None, "0", "3", "7.25"]))
            rows = [{"attributes": {"id": "1"}, "metrics": {"incurred_bill": bill}}] if bill else []
            body = {"status": True, "message": "", "billing_history": {"billing_history": rows}}
            made.append(self.landing.fetch("hyperstack", "history", body, account_id="gpu", at=at, days=(day, day)))
        return made

    def _paid(self, at: datetime) -> list[Fetch]:
        rows = [
            {
                "payment_id": str(number),
                "amount": self.draw(_AMOUNT),
                "currency": "USD",
                "status": self.draw(st.sampled_from(["completed", "pending"])),
                "created_at": self.draw(INSTANT).isoformat(),
                "updated_at": self.draw(INSTANT).isoformat(),
            }
            for number in self.draw(st.sets(st.integers(0, 3), max_size=2))
        ]
        return [self.landing.fetch("hyperstack", "payments", {"data": rows}, account_id="gpu", at=at)]


@st.composite
def histories(draw: st.DrawFn) -> list[list[Fetch]]:
    """Fetches of one or two accounts, in the loads in which they arrive."""
    accounts = draw(st.lists(st.sampled_from(list(_VENDORS)), min_size=1, max_size=2, unique=True))
    teller = Teller(draw, accounts, draw(_ledger()))
    begins = draw(st.integers(0, 4)) > 0
    first = teller.run(_FIRST, accounts)
    for account_id in accounts:
        first += teller.beginning(account_id) if begins else teller.event(account_id)
    loads = [first]
    for _ in range(draw(st.integers(1, 3))):
        load = [
            fetch for _ in range(draw(st.integers(1, 2))) for fetch in teller.event(draw(st.sampled_from(accounts)))
        ]
        if draw(st.integers(0, 2)) == 0:
            load += teller.rates()
        if draw(st.integers(0, 6)) == 0:
            load += teller.run(draw(_SETTINGS), draw(st.lists(st.sampled_from(list(_VENDORS)), unique=True)))
        loads.append(load)
    # Some answers arrive later than those that were made after them.
    if draw(st.integers(0, 3)) == 0:
        late = draw(st.sampled_from(first))
        first.remove(late)
        loads[-1].append(late)
    return loads
