"""Euros, dollars, credits and an unknown unit never mix in one number, in any sum.

Each account's amounts have digits in separate places: the euros' in the ones to thousands, the dollars' in the next
four, the credits' in the four beyond, the unknown unit's after the point. A sum of two units would have digits in two
accounts' places.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import combinations

import pytest

from pipeline.landing.store import FX_RATES, OWN
from pipeline.schema.columns import Type
from pipeline.schema.layers import SQL_LAYERS
from pipeline.schema.tables import ALL, Table
from tests.staging.landed import NewWorkshop, Workshop

_FIRST = date(2026, 2, 1)
_DAYS = 45
_SPEND = {"EUR": Decimal(1), "USD": Decimal(10**4), "voxpria-credit": Decimal(10**8), "unknown": Decimal("0.0001")}
"""Daily spend of each account, and the lowest digit of its places; accounts are named after their unit."""
_PLACES = {unit: range(amount.adjusted(), amount.adjusted() + 4) for unit, amount in _SPEND.items()}
_ACCOUNTS = {"EUR": "euros", "USD": "dollars", "voxpria-credit": "credits", "unknown": "mystery"}
_USD, _PRICE = Decimal("1.25"), Decimal("0.5")


def _days() -> list[date]:
    return [_FIRST + timedelta(days=number) for number in range(_DAYS + 1)]


def _land(workshop: Workshop) -> None:
    landing, days = workshop.landing, _days()
    at = datetime.combine(days[-1], datetime.min.time(), UTC)
    credit = {"vendor": "voxpria", "credit_prices": [
        {"from_date": "2026-01-01", "price_amount": str(_PRICE), "price_unit_code": "USD"}]}  # fmt: skip
    landing.run(
        {"euros": {"team": "web"}, "dollars": {"vendor": "hyperstack", "team": "web"}, "credits": credit | {"team": "web"},
         "mystery": {"vendor": "deepvue"}}, at=at,
    )  # fmt: skip
    lines = [f"{day},{_USD}," for day in reversed(days)]
    landing.answer(OWN, FX_RATES, "\n".join(["Date,USD,", *lines, ""]), account_id="*", at=at)
    entries = [
        {"id": number, "type": "usage", "amount": -1, "currency": "EUR", "status": "completed",
         "created_at": f"{day}T06:00:00Z"}
        for number, day in enumerate(days[:-1])
    ]  # fmt: skip
    deposit = {"id": 999, "type": "deposit", "amount": 1000, "currency": "EUR", "status": "completed",
               "created_at": f"{days[3]}T05:00:00Z"}  # fmt: skip
    body = {"data": [*entries, deposit], "links": {"next": None}, "meta": {}}
    landing.answer("vpsbg", "transactions", body, account_id="euros", at=at)
    usage = [{"date": str(day), "calls": 1, "creditsUsed": str(_SPEND["voxpria-credit"])} for day in days[:-1]]
    landing.answer(
        "voxpria", "usage", {"success": True, "data": {"usage": usage, "total": None}}, account_id="credits", at=at,
        days=(days[0], days[-1]),
    )  # fmt: skip
    for number, day in enumerate(days):
        at = datetime.combine(day, datetime.min.time(), UTC)
        left = {unit: 90 * spend - number * spend for unit, spend in _SPEND.items()}
        euros = left["EUR"] + (1000 if number > 3 else 0)
        landing.answer("vpsbg", "balance", {"balance": str(euros), "currency": "EUR"}, account_id="euros", at=at)
        body = {"status": True, "data": {"credit": str(left["USD"]), "threshold": str(20 * _SPEND["USD"])}}
        landing.answer("hyperstack", "credit", body, account_id="dollars", at=at)
        credits = {"success": True, "data": {"balance": str(left["voxpria-credit"]), "currency": "credits"}}
        landing.answer("voxpria", "credits", credits, account_id="credits", at=at)
        landing.answer("deepvue", "wallet", {"current_balance": str(left["unknown"])}, account_id="mystery", at=at)


@pytest.fixture(scope="module")
def world(new_workshop: NewWorkshop) -> Iterator[Workshop]:
    with new_workshop() as workshop:
        _land(workshop)
        workshop.load()
        workshop.recompute(*SQL_LAYERS)
        assert workshop.rows("SELECT count(*) FROM staging.rejects") == [(0,)]
        yield workshop


def _units_in(amount: Decimal) -> set[str]:
    """Units in whose places the amount has digits; `?` for digits in no unit's place."""
    found = set()
    _, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    for place, digit in enumerate(reversed(digits), exponent):
        if digit:
            found.add(next((unit for unit, places in _PLACES.items() if place in places), "?"))
    return found


# Columns with the unit of an unconverted amount; a quantity's unit is no unit of money.
_OWN_UNITS = {"unit_code", "cost_unit_code", "BillingCurrency", "PricingCurrency"}


def _own_amounts(table: Table) -> list[tuple[str, str]]:
    """Money columns of a table, each with the column of its unit, without conversions."""
    return [
        (column.name, str(column.column.unit))
        for column in table.columns
        if column.column.type is Type.MONEY and column.column.unit in _OWN_UNITS
    ]


_TABLES = [table for table in ALL.values() if table.layer in SQL_LAYERS]
_BY_UNIT = [table for table in _TABLES if _own_amounts(table) and table.full_name != "core.credit_prices"]


