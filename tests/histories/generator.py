"""Random histories of a few accounts over several months: what is landed before each refresh of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from pipeline.landing.store import FX_RATES, OWN, RUNS, Fetch
from tests.staging.landed import Landing, run_record

START = datetime(2025, 10, 25, 6, tzinfo=UTC)
FEWEST, MOST = 5, 12
"""Number of refreshes of a history."""

VENDORS = {
    "ledger": "vpsbg",
    "usage": "voxpria",
    "wallet": "deepvue",
    "hand": "vpsbg",
    "refused": "vpsbg",
    "gpu": "hyperstack",
}
"""Accounts of the histories: with a ledger, usage days, balances only, a file of readings, orders instead of a ledger,
and usage with payments."""

_WORDS = {"deposit": 1, "refund": 1, "renewal": -1, "usage": -1, "tax": -1, "correction": -1, "mystery": -1}
_AMOUNTS = ("1", "2.5", "7", "0.000000001", "33.333333333", "100", "19.99")
_UNITS = ("EUR", "EUR", "BGN", "USD")


@dataclass
class History:
    """What is landed before each refresh, and its time."""

    seed: int
    accounts: tuple[str, ...]
    steps: list[list[Fetch]] = field(default_factory=list)
    clocks: list[datetime] = field(default_factory=list)

    def without(self, *, steps: Sequence[int] = (), accounts: Sequence[str] = ()) -> History:
        """The history without some refreshes, whose answers are landed before the next one, and without some accounts."""
        made = replace(
            self, accounts=tuple(each for each in self.accounts if each not in accounts), steps=[], clocks=[]
        )
        waiting: list[Fetch] = []
        for number, fetches in enumerate(self.steps):
            waiting += [each for each in fetches if each.account_id not in accounts]
            if number not in steps or number == len(self.steps) - 1:
                made.steps.append(waiting)
                made.clocks.append(self.clocks[number])
                waiting = []
        return made


@dataclass
class _Entry:
    at: datetime
    word: str
    moved: Decimal
    known_from: datetime
    status: str = "paid"


@dataclass
class _Account:
    """The true state of an account so far."""

    opening: Decimal
    convention: str = "signed"
    entries: dict[int, _Entry] = field(default_factory=dict)
    usage: dict[date, Decimal] = field(default_factory=dict)
    unit: str = "EUR"
    polls: list[datetime] = field(default_factory=list)
    csv: dict[datetime, tuple[str, str]] = field(default_factory=dict)

    def balance_at(self, instant: datetime) -> Decimal:
        return self.opening + sum((each.moved for each in self.entries.values() if each.at <= instant), Decimal(0))


def history(seed: int) -> History:
    """The history of a seed."""
    return _Telling(seed).tell()


class _Telling:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - repeatable worlds, not secrets
        self.landing = Landing(Path("nowhere"), ids=count(1))
        accounts = tuple(sorted(self.random.sample(sorted(VENDORS), self.random.choice([1, 2, 2, 3]))))
        self.made = History(seed, accounts)
        self.true = {
            name: _Account(
                Decimal(self.random.choice([50, 500, 20_000])),
                self.random.choice(["signed", "signed", "inverted", "by_kind"]),
            )
            for name in accounts
        }
        self.now = START
        self.run_number = 0
        self.settings = {"team": None, "price": "0.1", "unit": "INR", "reporting": "EUR", "planned": None}

    def amount(self) -> Decimal:
        return Decimal(self.random.choice(_AMOUNTS))

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def tell(self) -> History:
        late: list[tuple[int, Fetch]] = []
        steps = self.random.randint(FEWEST, MOST)
        for step in range(steps):
            until = self.now + timedelta(hours=self.random.choice([1, 5, 24, 24, 72, 24 * 9, 24 * 20, 24 * 45]))
            fetches = self.settings_of_the_run(until, may_change=step > 0)
            if step == 0 or self.chance(3):
                fetches += self.rates(until)
            for name in self.made.accounts:
                fetches += self.account(name, until, is_first=step == 0)
            # A file of landing that was missing, and is restored later.
            kept = []
            for fetch in fetches:
                if step + 1 < steps and self.chance(12):
                    late.append((self.random.randint(step + 1, steps - 1), fetch))
                else:
                    kept.append(fetch)
            kept += [fetch for due, fetch in late if due == step]
            if not kept or (step == 0 and not any(each.endpoint == RUNS for each in kept)):
                kept += fetches[:1]
                late = [(due, fetch) for due, fetch in late if fetch is not fetches[0]]
            self.made.steps.append(kept)
            self.made.clocks.append(until)
            self.now = until
        return self.made

    # -- events without an account -----------------------------------------------------------------------------------

    def settings_of_the_run(self, at: datetime, *, may_change: bool) -> list[Fetch]:
        if may_change and self.chance(8):
            name, values = self.random.choice(
                [
                    ("team", [None, "a"]),
                    ("price", [None, "0.1", "0.25"]),
                    ("unit", [None, "INR", "USD"]),
                    ("reporting", ["EUR", "USD"]),
                    ("planned", [None, "12.5", "0"]),
                ]
            )
            self.settings[name] = self.random.choice(values)
        there = [name for name in self.made.accounts if not (may_change and self.chance(16))]
        accounts: dict[str, dict[str, Any]] = {}
        for name in there:
            accounts[name] = {"vendor": VENDORS[name], "team": self.settings["team"]}
            if name == "wallet":
                accounts[name]["unit_code"] = self.settings["unit"]
            if name in ("usage", "wallet") and self.settings["planned"]:
                plan = {"from_date": "2025-12-20", "to_date": "2026-01-05", "multiplier": None, "note": None}
                accounts[name]["planned"] = [plan | {"planned_amount": self.settings["planned"]}]
            if name == "usage" and self.settings["price"]:
                accounts[name] |= {"credit_price_amount": self.settings["price"], "credit_price_unit_code": "EUR"}
        return [
            self.landing.fetch(OWN, RUNS, run_record(accounts, str(self.settings["reporting"])), account_id="*", at=at)
        ]

    def rates(self, at: datetime) -> list[Fetch]:
        days = sorted(
            {(at - timedelta(days=self.random.randrange(90))).date() for _ in range(self.random.choice([2, 20]))}
        )
        lines = [f"{day},{self.random.choice(['1.1', '1.25', 'N/A'])},1.95583,100," for day in reversed(days)]
        body = "\n".join(["Date,USD,BGN,INR,", *lines, ""])
        return [self.landing.fetch(OWN, FX_RATES, body, account_id="*", at=at)]

    # -- events of an account, and their answers ---------------------------------------------------------------------

    def account(self, name: str, until: datetime, *, is_first: bool) -> list[Fetch]:
        true = self.true[name]
        self.happen(name, true, until)
        fetches: list[Fetch] = []
        for at in self.polls(until):
            self.run_number += 1
            run_id = f"poll-{self.run_number:04d}"
            if self.chance(10):
                fetches.append(self.balance(name, true, at, run_id, is_failed=True))
                continue
            fetches.append(self.balance(name, true, at, run_id))
            true.polls.append(at)
            if at == until or self.chance(3):
                fetches += self.listings(name, true, at, run_id)
        if name == "hand" and (is_first or self.chance(2)):
            fetches.append(self.file(true, until))
        return fetches

    def polls(self, until: datetime) -> list[datetime]:
        """Dense for some hours, and then rare, or nearly none at all."""
        span = until - self.now
        dense = [
            self.now + timedelta(hours=hour)
            for hour in range(1, self.random.choice([1, 2, 8]))
            if timedelta(hours=hour) < span
        ]
        rare = [self.now + span * self.random.random() for _ in range(self.random.choice([0, 0, 1, 3]))]
        midnights = [(self.now + span / 2).replace(hour=0, minute=0, second=0, microsecond=0)] if self.chance(3) else []
        found = {at.replace(microsecond=0) for at in (*dense, *rare, *midnights) if self.now < at < until}
        return sorted(found | ({until} if not self.chance(8) else set()))

    def happen(self, name: str, true: _Account, until: datetime) -> None:
        if name in ("usage", "gpu"):
            day = self.now.date()
            while day <= until.date():
                if not self.chance(4):
                    true.usage[day] = self.random.choice([Decimal(0), Decimal(3), Decimal("7.25")])
                day += timedelta(days=1)
            if self.chance(2):
                back = until.date() - timedelta(days=self.random.choice([1, 2, 3, 40]))
                true.usage[back] = self.amount()
        if name in ("ledger", "hand"):
            for _ in range(self.random.choice([0, 1, 1, 2, 4])):
                # Booked late, and far from the one before.
                at = until - timedelta(hours=self.random.choice([1, 1, 7, 30, 24 * 20, 24 * 95, 24 * 120]))
                word = self.random.choice(sorted(_WORDS))
                known_from = until + timedelta(days=self.random.choice([0, 0, 0, 5, 60]))
                true.entries[len(true.entries)] = _Entry(
                    at.replace(microsecond=0), word, _WORDS[word] * self.amount(), known_from
                )
            if true.entries and self.chance(3):
                entry = true.entries[self.random.choice(sorted(true.entries))]
                entry.moved = _WORDS[entry.word] * self.amount()
            if true.entries and self.chance(5):
                true.entries[self.random.choice(sorted(true.entries))].status = self.random.choice(
                    ["cancelled", "pending", "paid"]
                )
            if self.chance(7):
                true.unit = self.random.choice(_UNITS)

    def balance(self, name: str, true: _Account, at: datetime, run_id: str, *, is_failed: bool = False) -> Fetch:
        vendor = VENDORS[name]
        endpoint = {"vpsbg": "balance", "voxpria": "credits", "deepvue": "wallet", "hyperstack": "credit"}[vendor]
        if is_failed:
            return self.landing.fetch(vendor, endpoint, b"", account_id=name, at=at, outcome="timeout", run_id=run_id)
        amount = true.balance_at(at)
        if name in ("usage", "gpu"):
            amount -= sum((used for day, used in true.usage.items() if day < at.date()), Decimal(0))
        if name in ("wallet", "refused"):
            amount -= self.amount() * self.random.choice([0, 1, 1, 3, -4])
        if self.chance(8):
            # Something that nothing documents.
            amount += self.amount()
        stated = f"{amount:f}"
        body: dict[str, Any] = {
            "vpsbg": {"balance": stated, "currency": true.unit, "estimated_expenses": "30"},
            "voxpria": {"success": True, "data": {"balance": stated, "currency": "credits"}},
            "deepvue": {"current_balance": stated},
            "hyperstack": {"status": True, "message": "", "data": {"credit": stated, "threshold": 20}},
        }[vendor]
        return self.landing.fetch(vendor, endpoint, body, account_id=name, at=at, run_id=run_id)

    def listings(self, name: str, true: _Account, at: datetime, run_id: str) -> list[Fetch]:
        match name:
            case "ledger" | "hand":
                return [self.ledger(name, true, at, run_id)]
            case "usage":
                return [self.days(true, at, run_id)]
            case "gpu":
                return self.billed(true, at, run_id)
            case "refused":
                return self.orders(true, at, run_id)
        return []

    def ledger(self, name: str, true: _Account, at: datetime, run_id: str) -> Fetch:
        if self.chance(10):
            return self.landing.fetch(
                "vpsbg", "transactions", b"", account_id=name, at=at, outcome="timeout", run_id=run_id
            )
        rows = []
        for number, each in sorted(true.entries.items(), key=lambda item: item[1].at, reverse=True):
            if each.known_from <= at:
                amount = {"signed": each.moved, "inverted": -each.moved, "by_kind": abs(each.moved)}[true.convention]
                rows.append(
                    {
                        "id": number,
                        "type": each.word,
                        "amount": f"{amount:f}",
                        "created_at": each.at.isoformat(),
                        "status": each.status,
                    }
                )
        body = {"data": rows, "links": {"next": None}, "meta": {}}
        return self.landing.fetch(
            "vpsbg", "transactions", body, account_id=name, at=at, is_complete=not self.chance(6), run_id=run_id
        )

    def days(self, true: _Account, at: datetime, run_id: str) -> Fetch:
        first = at.date() - timedelta(days=self.random.choice([3, 10, 60]))
        rows = [
            {"date": str(day), "calls": 1, "creditsUsed": "n/a" if self.chance(40) else f"{used:f}"}
            for day, used in sorted(true.usage.items(), reverse=True) if first <= day <= at.date()
        ]  # fmt: skip
        body = {"success": True, "data": {"usage": rows, "total": None}}
        return self.landing.fetch(
            "voxpria", "usage", body, account_id="usage", at=at, days=(first, at.date()), run_id=run_id
        )

    def billed(self, true: _Account, at: datetime, run_id: str) -> list[Fetch]:
        made = []
        for back in reversed(range(self.random.choice([2, 4, 15]))):
            day = at.date() - timedelta(days=back)
            used = true.usage.get(day)
            rows = [{"attributes": {"id": "1"}, "metrics": {"incurred_bill": f"{used:f}"}}] if used is not None else []
            body = {"status": True, "message": "", "billing_history": {"billing_history": rows}}
            made.append(
                self.landing.fetch(
                    "hyperstack", "history", body, account_id="gpu", at=at, days=(day, day), run_id=run_id
                )
            )
        if self.chance(2):
            when = at - timedelta(days=self.random.choice([0, 4, 50]))
            row = {
                "payment_id": f"p{when:%m%d}", "amount": f"{self.amount():f}", "currency": "USD",
                "status": self.random.choice(["completed", "pending"]), "created_at": when.isoformat(), "updated_at": when.isoformat(),
            }  # fmt: skip
            made.append(
                self.landing.fetch("hyperstack", "payments", {"data": [row]}, account_id="gpu", at=at, run_id=run_id)
            )
        return made

    def orders(self, true: _Account, at: datetime, run_id: str) -> list[Fetch]:
        rows = []
        for number in sorted(self.random.sample(range(8), self.random.choice([0, 1, 3]))):
            ordered = START + timedelta(days=13 * number)
            if ordered <= at:
                rows.append(
                    {"id": number, "type": ["deposit", "renew-service", "new-addon"][number % 3], "status": self.random.choice(["paid", "paid", "cancelled"]),
                     "amount_with_vat": f"{self.amount():f}", "amount_from_balance": f"{self.amount():f}",
                     "created_at": ordered.isoformat(), "payment_date": ordered.isoformat() if self.chance(2) else None}
                )  # fmt: skip
        body = {"data": rows, "links": {"next": None}, "meta": {}}
        # One day its vendor shows the key a ledger.
        shows = at > START + timedelta(days=100) and self.chance(3)
        own = (
            self.ledger("refused", true, at, run_id)
            if shows
            else self.landing.fetch(
                "vpsbg", "transactions", b"", account_id="refused", at=at, outcome="forbidden", run_id=run_id
            )
        )
        return [self.landing.fetch("vpsbg", "orders", body, account_id="refused", at=at, run_id=run_id), own]

    def file(self, true: _Account, until: datetime) -> Fetch:
        """Readings kept by hand: from before, in between, and at the exact instant of an answer."""
        for _ in range(self.random.choice([1, 3])):
            at = START - timedelta(days=self.random.randrange(100), hours=3)
            if true.polls and self.chance(2):
                at = self.random.choice(true.polls) + timedelta(minutes=self.random.choice([0, 1]))
            true.csv[at] = (f"{self.amount():f}", self.random.choice(["EUR", "EUR", "BGN"]))
        rows = [f"{at.isoformat()},{amount},{unit}" for at, (amount, unit) in sorted(true.csv.items()) if at <= until]
        body = "\n".join(["observed_at_utc,balance_amount,unit_code", *rows, ""])
        return self.landing.fetch("manual", "readings", body, account_id="hand", at=until)
