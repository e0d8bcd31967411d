"""Timelines in one line: readings hour by hour, and the resulting events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.alerts.account_facts import AccountFacts, Anomaly, AnswerChange, BrokenRule
from pipeline.alerts.rules import findings
from pipeline.alerts.state_machine import Event, Key, State, step
from pipeline.settings.alert_policy import Policy

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FINE = AccountFacts(
    account_id="main",
    unit_code="EUR",
    reading_state="fresh",
    observed_at_utc=START,
    balance_amount=Decimal(500),
    reason="It lasts.",
    is_spend_known=True,
    runway_days=60.0,
    burn_28d_amount=Decimal(10),
    alert_below_amount=Decimal(100),
    threshold_amount=Decimal(50),
)
READINGS = {
    "fine": FINE,
    "low": replace(FINE, runway_days=12.0, balance_amount=Decimal(120)),
    "nearly": replace(FINE, runway_days=15.0, balance_amount=Decimal(150)),
    "unlikely": replace(FINE, runway_days=30.0, cautious_days=6.0),
    "dire": replace(FINE, runway_days=3.0, balance_amount=Decimal(120)),
    "dire-ish": replace(FINE, runway_days=8.0, balance_amount=Decimal(120)),
    "empty": replace(FINE, runway_days=0.0, balance_amount=Decimal(0)),
    "debt": replace(FINE, runway_days=None, balance_amount=Decimal(-3), is_spend_known=False),
    "small": replace(FINE, balance_amount=Decimal("99.99")),
    "at-limit": replace(FINE, balance_amount=Decimal(100)),
    "tiny": replace(FINE, balance_amount=Decimal("49.99")),
    "cut-off": replace(FINE, is_cut_off=True, is_spend_known=False, runway_days=None),
    "new": replace(FINE, is_spend_known=False, runway_days=None),
    "unexplained": replace(
        FINE,
        unexplained_amount=Decimal(7),
        unexplained_classes=("missing_entry", "tax"),
        unexplained_until_utc=START,
    ),
    "pennies": replace(
        FINE, unexplained_amount=Decimal("0.5"), unexplained_classes=("tax",), unexplained_until_utc=START
    ),
    "spike": replace(FINE, anomaly=Anomaly("spike", "Ten times as much.")),
    "drift": replace(FINE, answer_changes=(AnswerChange("balance", "vat", "missing_field"),)),
    "quarantine": replace(FINE, broken_rules=(BrokenRule("core.spend_daily", "a rule"),)),
    "unit": replace(FINE, unit_change_reason="Until noon the balance was in BGN, since then it is in EUR."),
    "no-threshold": replace(FINE, threshold_amount=None),
}
"""Kinds of readings. `null`, `500`, `-1` and `old` keep the last good balance, stale; `never` has none."""
BAD = ("null", "500", "-1", "old", "never")
AGED: dict[str, dict[str, Any]] = {
    "sunk": {"runway_days": 3.0, "expected_balance_amount": Decimal(60)},
    "risen": {"runway_days": 90.0, "expected_balance_amount": Decimal(900)},
}
"""Failed requests with growing or shrinking knowledge from before."""


class Timeline:
    """One account, read hour after hour."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.states: dict[Key, State] = {}
        self.log: list[str] = []
        self.events: list[Event] = []
        self.steps: list[tuple[dict[Key, State], list[Event]]] = []
        self.last_good: AccountFacts | None = None
        self.failed = 0
        self.hour = 0

    @property
    def now(self) -> datetime:
        return START + timedelta(hours=self.hour)

    def reading(self, word: str) -> AccountFacts:
        """Contents of the tables after this reading."""
        if word in READINGS:
            self.failed = 0
            self.last_good = replace(READINGS[word], observed_at_utc=self.now)
            return self.last_good
        if word != "old":
            self.failed += 1
        if word in BAD and (self.last_good is None or word == "never"):
            blank = replace(FINE, reading_state="unknown", observed_at_utc=None, balance_amount=None)
            return replace(
                blank, runway_days=None, is_spend_known=False, reason="No good reading yet.",
                failed_poll_count=self.failed,
            )  # fmt: skip
        stale = replace(
            self.last_good or FINE,
            reading_state="stale",
            reason=f"The last request failed ({word}).",
            failed_poll_count=self.failed,
            is_overdue=word == "old",
            remedy="main: check the value of KEY",
        )
        return replace(stale, **AGED.get(word, {}))

    def read(self, word: str) -> list[Event]:
        """Read once more; returns the events."""
        found = list(findings(self.reading(word), self.policy))
        before = dict(self.states)
        self.states, events = step(self.states, found, [], self.now)
        changed = {key: state for key, state in self.states.items() if before.get(key) != state}
        self.steps.append((changed, events))
        # The same run again, at the same instant, changes nothing.
        assert step(self.states, found, [], self.now) == (self.states, [])
        self.events += events
        self.log += [f"{self.hour}: {each.rule} {each.event} {each.severity}" for each in events]
        self.hour += 1
        return events

    def play(self, words: str) -> list[str]:
        """Play a blank-separated line; `word*3` is read three times. Returns the log so far."""
        for word in words.split():
            name, _, times = word.partition("*")
            for _ in range(int(times or 1)):
                self.read(name)
        return self.log
