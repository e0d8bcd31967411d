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


CREDITS = replace(
    FINE, unit_code="voxpria-credit", balance_amount=Decimal(3250), burn_28d_amount=Decimal(1120),
    price_amount=Decimal("0.10"), price_unit_code="USD",
)  # fmt: skip


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (FINE, "The balance is 500.00 EUR."),
        (
            replace(FINE, unit_code="INR", reporting_balance_amount=Decimal("5.62"), reporting_unit_code="EUR"),
            "The balance is 500.00 INR (5.62 EUR).",
        ),
        (CREDITS, "At 0.10 USD for each credit the balance is 325.00 USD and spend 112.00 USD a day."),
        (
            replace(
                CREDITS,
                reporting_balance_amount=Decimal("280.17"),
                reporting_unit_code="EUR",
            ),
            "At 0.10 USD for each credit the balance is 325.00 USD (280.17 EUR) and spend 112.00 USD a day.",
        ),
        (
            replace(CREDITS, price_amount=None, price_unit_code=None),
            "The balance is 3,250.00 voxpria-credit; no price is known for its credits.",
        ),
        (replace(FINE, unit_code="unknown"), "The balance is 500.00 of an unknown unit: set unit in accounts.toml."),
        (replace(FINE, balance_amount=None), ""),
    ],
)
def test_the_runway_alert_says_how_much_it_is_in_money(known: AccountFacts, text: str) -> None:
    [found] = [each for each in findings(known, Policy()) if each.rule == "runway"]
    assert found.message == f"It lasts. {text}".rstrip()


def test_limits_and_unexplained_amounts_in_credits_are_priced_or_said_to_have_no_price() -> None:
    lost = replace(
        CREDITS, balance_amount=Decimal(90), unexplained_amount=Decimal(70), unexplained_classes=("tax",),
        unexplained_until_utc=datetime(2026, 3, 8, 8, 0, tzinfo=UTC),
    )  # fmt: skip
    by_rule = {each.rule: each.message for each in findings(lost, Policy())}
    assert by_rule["amount"].endswith(
        "is below your limit of 100.00 voxpria-credit. At 0.10 USD for each credit the balance is 9.00 USD and spend "
        "112.00 USD a day."
    )
    assert by_rule["unexplained"].startswith("70.00 voxpria-credit (7.00 USD) of the last 7 days cannot be explained")

    unpriced = replace(lost, price_amount=None, price_unit_code=None)
    by_rule = {each.rule: each.message for each in findings(unpriced, Policy())}
    assert by_rule["amount"].endswith("; no price is known for its credits.")
    assert by_rule["unexplained"].startswith("70.00 voxpria-credit (no price is known for its credits) of the last")


def test_since_the_reset_of_a_quota_no_alert_of_its_balance_opens_or_ends() -> None:
    # Used up before the reset: without it, all three would be alerts.
    empty = replace(FINE, balance_amount=Decimal(0), runway_days=0.0)
    severities = {each.rule: (each.is_known, each.severity) for each in findings(empty, Policy())}
    assert [severities[rule][0] for rule in ("runway", "amount", "threshold")] == [True] * 3
    assert None not in [severities[rule][1] for rule in ("runway", "amount", "threshold")]

    since = replace(empty, reading_state="stale", runway_days=None, expected_balance_amount=None, is_reset_since=True)
    known = {each.rule: each.is_known for each in findings(since, Policy())}
    assert [known[rule] for rule in ("runway", "amount", "threshold")] == [False] * 3
    assert known["stale"]
