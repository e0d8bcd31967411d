"""The alert about exchange rates: which rates are needed, when they are old, and one message for all accounts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest

from pipeline.alerts.rate_rule import READS, OldRate, RateFacts, old_rates, read_rates
from pipeline.alerts.rule_inputs import READS as ACCOUNT_READS
from pipeline.alerts.state_machine import Key, State, step
from pipeline.schema.render import create_table
from pipeline.schema.tables import ALL
from tests.alerts.test_inputs import NOW, Tables

TODAY = NOW.date()
REMEDY = "check fx.url"


@pytest.fixture
def tables() -> Iterator[Tables]:
    """One account in euros, which is the reporting currency."""
    with duckdb.connect() as connection:
        made = Tables(connection)
        for name in set(READS) - set(ACCOUNT_READS):
            connection.execute(create_table(ALL[name]))
        connection.execute("UPDATE staging.build SET reporting_unit_code = 'EUR', fx_oldest_days = 45")
        yield made


def _account(tables: Tables, account_id: str, unit_code: str, balance: Decimal | None = Decimal(1)) -> None:
    tables.insert("marts.account_status", account_id=account_id, unit_code=unit_code, balance_amount=balance)


def _rate(tables: Tables, unit_code: str, days_ago: int | None, fx_source: str = "ecb") -> None:
    """A rate that is used up to 45 days; a fixed one is of no day."""
    rate_date = None if days_ago is None else TODAY - timedelta(days=days_ago)
    last = TODAY if rate_date is None else rate_date + timedelta(days=45)
    for back in range(60):
        day = last - timedelta(days=back)
        if day >= (rate_date or day):
            tables.insert(
                "core.conversion_rates", unit_code=unit_code, conversion_date=day, fx_rate_date=rate_date,
                reporting_unit_code="EUR", fx_source=fx_source,
            )  # fmt: skip


def _found(tables: Tables) -> list[tuple[str, int, int]]:
    facts = read_rates(tables.connection)
    assert facts is not None
    assert (facts.as_of, facts.oldest_days) == (NOW, 45)
    return [(each.unit_code, each.age_days, each.account_count) for each in facts.old_rates]


@pytest.mark.parametrize(
    ("days_ago", "is_old"), [(0, False), (7, False), (8, True), (45, True), (46, True), (400, True)]
)
def test_a_rate_is_old_from_the_eighth_day_on_and_also_once_it_is_no_longer_used(
    tables: Tables, days_ago: int, *, is_old: bool
) -> None:
    _account(tables, "a", "USD")
    _account(tables, "b", "USD")
    _rate(tables, "USD", days_ago)
    assert _found(tables) == ([("USD", days_ago, 2)] if is_old else [])


def test_only_rates_that_an_account_needs_count(tables: Tables) -> None:
    _account(tables, "credits", "voxpria-credit")
    _account(tables, "unread", "GBP", balance=None)
    _account(tables, "levs", "BGN")
    _account(tables, "unquoted", "KWD")
    for until, currency in ((TODAY - timedelta(days=1), "CHF"), (None, "INR")):
        tables.insert(
            "core.credit_prices", account_id="credits", unit_code="voxpria-credit", price_unit_code=currency,
            price_amount=Decimal(1), from_date=TODAY - timedelta(days=90) if until else TODAY, to_date=until,
        )  # fmt: skip
    for currency in ("CHF", "GBP", "INR", "NOK"):
        _rate(tables, currency, 20)
    # Quoted until the currency became the euro, and fixed since then.
    _rate(tables, "BGN", 69)
    tables.connection.execute(
        "DELETE FROM core.conversion_rates WHERE unit_code = 'BGN' AND conversion_date >= ?", [TODAY]
    )
    _rate(tables, "BGN", None, "fixed")

    assert _found(tables) == [("INR", 20, 1)]


def test_one_alert_names_every_currency_and_recovers_after_two_runs_with_current_rates() -> None:
    old = tuple(
        OldRate(unit_code=code, rate_date=date(2026, 3, 1), age_days=9, account_count=accounts)
        for code, accounts in (("INR", 1), ("USD", 30))
    )
    states: dict[Key, State] = {}
    log = []
    for hour, rates in enumerate((old, old, (), (), old)):
        facts = RateFacts(as_of=NOW + timedelta(hours=hour), oldest_days=45, old_rates=rates)
        states, events = step(states, [old_rates(facts, "warning", REMEDY)], [], facts.as_of)
        log += [(hour, each.account_id, each.rule, each.event, each.message) for each in events]

    words = (
        "The newest exchange rates are of more than 7 days ago (INR: 2026-03-01, 9 days ago, needed by 1 account; USD: "
        "2026-03-01, 9 days ago, needed by 30 accounts). Amounts are converted at them and marked up to 45 days, and not "
        "converted after that. Check fx.url."
    )
    assert log == [
        (0, "*", "old_rates", "opened", words),
        (3, "*", "old_rates", "recovered", "Every exchange rate that is needed is current."),
        (4, "*", "old_rates", "opened", words),
    ]
