"""What a total is of: an account, a team, or all accounts."""

from __future__ import annotations

from typing import Final, Literal

Scope = Literal["account", "team", "fleet"]

SCOPES: Final[tuple[Scope, ...]] = ("account", "team", "fleet")

FLEET_ID: Final = "*"
"""The scope_id of the fleet."""

NO_TEAM: Final = "unassigned"
"""Team of accounts for which the owner names none."""