def test_an_amount_has_the_digits_of_its_own_unit_only(world: Workshop) -> None:
    for table in _BY_UNIT:
        for amount, unit in _own_amounts(table):
            query = f"SELECT {amount}, {unit} FROM {table.full_name} WHERE {amount} IS NOT NULL"
            if "x_CreditPrice" in table.column_names:
                query += " AND x_CreditPrice IS NULL"
            if "scope" in table.column_names:
                # A team's total is of converted amounts; its own test is below.
                query += " AND scope = 'account'"
            for value, code in world.rows(query):
                assert _units_in(value) <= {code}, f"{table.full_name}.{amount} is {value} {code}"


def test_a_sum_of_two_units_would_show() -> None:
    for one, other in combinations(_SPEND, 2):
        assert _units_in(_SPEND[one] + 45 * _SPEND[other]) == {one, other}


def test_every_unit_occurs(world: Workshop) -> None:
    for name in ("core.spend_daily", "core.balance_snapshots", "marts.account_status", "marts.spend_monthly"):
        assert {unit for (unit,) in world.rows(f"SELECT DISTINCT unit_code FROM {name}")} == set(_SPEND), name


_CONVERTED = {"EUR": Decimal(1), "USD": 1 / _USD, "voxpria-credit": _PRICE / _USD}
_SOURCES = {"EUR": "same_unit", "USD": "ecb", "voxpria-credit": "credit_price+ecb", "unknown": None}


@pytest.mark.parametrize(
    ("table", "amount", "converted"),
    [
        ("core.spend_daily", "spend_amount", "reporting_amount"),
        ("marts.account_status", "balance_amount", "reporting_balance_amount"),
        ("marts.account_status", "burn_28d_amount", "reporting_burn_28d_amount"),
    ],
)
def test_a_conversion_states_its_source_and_is_null_if_impossible(
    world: Workshop, table: str, amount: str, converted: str
) -> None:
    rows = world.rows(
        f"SELECT unit_code, {amount}, {converted}, reporting_unit_code, fx_source, fx_rate_date FROM {table}"
    )
    assert rows
    for unit, value, worth, reporting, source, day in rows:
        assert (reporting, source) == ("EUR", _SOURCES[unit])
        assert (day is not None) == (source is not None and "ecb" in source)
        assert worth == (value * _CONVERTED[unit] if unit in _CONVERTED else None)


def test_sums_in_the_reporting_currency_are_those_of_converted_amounts(world: Workshop) -> None:
    for name in ("marts.spend_monthly", "marts.spend_by_team_monthly"):
        for unit, spent, worth in world.rows(f"SELECT unit_code, spend_amount, reporting_amount FROM {name}"):
            assert worth == (spent * _CONVERTED[unit] if unit in _CONVERTED else None), name
    left = {unit: (90 - _DAYS) * spend for unit, spend in _SPEND.items()}
    left["EUR"] += 1000
    ((total, burn, left_over, counts),) = world.rows(
        "SELECT reporting_balance_amount, reporting_burn_28d_amount, unconverted_balances, "
        "[account_count, converted_account_count, unconverted_account_count] FROM marts.fleet_status"
    )
    assert total == sum(left[unit] * rate for unit, rate in _CONVERTED.items())
    assert burn == sum(_SPEND[unit] * rate for unit, rate in _CONVERTED.items())
    assert left_over == f"{left['unknown'].normalize():f} unknown"
    assert counts == [4, 3, 1]


def test_the_months_of_a_team_and_of_the_fleet_are_sums_of_converted_amounts(world: Workshop) -> None:
    spent = dict(
        world.rows(
            "SELECT unit_code, spent_amount FROM marts.month_outlook WHERE scope = 'account' AND month_state = 'over'"
        )
    )
    assert set(spent) == set(_SPEND)
    total = sum(spent[unit] * rate for unit, rate in _CONVERTED.items())
    rows = world.rows(
        "SELECT scope, scope_id, spent_amount, unit_code, account_count, converted_account_count "
        "FROM marts.month_outlook WHERE scope <> 'account' AND month_state = 'over' ORDER BY scope, scope_id"
    )
    assert rows == [
        ("fleet", "*", total, "EUR", 4, 3),
        ("team", "unassigned", 0, "EUR", 1, 0),
        ("team", "web", total, "EUR", 3, 3),
    ]
    for unit, own, worth in world.rows(
        "SELECT unit_code, spent_amount, reporting_spent_amount FROM marts.month_outlook WHERE scope = 'account'"
    ):
        assert worth == (own * _CONVERTED[unit] if unit in _CONVERTED else None)


def test_a_published_status_has_the_converted_balance_of_its_account(world: Workshop) -> None:
    rows = world.rows("SELECT unit_code, balance_amount, reporting_balance_amount FROM marts.status_history")
    assert {unit for unit, _, _ in rows} == set(_SPEND)
    for unit, own, worth in rows:
        assert worth == (own * _CONVERTED[unit] if unit in _CONVERTED else None)


def test_every_reporting_amount_of_a_table_is_looked_at_here() -> None:
    """A new conversion needs its own proof above."""
    looked_at = {"core.spend_daily", "marts.account_status", "marts.spend_monthly", "marts.spend_by_team_monthly",
                 "marts.fleet_status", "marts.month_outlook", "marts.status_history"}  # fmt: skip
    converting = {
        table.full_name
        for table in _TABLES
        if any(column.column.unit == "reporting_unit_code" for column in table.columns)
    }
    assert converting == looked_at
