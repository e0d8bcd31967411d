"""Planned spend, as landed by runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb


def load_plans(connection: duckdb.DuckDBPyConnection, accounts: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace the plans of these accounts by those of their landed settings, numbered from 1 in their order.

    Runs that were landed before plans existed have none. Run inside a transaction.
    """
    for account_id, settings in accounts.items():
        connection.execute("DELETE FROM staging.planned_spend WHERE account_id = ?", [account_id])
        for number, plan in enumerate(settings.get("planned", ()), 1):
            connection.execute(
                "INSERT INTO staging.planned_spend "
                "(account_id, plan_number, from_date, to_date, planned_amount, multiplier, note) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    account_id, number, plan["from_date"], plan["to_date"], plan["planned_amount"], plan["multiplier"],
                    plan["note"],
                ],
            )  # fmt: skip
