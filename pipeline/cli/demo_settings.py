"""What the demo's owner has set in accounts.toml: teams, budgets, a planned campaign, and an account kept by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

_WRITTEN_DOWN: Final = ((130, "180.00"), (96, "154.50"), (61, "141.75"), (33, "103.50"), (4, "90.75"))
"""Days before the demo's end, and the balance that was written down then."""

# An account without an API, whose balance is written down by hand now and then.
_REGISTRAR: Final = """
[accounts.domain-registrar]
vendor = "manual"
path = "registrar.csv"
team = "web"
"""
_TEAMS: Final = """
[teams.voice]
monthly_budget_amount = "1500"

[teams.web]
monthly_budget_amount = "250"
"""
_BY_ACCOUNT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vpsbg-main": 'team = "web"\nmonthly_budget_amount = "120"\n',
        "vpsbg-agency": 'team = "web"\n',
        "vpsbg-idle": 'team = "web"\n',
        "voxpria-campaign": 'team = "voice"\n',
        "hyperstack-main": 'team = "research"\nmonthly_budget_amount = "450"\n',
        "deepvue-main": 'team = "sales"\n',
        "deepvue-new": 'team = "sales"\n',
    }
)


OPENED_LAST: Final = "deepvue-new"
"""An account of the sandbox that exists from the demo's last day on."""


def settings_by_account(end: datetime) -> dict[str, str]:
    """Lines of accounts.toml for each account of the sandbox; under "" those of the whole fleet."""
    first = end.date() + timedelta(days=3)
    campaign = (
        f'team = "voice"\nplanned = [{{ from = {first}, to = {first + timedelta(days=4)}, amount = "600", '
        'note = "customer survey" }]\n'
    )
    return {"": 'monthly_budget_amount = "4000"\n', **_BY_ACCOUNT, "voxpria-main": campaign}


def further_tables() -> str:
    """The tables of accounts.toml that follow the sandbox's accounts."""
    return _REGISTRAR + _TEAMS


def registrar_csv(*, end: datetime, at: datetime) -> str:
    """The balances that had been written down by the instant `at`; the demo ends at `end`."""
    days = [(end - timedelta(days=back), balance) for back, balance in _WRITTEN_DOWN]
    rows = [f"{day:%Y-%m-%d},{balance},EUR" for day, balance in days if day <= at]
    return "\n".join(["observed_at_utc,balance_amount,unit_code", *rows]) + "\n"
