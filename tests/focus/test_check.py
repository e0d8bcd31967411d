"""sql/marts/focus_cost_and_usage/checks.sql: it accepts correct charges, and names wrong ones."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pipeline.models.discovery import discover
from pipeline.models.months import mark_all_dirty
from pipeline.models.recompute import recompute
from tests.focus.conftest import LEDGER, USAGE
from tests.staging.landed import Workshop

_CHECK, _CHECK_ESTIMATED = (
    discover()[f"marts.{name}"].checks[0].select for name in ("focus_cost_and_usage", "focus_cost_and_usage_estimated")
)

_PERIODS = "a charge period is half-open and in order, within its billing period, which is a UTC month"
_BILLED = "BilledCost of a month is what the ledger has as paid in"
_EFFECTIVE = "EffectiveCost of a month is what left by the ledger or by usage"
_PURCHASE = "a purchase is used up by its drawdown, or at once if no drawdown is ever reported"
_GONE = "EffectiveCost between the first and the last reading is what the bridge has as gone"
_USED = "usage charged between the first and the last reading is what the bridge has as used"
_CURRENCY = "a billing account has one currency in a month"
_ESTIMATED = "nothing is estimated"
_ALIKE = "a reported charge is the same in both tables"
_FALLS = "estimates add up to the falls of the balance"
_ESTIMATE = "an estimate is a cost of a period, of an account with balances alone, and names its two readings"


def test_the_three_accounts_pass(charged: Workshop) -> None:
    assert charged.rows(_CHECK) == []
    assert charged.rows(_CHECK_ESTIMATED) == []
    methods = charged.rows(
        "SELECT x_AccountId, x_MeasurementMethod, count(*) FROM marts.focus_cost_and_usage_estimated GROUP BY 1, 2 ORDER BY 1"
    )
    # One unexpected row is incoming money, and the tax has two rows.
    assert methods == [
        ("balances", "balance_delta", 1),
        ("days", "usage_day", len(USAGE)),
        ("ledger", "ledger_entry", len(LEDGER)),
    ]


def test_purchases_and_usage_are_those_of_the_ledger(charged: Workshop) -> None:
    found = charged.rows(
        "SELECT strftime(BillingPeriodStart, '%m'), sum(BilledCost), sum(EffectiveCost) FROM marts.focus_cost_and_usage "
        "WHERE x_AccountId = 'ledger' GROUP BY 1 ORDER BY 1"
    )

    assert found == [("02", Decimal("500"), Decimal("24")), ("03", Decimal("-100"), Decimal("4.95"))]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("SET ChargePeriodEnd = ChargePeriodStart WHERE x_ChargeId = 'entry/t2'", {("ledger", _PERIODS)}),
        ("SET ChargePeriodEnd = ChargePeriodEnd + INTERVAL 1 MONTH WHERE x_ChargeId = 'entry/t2'", {("ledger", _PERIODS)}),
        ("SET BillingPeriodEnd = BillingPeriodEnd + INTERVAL 1 MONTH WHERE x_AccountId = 'days'", {("days", _PERIODS)}),
        ("SET BilledCost = BilledCost + 0.000000001 WHERE x_ChargeId = 'entry/t0'", {("ledger", _BILLED)}),
        ("SET EffectiveCost = BilledCost WHERE x_ChargeId = 'entry/t0'", {("ledger", _PURCHASE)}),
        ("SET EffectiveCost = 0 WHERE x_ChargeId = 'usage/2026-03-05'", {("days", _EFFECTIVE)}),
        ("SET PricingCurrencyEffectiveCost = 0 WHERE x_ChargeId = 'entry/t1'", {("ledger", _GONE)}),
        ("SET PricingCurrencyEffectiveCost = 900 WHERE x_ChargeId = 'usage/2026-03-05'", {("days", _USED)}),
        ("SET PricingCurrencyEffectiveCost = 0 WHERE x_AccountId = 'days'", {("days", _USED)}),
        ("SET BillingCurrency = 'USD' WHERE x_ChargeId = 'entry/t3'", {("ledger", _CURRENCY), ("ledger", _EFFECTIVE)}),
        ("SET x_IsEstimated = true WHERE x_ChargeId = 'entry/t3'", {("ledger", _ESTIMATED)}),
    ],
)  # fmt: skip
def test_a_wrong_charge_is_named(charged: Workshop, change: str, broken: set[tuple[str, str]]) -> None:
    charged.connection.execute("BEGIN TRANSACTION")
    try:
        charged.connection.execute(f"UPDATE marts.focus_cost_and_usage {change}")
        assert set(charged.rows(_CHECK)) == broken
    finally:
        charged.connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("charge", "broken"),
    [
        ("entry/t0", {("ledger", _BILLED)}),
        ("entry/t1", {("ledger", _EFFECTIVE)}),
        ("entry/t5/prepaid", {("ledger", _BILLED)}),
        ("usage/2026-03-01", {("days", _EFFECTIVE)}),
    ],
)
def test_an_absent_charge_is_named(charged: Workshop, charge: str, broken: set[tuple[str, str]]) -> None:
    charged.connection.execute("BEGIN TRANSACTION")
    try:
        charged.connection.execute(f"DELETE FROM marts.focus_cost_and_usage WHERE x_ChargeId = '{charge}'")
        assert set(charged.rows(_CHECK)) == broken
    finally:
        charged.connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("UPDATE {} SET BilledCost = 0 WHERE x_ChargeId = 'entry/t0'", {("ledger", _ALIKE)}),
        ("DELETE FROM {} WHERE x_ChargeId = 'usage/2026-03-05'", {("days", _ALIKE)}),
        ("DELETE FROM {} WHERE x_IsEstimated", {("balances", _FALLS)}),
        ("UPDATE {} SET PricingCurrencyEffectiveCost = 8.75 + 0.000000001 WHERE x_IsEstimated", {("balances", _FALLS)}),
        ("UPDATE {} SET x_OpeningFetchId = NULL WHERE x_IsEstimated", {("balances", _ESTIMATE)}),
        ("UPDATE {} SET EffectiveCost = -EffectiveCost WHERE x_IsEstimated", {("balances", _ESTIMATE)}),
        ("UPDATE {} SET x_EvidenceLevel = 'usage' WHERE x_IsEstimated", {("balances", _ESTIMATE)}),
    ],
)
def test_a_wrong_estimate_is_named(charged: Workshop, change: str, broken: set[tuple[str, str]]) -> None:
    charged.connection.execute("BEGIN TRANSACTION")
    try:
        # A view cannot be changed.
        for statement in (
            "CREATE TABLE wrong AS FROM marts.focus_cost_and_usage_estimated",
            "DROP VIEW marts.focus_cost_and_usage_estimated",
            "CREATE TABLE marts.focus_cost_and_usage_estimated AS FROM wrong",
            change.format("marts.focus_cost_and_usage_estimated"),
        ):
            charged.connection.execute(statement)
        assert set(charged.rows(_CHECK_ESTIMATED)) == broken
    finally:
        charged.connection.execute("ROLLBACK")


@pytest.mark.parametrize("account_id", ["ledger", "days", "balances"])
def test_an_account_that_is_another_one_under_a_second_name_is_charged_nothing(
    charged: Workshop, account_id: str
) -> None:
    tables = ("marts.focus_cost_and_usage", "marts.focus_cost_and_usage_estimated")
    charged.connection.execute("BEGIN TRANSACTION")
    try:
        before = {
            table: charged.rows(f"FROM {table} WHERE x_AccountId <> '{account_id}' ORDER BY ALL") for table in tables
        }
        charged.connection.execute(
            "UPDATE core.accounts SET same_as_account_id = 'first' WHERE account_id = ?", [account_id]
        )
        # The earlier charges do not agree with it.
        assert {found for found, _ in charged.rows(_CHECK) + charged.rows(_CHECK_ESTIMATED)} == {account_id}
        recomputed = ("marts.focus_cost_and_usage", "marts.focus_estimates")
        mark_all_dirty(charged.connection, recomputed)
        for table in recomputed:
            recompute(charged.connection, discover()[table])
        assert charged.rows(_CHECK) + charged.rows(_CHECK_ESTIMATED) == []
        assert {table: charged.rows(f"FROM {table} ORDER BY ALL") for table in tables} == before
    finally:
        charged.connection.execute("ROLLBACK")
