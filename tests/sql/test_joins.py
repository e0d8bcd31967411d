"""Joins of checks and of the report's queries: by hash, as those of models (test_plans.py); prices and rates by one rule."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from pipeline.models.discovery import discover
from pipeline.published.report import report_queries
from pipeline.published.report.report_queries import FLEET_QUERIES, text_of
from tests.staging.landed import Workshop

_PRICE_JOIN = re.compile(
    r"""left join core\.credit_prices as prices on (?P<rows>\w+)\.account_id = prices\.account_id
    and (?P=rows)\.unit_code = prices\.unit_code
    and (?P<day>.+?) >= prices\.from_date and (?P=day) <= core\.open_end\(prices\.to_date\)""".replace("\n    ", " ")
)
_RATE_JOIN = re.compile(
    r"""left join core\.conversion_rates as rates on coalesce\(prices\.price_unit_code, (?P<rows>\w+)\.unit_code\) = rates\.unit_code
    and (?P=rows)\.\w+ = rates\.conversion_date""".replace("\n    ", " ")
)

# What is converted already is converted once more, to the currency of a budget.
_BUDGET_RATE_JOIN = re.compile(
    r"left join core\.conversion_rates as rates on budgets\.budget_unit_code = rates\.unit_code "
    r"and \w+\.\w+ = rates\.conversion_date"
)


def _checks() -> dict[str, str]:
    return {f"{name}: {check.name}": check.select for name, model in discover().items() for check in model.checks}


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
    selects = _checks() | {query: text_of(query) for query in FLEET_QUERIES}
    assert {name for name, select in selects.items() if _is_quadratic(connection, select)} == set()


def test_prices_and_rates_are_joined_by_one_rule() -> None:
    priced = rated = 0
    queries = Path(report_queries.__file__).parent.glob("queries/*.sql")
    selects = {name: model.select for name, model in discover().items()} | _checks()
    selects |= {path.name: path.read_text(encoding="utf-8") for path in queries}
    for name, select in selects.items():
        text = " ".join(select.split())
        prices, rates = text.count("join core.credit_prices"), text.count("join core.conversion_rates")
        rates -= len(_BUDGET_RATE_JOIN.findall(text))
        assert len(_PRICE_JOIN.findall(text)) == prices, name
        assert len(_RATE_JOIN.findall(text)) == rates, name
        priced, rated = priced + prices, rated + rates
    assert priced >= rated > 0
