"""Random worlds: whatever happens to an account and however it is reported, the bridge agrees with an oracle."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from pipeline.models.discovery import discover, in_order
from pipeline.models.recompute import recompute
from tests.staging.landed import NewWorkshop, Workshop

pytestmark = pytest.mark.long

WORLDS = int(os.environ.get("DRAWDOWN_TEST_WORLDS", "4"))
"""Number of worlds of each kind; the default share is small, 500 take some minutes."""

START = datetime(2026, 1, 28, 6, tzinfo=UTC)
_AMOUNT = st.integers(1, 10**6).map(lambda number: Decimal(number).scaleb(-2))
_HOURS = st.sampled_from([1, 1, 5, 13, 24, 24, 49, 24 * 20])

_KINDS = {
    "deposit": ("top_up", 1), "refund": ("refund", 1), "renewal": ("renewal", -1), "usage": ("usage", -1),
    "adjustment": ("adjustment", -1), "tax": ("tax", -1), "mystery": ("adjustment", -1),
}  # fmt: skip
_COMPONENTS = ("top_up", "refund", "usage", "renewal", "adjustment", "pending", "tax")


def _ancestors(name: str) -> set[str]:
    models = discover()
    found = {name}
    for read in models[name].reads:
        if read in models:
            found |= _ancestors(read)
    return found


_NEEDED = _ancestors("core.balance_bridge")
(_CHECK,) = discover()["core.balance_bridge"].checks


def _build(workshop: Workshop) -> None:
    workshop.load()
    for model in in_order():
        if model.table.full_name in _NEEDED:
            with workshop.warehouse.transaction() as connection:
                recompute(connection, model)


def _bridge(workshop: Workshop) -> dict[datetime, dict[str, Any]]:
    relation = workshop.connection.sql("SELECT * FROM core.balance_bridge WHERE account_id = 'main'")
    rows = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    return {row["closed_at_utc"]: row for row in rows}


def _hold_identities(workshop: Workshop, polls: dict[datetime, Decimal]) -> dict[datetime, dict[str, Any]]:
    found = _bridge(workshop)
    assert _CHECK.find(workshop.connection) == []
    assert sorted(found) == sorted(polls)[1:]
    for opened, closed in pairwise(sorted(polls)):
        row = found[closed]
        assert (row["opened_at_utc"], row["opening_amount"], row["closing_amount"]) == (
            opened, polls[opened], polls[closed],
        )  # fmt: skip
        explained = sum((row[f"{component}_amount"] for component in _COMPONENTS), Decimal(0))
        assert row["opening_amount"] + explained + row["unexplained_amount"] == row["closing_amount"]
        assert (row["unexplained_class"] is None) == (row["unexplained_amount"] == 0)
    return found


class _World(RuleBasedStateMachine):
    """An account that is polled now and then; answers are landed, and loaded at the end or in between."""

    new_workshop: NewWorkshop
    vendor: str

    def __init__(self) -> None:
        super().__init__()
        self.workshop = self.new_workshop()
        self.now = START
        self.polls: dict[datetime, Decimal] = {}
        self.runs = 0

    @initialize()
    def open(self) -> None:
        self.workshop.landing.run({"main": {"vendor": self.vendor}}, at=START)
        self.poll()

    @rule(hours=_HOURS)
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(hours=st.sampled_from([1, 30]))
    def turn_the_clock_back(self, hours: int) -> None:
        # A machine's clock may jump; readings of an hour that was already polled are kept.
        if self.now - timedelta(hours=hours) not in self.polls and self.now - timedelta(hours=hours) > START:
            self.now -= timedelta(hours=hours)
            self.poll()
            self.now += timedelta(hours=hours)

    @rule()
    def poll(self) -> None:
        raise NotImplementedError

    @rule()
    def load(self) -> None:
        _build(self.workshop)

    def run_id(self) -> str:
        self.runs += 1
        return f"run-{self.runs:04d}"

    def teardown(self) -> None:
        self.workshop.__exit__()


class _LedgerWorld(_World):
    """Money moves; the ledger reports it correctly, late, twice, differently, or not at all."""

    vendor = "vpsbg"

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[tuple[datetime, Decimal]] = []
        self.entries: dict[int, dict[str, Any]] = {}

    @rule(
        amount=_AMOUNT,
        word=st.sampled_from(sorted(_KINDS)),
        reported=st.sampled_from(["yes", "yes", "yes", "no", "late"]),
    )
    def move(self, amount: Decimal, word: str, reported: str) -> None:
        self.now += timedelta(minutes=7)
        signed = amount * _KINDS[word][1]
        self.moves.append((self.now, signed))
        if reported != "no":
            number = len(self.entries) + 1
            self.entries[number] = {
                "at": self.now, "amount": signed, "word": word, "from": self.now + timedelta(days=5 * (reported == "late")),
            }  # fmt: skip

    @rule(data=st.data(), amount=_AMOUNT)
    def restate(self, data: st.DataObject, amount: Decimal) -> None:
        if self.entries:
            entry = self.entries[data.draw(st.sampled_from(sorted(self.entries)))]
            entry["amount"] = amount * (1 if entry["amount"] > 0 else -1)

    @rule(data=st.data())
    def book_twice(self, data: st.DataObject) -> None:
        if self.entries:
            self.entries[len(self.entries) + 1] = dict(self.entries[data.draw(st.sampled_from(sorted(self.entries)))])

    def balance(self, at: datetime) -> Decimal:
        return Decimal(10**6) + sum((amount for moved, amount in self.moves if moved <= at), Decimal(0))

    def reported(self) -> dict[int, dict[str, Any]]:
        return {number: entry for number, entry in self.entries.items() if entry["from"] <= self.now}

    @rule()
    def poll(self) -> None:
        if self.now in self.polls:
            return
        run_id = self.run_id()
        self.polls[self.now] = self.balance(self.now)
        body = {"balance": str(self.polls[self.now]), "currency": "EUR"}
        self.workshop.landing.answer("vpsbg", "balance", body, at=self.now, run_id=run_id)
        self._list(run_id)

    def _list(self, run_id: str) -> None:
        rows = [
            {"id": number, "type": each["word"], "amount": str(each["amount"]), "status": "paid",
             "created_at": each["at"].isoformat()}
            for number, each in sorted(self.reported().items(), reverse=True)
        ]  # fmt: skip
        page = {"data": rows, "links": {"next": None}, "meta": {}}
        self.workshop.landing.answer("vpsbg", "transactions", page, at=self.now, run_id=run_id)

    @rule()
    def read_a_page_again(self) -> None:
        self._list(self.run_id())

    @rule()
    def miss_a_poll(self) -> None:
        self.workshop.landing.answer("vpsbg", "balance", b"", at=self.now, run_id=self.run_id(), outcome="timeout")

    def teardown(self) -> None:
        self.now = max([self.now, *self.polls]) + timedelta(days=30)
        self.poll()
        _build(self.workshop)
        found = _hold_identities(self.workshop, self.polls)
        [(convention,)] = self.workshop.rows("SELECT sign_convention FROM core.ledger_conventions") or [("signed",)]
        # With too many errors to prove the signs, amounts are by kind, which is correct here except for kinds without a
        # direction.
        assert convention in ("signed", "by_kind", "inverted")
        if convention != "inverted":
            self._compare(found)
        super().teardown()

    def _compare(self, found: dict[datetime, dict[str, Any]]) -> None:
        for opened, closed in pairwise(sorted(self.polls)):
            row = found[closed]
            mine = [entry for entry in self.reported().values() if opened < entry["at"] <= closed]
            sums: Counter[str] = Counter()
            for entry in mine:
                sums[_KINDS[entry["word"]][0]] += entry["amount"]
            for component in _COMPONENTS:
                assert row[f"{component}_amount"] == sums[component], (closed, component)
            moved = sum((amount for at, amount in self.moves if opened < at <= closed), Decimal(0))
            assert row["unexplained_amount"] == moved - sum((entry["amount"] for entry in mine), Decimal(0))
            assert row["entry_count"] == len(mine)


class _UsageWorld(_World):
    """Credits are used by the hour; days are stated while they last, when they are over, and sometimes again."""

    vendor = "voxpria"

    def __init__(self) -> None:
        super().__init__()
        self.used: list[tuple[datetime, Decimal]] = []
        self.paid: list[tuple[datetime, Decimal]] = []
        self.extra: Counter[date] = Counter()
        self.stated: dict[date, Decimal] = {}
        self.seen: dict[datetime, Decimal] = {}

    @rule(amount=_AMOUNT)
    def use(self, amount: Decimal) -> None:
        self.now += timedelta(minutes=7)
        self.used.append((self.now, amount))

    @rule(amount=_AMOUNT)
    def pay(self, amount: Decimal) -> None:
        self.now += timedelta(minutes=7)
        self.paid.append((self.now, amount + 10**7))

    @rule(data=st.data(), amount=_AMOUNT)
    def restate(self, data: st.DataObject, amount: Decimal) -> None:
        days = sorted({at.date() for at, _ in self.used if at.date() < self.now.date()})[-3:]
        if days:
            self.extra[data.draw(st.sampled_from(days))] += amount

    @rule()
    def poll(self) -> None:
        if self.now in self.polls:
            return
        run_id = self.run_id()
        used = sum((amount for at, amount in self.used if at <= self.now), Decimal(0))
        paid = sum((amount for at, amount in self.paid if at <= self.now), Decimal(0))
        self.polls[self.now] = Decimal(10**6) + paid - used
        body = {"success": True, "data": {"balance": str(self.polls[self.now]), "currency": "credits"}}
        self.workshop.landing.answer("voxpria", "credits", body, at=self.now, run_id=run_id)
        rows = {}
        for back in range(400):
            day = (self.now - timedelta(days=back)).date()
            amount = sum((each for at, each in self.used if at.date() == day and at <= self.now), Decimal(0))
            amount += self.extra[day] if day < self.now.date() else 0
            if amount:
                rows[day] = amount
        self.stated |= {day: amount for day, amount in rows.items() if self.now >= max(self.polls)}
        self.seen[self.now] = rows.get(self.now.date(), Decimal(0))
        usage = [{"date": str(day), "calls": 1, "creditsUsed": str(amount)} for day, amount in rows.items()]
        body = {"success": True, "data": {"usage": usage, "total": None}}
        span = ((self.now - timedelta(days=399)).date(), self.now.date())
        self.workshop.landing.answer("voxpria", "usage", body, at=self.now, run_id=run_id, days=span)

    def teardown(self) -> None:
        self.now = max([self.now, *self.polls]) + timedelta(days=30)
        self.poll()
        _build(self.workshop)
        found = _hold_identities(self.workshop, self.polls)

        def meter(at: datetime) -> Decimal:
            before = sum((amount for day, amount in self.stated.items() if day < at.date()), Decimal(0))
            return before + self.seen[at]

        for opened, closed in pairwise(sorted(self.polls)):
            row = found[closed]
            used = meter(closed) - meter(opened)
            paid = sum((amount for at, amount in self.paid if opened < at <= closed), Decimal(0))
            change = self.polls[closed] - self.polls[opened]
            assert row["usage_amount"] == -used, closed
            assert row["top_up_amount"] + row["unexplained_amount"] == change + used, closed
            if paid and change + used == paid:
                assert row["inferred_top_up_amount"] == paid, closed
            if not paid and change + used == 0:
                assert row["unexplained_class"] is None, closed
        super().teardown()


def _try(world: type[_World], new_workshop: NewWorkshop) -> None:
    tried = type(world.__name__, (world,), {"new_workshop": staticmethod(new_workshop)})
    run_state_machine_as_test(
        tried,
        settings=settings(
            max_examples=WORLDS, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_worlds_with_a_ledger_are_bridged_like_the_oracle(new_workshop: NewWorkshop) -> None:
    _try(_LedgerWorld, new_workshop)


def test_worlds_of_daily_usage_are_bridged_like_the_oracle(new_workshop: NewWorkshop) -> None:
    _try(_UsageWorld, new_workshop)
