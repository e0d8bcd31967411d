"""Answers that the vendor of an account in some state would have given in nine weeks of polling."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.lattice.combinations import Combination
from tests.lattice.truth import CHANGES, NOW, RECORDS, UNITS, Entry, SimulatedAccount, Truth
from tests.staging.landed import Landing

_READINGS = {
    "vpsbg": "balance",
    "voxpria": "credits",
    "hyperstack": "credit",
    "deepvue": "wallet",
    "vultr": "account",
    "telnyx": "balance",
}
"""By vendor, the endpoint with the balance."""


def simulate(account_id: str, number: int, combination: Combination) -> SimulatedAccount:
    """Simulate nine weeks of the account."""
    former = f"{account_id}-old" if combination["life"] == "renamed" else None
    simulated = SimulatedAccount(account_id, combination, number, former, combination["life"] != "removed")
    _Answers(simulated).simulate()
    return simulated


class _Answers(Truth):
    """The vendor's answers, poll after poll."""

    def __init__(self, simulated: SimulatedAccount) -> None:
        super().__init__(simulated)
        self.landing = Landing(folder=None, ids=())  # type: ignore[arg-type]
        self.ordinal = 0
        self.kept_rows: list[tuple[datetime, Decimal, str]] = []

    def land(self, endpoint: str, body: object, at: datetime, poll: int, **more: Any) -> None:
        self.ordinal += 1
        place = int(at.timestamp()) * 10**9 + at.microsecond * 1000 + self.simulated.number * 10_000 + self.ordinal
        renamed = self.simulated.former_id if poll < RECORDS[2] else None
        vendor = "manual" if endpoint == "readings" else self.state.vendor
        self.simulated.fetches.append(
            self.landing.fetch(
                vendor, endpoint, body, account_id=renamed or self.simulated.account_id, at=at,
                run_id=f"run-{poll:02d}", fetch_id=f"{place:016x}", **more,
            )
        )  # fmt: skip

    def simulate(self) -> None:
        good, bad = self.polls()
        self.history()
        self.live(good)
        asked = sorted([*good, *bad])
        # Listings are long: the first, a middle and the last poll are enough.
        listed = {asked[0], asked[len(asked) // 2], asked[-1]} if asked else set()
        for poll in asked:
            self.balance(poll, is_good=poll in good)
            if poll in listed and not (poll in bad and self.state["trouble"] == "first_failed"):
                self.listings(poll)
        newest = max(self.simulated.readings, default=None)
        stated = self.simulated.readings[newest][1] if newest else None
        own = {"voxpria": "voxpria-credit", "hyperstack": "USD", "vultr": "USD"}.get(self.state.vendor, "unknown")
        if self.state.vendor == "deepvue" and self.state["unit"] != "absent":
            own = "INR"
        is_nobodys = own == "unknown" and self.state["csv"] != "none"
        self.simulated.unit = stated or (None if is_nobodys else own)

    def history(self) -> None:
        """Readings kept by hand for an account that has an API: from before it, or in addition."""
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
            self.simulated.readings[at] = (amount, unit)
        # A file is read after its rows were written.
        self.file(9 if csv == "same_instants" else 0, rows, unit)

    def file(self, poll: int, rows: list[tuple[datetime, Decimal]], unit: str) -> None:
        lines = [f"{at.isoformat()},{amount:f},{unit}" for at, amount in rows]
        self.land("readings", "\n".join(["observed_at_utc,balance_amount,unit_code", *lines, ""]), self.at(poll), poll)

    def balance(self, poll: int, *, is_good: bool) -> None:
        if self.state.vendor == "manual":
            self.kept(poll, is_good=is_good)
            return
        endpoint = _READINGS[self.state.vendor]
        instants = [self.at(poll)]
        if poll == CHANGES[0] and self.state["hour"] == "midnight" and self.state["unit"] in UNITS:
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
                self.simulated.readings[at] = (amount, unit)
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
            case "vultr":
                # What is owed, of which a part is still pending: negative amounts are credit.
                pending = 2 * self.step if self.state["pending"] == "some" else Decimal(0)
                owed = {"balance": f"{-amount - pending:f}", "pending_charges": f"{pending:f}"}
                return {"account": {"name": "x", "email": "x@example.com", "acls": [], **owed}}
            case "telnyx":
                spelled = unit.lower() if self.state["unit"] == "lower_case" and unit else unit
                return {"data": {"record_type": "balance", "balance": stated, "currency": spelled}}
            case _:
                return {"current_balance": stated, "success": True}

    def kept(self, poll: int, *, is_good: bool) -> None:
        """A file kept by hand: all rows so far; an unreadable newest row is a typical typing mistake."""
        if not is_good and self.state["trouble"] != "last_unreadable":
            self.land("readings", b"", self.at(poll), poll, outcome="not_found")
            return
        if is_good:
            self.kept_rows.append((self.at(poll), self.amount_at(self.at(poll)), self.unit_at(poll) or ""))
            if self.state["unit"] != "absent":
                self.simulated.readings[self.at(poll)] = self.kept_rows[-1][1:]
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
        if self.state["ledger"] == "future" and not self.simulated.entries:
            for number, days in enumerate((5, 40)):
                ahead = Entry(
                    NOW + timedelta(days=days),
                    "usage",
                    -self.step,
                    "EUR" if self.state["entry_unit"] != "none" else None,
                )
                self.simulated.entries[f"n{number}"] = ahead
        rows = [
            self.row(name, entry)
            for name, entry in sorted(self.simulated.entries.items(), key=lambda each: each[1].at, reverse=True)
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
            yield day, self.simulated.usage.get(day)

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
