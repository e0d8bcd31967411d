"""The cases of SQL models: their folders, and the rows that a model makes of one.

`test_cases` describes the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import duckdb
import yaml

from pipeline.models import discovery, recompute
from pipeline.staging.answer_summaries import summarize
from tests.sql.rows import expand, fill_in, insert, types
from tests.staging.landed import Workshop

# Inputs of core.accounts.
_UPSTREAM = {"core.account_units", "core.ledger_evidence", "core.ledger_periods", "core.ledger_conventions"}
_STEPS = {
    "core.accounts": ["core.account_units", "core.accounts"],
    "core.ledger_evidence": ["core.account_units", "core.ledger_evidence"],
    "core.ledger_periods": ["core.account_units", "core.ledger_evidence", "core.ledger_periods"],
    "core.ledger_conventions": [
        "core.account_units",
        "core.ledger_evidence",
        "core.ledger_periods",
        "core.ledger_conventions",
    ],
    "marts.focus_cost_and_usage": ["core.drawdown_accounts", "marts.focus_cost_and_usage"],
    "marts.focus_cost_and_usage_estimated": ["marts.focus_estimates"],
}
"""Tables that a case makes on the way to its table."""

_ACCOUNTS: Final = {"account_id", "x_AccountId"}
"""Columns with the account of a row."""

CASES: Final = sorted(path.parent for path in Path(__file__).parent.glob("*/*/*/input.yaml"))
"""Folders of all cases."""


def read_case_file(path: Path) -> Any:
    # The base loader keeps every scalar as text: no float, date or boolean interferes.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds plain text only


def _as_text(connection: duckdb.DuckDBPyConnection, value: str, data_type: str) -> str | None:
    """A value as DuckDB writes it in a column's type: a balance of `12.5` becomes `12.500000000`."""
    if value in ("null", "<any>"):
        return None if value == "null" else value
    assert "DECIMAL" not in data_type or len(value.partition(".")[2]) <= 9, f"{value} would be rounded"
    return connection.execute(f"SELECT CAST(CAST(? AS {data_type}) AS VARCHAR)", [value]).fetchall()[0][0]


def table_of(case: Path) -> str:
    """Full name of the table that a case is about."""
    return ".".join(case.parts[-3:-1])


def run_case(case: Path, workshop: Workshop, *, without: str | None = None) -> list[tuple[str | None, ...]]:
    """Make the table of a case; returns its rows as text, in the columns of `compared_columns`.

    `without` is a condition on `{account}`, such as `{account} = 'main'`: accounts that are removed from all inputs.
    """
    name, connection = table_of(case), workshop.connection
    inputs = read_case_file(case / "input.yaml")
    for source, rows in inputs.items():
        insert(connection, source, rows or [])
    if name not in _UPSTREAM:
        fill_in(connection)
    if without is not None:
        for source in inputs:
            for account in _ACCOUNTS & types(connection, source).keys():
                connection.execute(f"DELETE FROM {source} WHERE {without.format(account=account)}")
    # Conventions take two steps: the evidence of balances by month, and its conclusion.
    steps = _STEPS.get(name, [name]) if not name.startswith("staging.") else []
    if "staging.evidence" not in inputs:
        summarize(connection)
    for step in steps:
        with workshop.warehouse.transaction():
            recompute.recompute(connection, discovery.discover()[step])
    casts = ", ".join(f"CAST({column} AS VARCHAR)" for column in compared_columns(case, connection))
    return connection.sql(f"SELECT {casts} FROM {name}").fetchall()


def compared_columns(case: Path, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns that `expected.yaml` names, or all if it has no row."""
    columns = types(connection, table_of(case))
    expected = read_case_file(case / "expected.yaml") or []
    wanted = list(dict.fromkeys(column for row in expected for column in row)) or list(columns)
    assert set(wanted) <= columns.keys(), f"{table_of(case)} has no column {set(wanted) - columns.keys()}"
    return wanted


def expected_rows(case: Path, connection: duckdb.DuckDBPyConnection) -> list[tuple[str | None, ...]]:
    """Rows of `expected.yaml` as text, in the columns of `compared_columns`."""
    columns = types(connection, table_of(case))
    wanted = compared_columns(case, connection)
    return [
        tuple(_as_text(connection, row.get(column, "null"), columns[column]) for column in wanted)
        for short in read_case_file(case / "expected.yaml") or []
        for row in expand(short)
    ]
