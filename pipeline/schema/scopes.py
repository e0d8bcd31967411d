"""What a total is of: an account, a team, or all accounts."""

from __future__ import annotations

from typing import Final, Literal

Scope = Literal["account", "team", "fleet"]

SCOPES: Final[tuple[Scope, ...]] = ("account", "team", "fleet")

FLEET_ID: Final = "*"
"""The scope_id of the fleet."""

_TEAM: Final = "team:"

NO_TEAM: Final = "unassigned"
"""Team of accounts for which the owner names none."""


def alert_id(scope: str, scope_id: str) -> str:
    """Id of a scope in alerts, where an account's id is its own: `team:NAME` for a team, `*` for the fleet."""
    return f"{_TEAM}{scope_id}" if scope == "team" else scope_id


def is_account(alert_id: str) -> bool:
    """Whether an id in alerts is that of an account."""
    return alert_id != FLEET_ID and not alert_id.startswith(_TEAM)
