"""Budgets in accounts.toml: what they mean, and one line for each mistake."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from pipeline.settings import Settings
from pipeline.support.errors import UsageError, unknown

Loaded = Callable[[str], Settings]

MAIN = '[accounts.main]\nvendor = "vpsbg"\napi_key_env = "DRAWDOWN_TEST_KEY"\nteam = "web"\n'
AMOUNT = 'must be an exact number in quotes, such as "12.50", with at most 9 decimals'
BUDGETS = 'must be a list of budgets, such as [{ from = 2026-06-01, amount = "500" }]'
FROM = "must be the first day of a month without quotes, such as 2026-06-01, not before 2000"
UNIT = "must be an ISO 4217 code such as INR, or a vendor's unit such as voxpria-credit"

MISTAKES = {
    f"{MAIN}monthly_budget_amount = 5.5": f"account main: monthly_budget_amount: {AMOUNT}",
    f"{MAIN}monthly_budget_amount = '-1'": "account main: monthly_budget_amount: must not be negative",
    f"{MAIN}monthly_budget_unit = 'EUR'": (
        "account main: monthly_budget_amount: is missing; monthly_budget_unit is the unit of this amount"
    ),
    f"{MAIN}monthly_budget_amount = '5'\nmonthly_budget_unit = 'euro'": f"account main: monthly_budget_unit: {UNIT}",
    f"{MAIN}monthly_budgets = '5'": f"account main: monthly_budgets: {BUDGETS}",
    f"{MAIN}monthly_budgets = []": f"account main: monthly_budgets: {BUDGETS}",
    f"{MAIN}monthly_budgets = [{{ from = 2026-06-02, amount = '5' }}]": (
        f"account main: monthly_budgets: budget 1: from: {FROM}"
    ),
    f"{MAIN}monthly_budgets = [{{ from = 2026-06-01 }}]": (
        "account main: monthly_budgets: budget 1: amount: is missing; a budget has from and amount, and may have unit"
    ),
    f"{MAIN}monthly_budgets = [{{ from = 2026-06-01, amount = '5' }}, {{ from = 2026-06-01, amount = '6' }}]": (
        "account main: monthly_budgets: budget 2: from: a second budget from 2026-06-01 on"
    ),
    f"{MAIN}[teams.wbe]\nmonthly_budget_amount = '5'": "team wbe: no account has this team; teams: web",
    f"{MAIN}[teams]\nweb = 5": "team web: must be a table: [teams.NAME]",
    f"{MAIN}[teams.web]\nbudget = '5'": (
        f"team web: budget: {unknown('key')}; known keys: monthly_budget_amount, monthly_budget_unit, monthly_budgets"
    ),
    f"{MAIN}[teams.web]\nmonthly_budget_amount = '5'\nmonthly_budget_unit = 'USD'": (
        "team web: monthly_budget_unit: must be the reporting currency, EUR, or left out: accounts of several units are "
        "added in it"
    ),
    f"monthly_budgets = [{{ from = 2026-06-01, amount = '5', unit = 'USD' }}]\n{MAIN}": (
        "monthly_budgets: budget 1: unit: must be the reporting currency, EUR, or left out: accounts of several units "
        "are added in it"
    ),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_a_budget_is_one_line_that_names_its_place(loaded: Loaded, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(text)
    assert str(refused.value).partition(": ")[2] == MISTAKES[text]


def test_budgets_are_landed_exactly_oldest_first(loaded: Loaded) -> None:
    settings = loaded(
        'monthly_budget_amount = "3000"\n'
        f"{MAIN}"
        'monthly_budget_amount = 120\nmonthly_budget_unit = "EUR"\n'
        'monthly_budgets = [{ from = 2026-06-01, amount = "150.50" }, { from = 2026-01-01, amount = "130" }]\n'
        '[teams.web]\nmonthly_budgets = [{ from = 2026-02-01, amount = "900", unit = "EUR" }]\n'
    )
    first, second = settings.accounts["main"].monthly_budgets
    assert (first.from_date, second.from_date, second.amount) == (date(2026, 1, 1), date(2026, 6, 1), Decimal("150.50"))
    record = settings.to_record()
    assert record["monthly_budgets"] == [{"from_date": "1970-01-01", "budget_amount": "3000", "unit_code": None}]
    assert record["teams"] == {
        "web": {"monthly_budgets": [{"from_date": "2026-02-01", "budget_amount": "900", "unit_code": "EUR"}]}
    }
    assert record["accounts"]["main"]["monthly_budgets"] == [
        {"from_date": "1970-01-01", "budget_amount": "120", "unit_code": "EUR"},
        {"from_date": "2026-01-01", "budget_amount": "130", "unit_code": None},
        {"from_date": "2026-06-01", "budget_amount": "150.50", "unit_code": None},
    ]


def test_accounts_without_a_team_can_have_a_budget_together(loaded: Loaded) -> None:
    text = MAIN.replace('team = "web"\n', "") + "[teams.unassigned]\nmonthly_budget_amount = '5'\n"
    assert loaded(text).teams["unassigned"].monthly_budget_amount == Decimal(5)
