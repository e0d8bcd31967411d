"""Budgets, as landed by runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from pipeline.schema.scopes import FLEET_ID


def load_budgets(connection: duckdb.DuckDBPyConnection, record: Mapping[str, Any]) -> None:
    """Replace the budgets by those of a run's landed settings. Runs of before budgets existed have none."""
    owners: list[tuple[str, str, Mapping[str, Any]]] = [
        ("fleet", FLEET_ID, record),
        *(("team", team, settings) for team, settings in record.get("teams", {}).items()),
        *(("account", account_id, settings) for account_id, settings in record["accounts"].items()),
    ]
    rows: list[Sequence[str | None]] = [
        (scope, scope_id, each["from_date"], each["budget_amount"], each["unit_code"])
        for scope, scope_id, settings in owners
        for each in settings.get("monthly_budgets", ())
    ]
    connection.execute("DELETE FROM staging.budgets")
    for row in rows:
        connection.execute(
            "INSERT INTO staging.budgets (scope, scope_id, from_month, budget_amount, budget_unit_code) "
            "VALUES (?, ?, CAST(? AS DATE), CAST(? AS DECIMAL(38, 9)), ?)",
            row,
        )
