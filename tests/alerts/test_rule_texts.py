"""What a message says of an account's facts, and what it says once there is nothing of the kind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from pipeline.alerts import rule_texts
from pipeline.alerts.account_facts import AccountFacts, Anomaly, AnswerChange, BrokenRule
from pipeline.alerts.rules import findings
from pipeline.settings.alert_policy import Policy
from tests.alerts.timelines import FINE, READINGS

_GONE = AnswerChange("transactions", "data.vat", "missing_field")


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (
            replace(
                FINE,
                unexplained_amount=Decimal("1234.5"),
                unexplained_classes=("missing_entry", "tax"),
                unexplained_until_utc=datetime(2026, 3, 8, 8, 0, tzinfo=UTC),
            ),
            "1,234.50 EUR of the last 7 days cannot be explained (missing_entry, tax), most recently in the interval up "
            "to 2026-03-08 08:00 UTC. See core.balance_bridge.",
        ),
        (FINE, "Every balance change of the last days is explained."),
    ],
)
def test_unexplained_money_is_an_amount_with_its_classes(known: AccountFacts, text: str) -> None:
    assert rule_texts.unexplained(known) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ((), "The vendor's answers have had their usual structure for some days."),
        (
            (_GONE,),
            "The structure of answers changed, or rows were rejected: transactions: data.vat: missing_field. See "
            "staging.schema_drift and staging.rejects.",
        ),
        (
            (_GONE, _GONE, _GONE),
            "The structure of answers changed, or rows were rejected: transactions: data.vat: missing_field and 2 more. "
            "See staging.schema_drift and staging.rejects.",
        ),
    ],
)
def test_the_first_change_of_answers_is_named_and_the_others_are_counted(
    changes: tuple[AnswerChange, ...], text: str
) -> None:
    assert rule_texts.drift(replace(FINE, answer_changes=changes)) == text


def test_every_broken_rule_is_named_with_its_table() -> None:
    broken = (BrokenRule("core.orders", "a"), BrokenRule("core.spend_daily", "b"))
    assert rule_texts.quarantine(replace(FINE, broken_rules=broken)) == (
        "Its rows of the last published build are kept: core.orders: a; core.spend_daily: b. See staging.quarantine."
    )
    assert rule_texts.quarantine(FINE) == "All of its rows satisfy the tables' checks again."


def test_an_anomaly_begins_with_its_kind_and_a_change_of_unit_is_its_reason() -> None:
    assert rule_texts.anomaly(replace(FINE, anomaly=Anomaly("stop", "Nothing."))) == "stop: Nothing."
    assert rule_texts.anomaly(FINE) == "Spend in the last days was as forecast."
    assert rule_texts.unit(replace(FINE, unit_change_reason="From BGN to EUR.")) == "From BGN to EUR."
    assert rule_texts.unit(FINE) == "The balance has been in EUR for some days."


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("unexplained", rule_texts.unexplained),
        ("anomaly", rule_texts.anomaly),
        ("drift", rule_texts.drift),
        ("unit", rule_texts.unit),
        ("quarantine", rule_texts.quarantine),
    ],
)
def test_a_finding_has_the_text_of_its_rule(rule: str, text: object) -> None:
    assert callable(text)
    known = READINGS[{"anomaly": "spike"}.get(rule, rule)]
    [found] = [each for each in findings(known, Policy()) if each.rule == rule]
    assert (found.message, found.severity is None) == (text(known), False)
