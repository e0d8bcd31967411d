"""Random histories of several accounts, told in several loads: late, restated, with gaps, out of order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pipeline.landing.store import OWN, RUNS, Fetch
from tests.staging.landed import Landing, run_record

START = datetime(2025, 11, 20, tzinfo=UTC)
DAYS = 130
"""Long enough for five months, one of them skipped by chance as a whole."""

_SIGN = {"deposit": 1, "refund": 1, "renewal": -1, "usage": -1, "tax": -1}
_TYPES = [*_SIGN, "correction", "mystery"]

DAY = st.integers(0, DAYS)
# Midnights and hours: both sides of a day's and a month's end.
INSTANT = st.builds(lambda day, hour: START + timedelta(days=day, hours=hour), DAY, st.sampled_from([0, 0, 6, 23]))
_HOURS = st.sampled_from([1, 7, 30, 24 * 40])
_AMOUNT = st.sampled_from(["1", "2.5", "7", "0.000000001", "33.333333333", "100"])


@dataclass
class Ledger:
    """What is true of a ledger account, whatever has been told of it."""

    convention: str
    entries: dict[int, tuple[datetime, str, Decimal]] = field(default_factory=dict)
    """By id: when, what type, and by how much it moved the balance."""

    def stated(self, number: int) -> dict[str, Any]:
        """The entry as the vendor states it under its convention."""
        at, word, moved = self.entries[number]
        amount = {"signed": moved, "inverted": -moved, "by_kind": abs(moved)}[self.convention]
        return {"id": number, "type": word, "amount": str(amount), "created_at": at.isoformat()}

    def balance_at(self, instant: datetime) -> Decimal:
        """The balance, every entry up to the instant counted, known or not."""
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


_SETTINGS = st.fixed_dictionaries(
    {
        "accounts": st.sets(st.sampled_from(["ledger", "second", "usage", "balance", "hand"]), min_size=3),
        "unit": st.sampled_from([None, "INR", "USD"]),
        "price": st.sampled_from([None, "0.1", "0.25"]),
        "price_unit": st.sampled_from(["EUR", "USD"]),
        "reporting": st.sampled_from(["EUR", "EUR", "USD"]),
        "team": st.sampled_from([None, "a"]),
    }
)
_VENDORS = {"usage": "voxpria", "balance": "deepvue"}


def _record(told: dict[str, Any]) -> dict[str, Any]:
    accounts: dict[str, dict[str, Any]] = {}
    for account_id in sorted(told["accounts"]):
        accounts[account_id] = {"vendor": _VENDORS.get(account_id, "vpsbg"), "team": told["team"]}
    if "balance" in accounts:
        accounts["balance"]["unit_code"] = told["unit"]
    if "usage" in accounts and told["price"]:
        accounts["usage"] |= {"credit_price_amount": told["price"], "credit_price_unit_code": told["price_unit"]}
    return run_record(accounts, told["reporting"])


@st.composite
def histories(draw: st.DrawFn) -> list[list[Fetch]]:
    """Fetches in the loads that they arrive in; ids rise with the order in which they were made."""
    landing = Landing(Path("nowhere"))
    ledgers = {account_id: draw(_ledger()) for account_id in ("ledger", "second")}
    whole = {
        "accounts": ["ledger", "second", "usage", "balance", "hand"],
        "unit": "INR",
        "price": "0.1",
        "price_unit": "EUR",
    }
    whole |= {"reporting": "EUR", "team": None}
    loads = [[landing.fetch(OWN, RUNS, _record(whole), account_id="*", at=START)]]
    loads += [[] for _ in range(draw(st.integers(1, 3)))]
    for load in loads:
        for _ in range(draw(st.integers(1, 5))):
            load.extend(_told(draw, landing, ledgers))
    # Some answers arrive later than those that were made after them.
    for fetch in list(loads[0][1:]):
        if draw(st.integers(0, 9)) == 0:
            loads[0].remove(fetch)
            loads[-1].append(fetch)
    return loads


def _told(draw: st.DrawFn, landing: Landing, ledgers: dict[str, Ledger]) -> list[Fetch]:
    """The answers of one thing that happens."""
    what = draw(
        st.sampled_from(
            [
                "entries",
                "entries",
                "reading",
                "reading",
                "reading",
                "usage",
                "wallet",
                "hand",
                "restated",
                "settings",
                "failure",
            ]
        )
    )
    account_id = draw(st.sampled_from(list(ledgers)))
    at = draw(INSTANT)
    match what:
        case "settings":
            return [landing.fetch(OWN, RUNS, _record(draw(_SETTINGS)), account_id="*", at=at)]
        case "failure":
            return [landing.fetch("vpsbg", "balance", b"", account_id=account_id, at=at, outcome="timeout")]
        case "reading":
            # One on each side of an entry: an interval that can prove how the ledger is signed. Sometimes it does not.
            entered, _, _ = draw(st.sampled_from(list(ledgers[account_id].entries.values())))
            sides = [entered - timedelta(hours=draw(_HOURS)), entered + timedelta(hours=draw(_HOURS))]
            off = draw(st.sampled_from([0, 0, 0, 1]))
            bodies = {each: ledgers[account_id].balance_at(each) + off for each in sides}
            return [
                landing.fetch(
                    "vpsbg", "balance", {"balance": str(amount), "currency": "EUR"}, account_id=account_id, at=each
                )
                for each, amount in bodies.items()
            ]
        case "restated":
            number = draw(st.sampled_from(list(ledgers[account_id].entries)))
            ledgers[account_id].entries[number] = _entry(draw)
            return [
                _page(landing, account_id, [ledgers[account_id].stated(number)], at, is_complete=draw(st.booleans()))
            ]
        case "entries":
            numbers = draw(
                st.sets(st.sampled_from(list(ledgers[account_id].entries)), min_size=draw(st.sampled_from([0, 1, 2])))
            )
            # A listing speaks of what has been: it is mostly asked for after its newest entry.
            at = max(at, START + timedelta(days=draw(st.sampled_from([0, 60, 100, DAYS]))))
            rows = [ledgers[account_id].stated(number) for number in sorted(numbers)]
            for row in rows:
                row["status"] = draw(st.sampled_from(["paid", "paid", "paid", "pending", "cancelled"]))
            return [_page(landing, account_id, rows, at, is_complete=draw(st.integers(0, 4)) > 0)]
        case "usage":
            days = draw(st.sets(st.integers(0, 20), min_size=draw(st.sampled_from([0, 2])), max_size=4))
            rows = [
                {
                    "date": str((at - timedelta(days=day)).date()),
                    "calls": 1,
                    "creditsUsed": draw(st.sampled_from([0, 3, 7])),
                }
                for day in days
            ]
            body = {"success": True, "data": {"usage": rows, "total": None}}
            span: tuple[date, date] = ((at - timedelta(days=20)).date(), at.date())
            unit = draw(st.sampled_from([{"currency": "credits"}, {}]))
            credits = {"success": True, "data": {"balance": draw(st.sampled_from([10, 50])), **unit}}
            return [
                landing.fetch("voxpria", "usage", body, account_id="usage", at=at, days=span),
                landing.fetch("voxpria", "credits", credits, account_id="usage", at=at),
            ]
        case "wallet":
            return [landing.fetch("deepvue", "wallet", {"current_balance": draw(_AMOUNT)}, account_id="balance", at=at)]
        case _:
            days = draw(st.sets(DAY, max_size=3))
            lines = [f"{(START + timedelta(days=day, hours=5)).date()},{draw(_AMOUNT)},EUR" for day in sorted(days)]
            body = "\n".join(["observed_at_utc,balance_amount,unit_code", *lines])
            return [
                landing.fetch("manual", "readings", body, account_id="hand", at=at),
                landing.fetch("vpsbg", "balance", {"balance": draw(_AMOUNT), "currency": "EUR"}, account_id="hand",
                              at=at + timedelta(minutes=1)),
            ]  # fmt: skip


def _page(landing: Landing, account_id: str, rows: list[dict[str, Any]], at: datetime, *, is_complete: bool) -> Fetch:
    body = {"data": rows, "links": {"next": None}, "meta": {}}
    return landing.fetch("vpsbg", "transactions", body, account_id=account_id, at=at, is_complete=is_complete)
