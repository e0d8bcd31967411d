"""Checks and the report's queries join by hash, as models do (test_plans.py)."""

from __future__ import annotations

import duckdb
import pytest

from pipeline.models.discovery import discover
from pipeline.published.report.report_queries import FLEET_QUERIES, text_of
from tests.staging.landed import Workshop


def _is_quadratic(connection: duckdb.DuckDBPyConnection, select: str) -> bool:
    return any("BLOCKWISE_NL_JOIN" in plan for _, plan in connection.sql(f"EXPLAIN (FORMAT json) {select}").fetchall())


@pytest.mark.skipif(not duckdb.__version__.startswith("1."), reason="DuckDB 2 joins these by hash, too")
def test_no_left_join_compares_all_rows_with_all_rows(workshop: Workshop) -> None:
    connection = workshop.connection
    # What is known of empty tables would leave their joins out.
    connection.execute("SET disabled_optimizers = 'statistics_propagation,empty_result_pullup'")
    assert _is_quadratic(
        connection,
        "SELECT prices.price_amount FROM core.accounts AS accounts LEFT JOIN core.credit_prices AS prices "
        "ON accounts.account_id = prices.account_id AND accounts.vendor = 'manual'",
    )
    selects = {f"{name}: {check.name}": check.select for name, model in discover().items() for check in model.checks}
    selects |= {query: text_of(query) for query in FLEET_QUERIES}
    assert {name for name, select in selects.items() if _is_quadratic(connection, select)} == set()
