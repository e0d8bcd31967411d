"""SQL models, rows in and rows out: each folder `<layer>/<table>/<case>/` is one test.

`input.yaml` names tables and their rows, `expected.yaml` the rows that the model then makes. Both only contain the
columns that a case concerns:

- a column that a row leaves out is NULL, or if it must not be, its default (`rows.py`);
- `2026-02-01..2026-02-28` makes one row for every day;
- unless given, core.account_units and core.ledger_periods agree with core.accounts for all times;
- an input that is a view in the warehouse becomes a table with the view's columns, so that a case can state the
  evidence without its answers;
- rows are compared on the columns that `expected.yaml` names, as text, in any order; `<any>` is anything but NULL.

`test_every_column_is_expected_somewhere` requires the cases of a table to name all of its columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
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

_CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/*/*/input.yaml"))


def _read(path: Path) -> Any:
    # The base loader keeps every scalar as text: no float, date or boolean interferes.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds plain text only


def _as_text(connection: duckdb.DuckDBPyConnection, value: str, data_type: str) -> str | None:
    """A value as DuckDB writes it in a column's type: a balance of `12.5` becomes `12.500000000`."""
    if value in ("null", "<any>"):
        return None if value == "null" else value
    assert "DECIMAL" not in data_type or len(value.partition(".")[2]) <= 9, f"{value} would be rounded"
    return connection.execute(f"SELECT CAST(CAST(? AS {data_type}) AS VARCHAR)", [value]).fetchall()[0][0]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: "/".join(case.parts[-3:]))
def test_the_rows_are_as_expected(case: Path, workshop: Workshop) -> None:
    layer, table = case.parts[-3:-1]
    name = f"{layer}.{table}"
    connection = workshop.connection
    inputs = _read(case / "input.yaml")
    for source, rows in inputs.items():
        insert(connection, source, rows or [])
    if name not in _UPSTREAM:
        fill_in(connection)
    # Conventions take two steps: the evidence of balances by month, and its conclusion.
    steps = _STEPS.get(name, [name]) if layer != "staging" else []
    if "staging.evidence" not in inputs:
        summarize(connection)
    for step in steps:
        with workshop.warehouse.transaction():
            recompute.recompute(connection, discovery.discover()[step])
    expected = _read(case / "expected.yaml") or []
    columns = types(connection, name)
    wanted = list(dict.fromkeys(column for row in expected for column in row)) or list(columns)
    assert set(wanted) <= columns.keys(), f"{name} has no column {set(wanted) - columns.keys()}"
    expanded = [each for row in expected for each in expand(row)]
    texts = [
        tuple(_as_text(connection, row.get(column, "null"), columns[column]) for column in wanted) for row in expanded
    ]
    casts = ", ".join(f"CAST({column} AS VARCHAR)" for column in wanted)
    found = connection.sql(f"SELECT {casts} FROM {name}").fetchall()
    found = [next((text for text in texts if _is_like(row, text)), row) for row in found]
    assert _by_row(found) == _by_row(texts), f"{name} ({', '.join(wanted)})"


def _is_like(row: tuple[str | None, ...], text: tuple[str | None, ...]) -> bool:
    """Equal, except where `<any>` is expected."""
    pairs = list(zip(row, text, strict=True))
    return ("<any>" in text) and all(one == other or (other == "<any>" and one is not None) for one, other in pairs)


def _by_row(rows: list[tuple[str | None, ...]]) -> list[str]:
    # One line for each row, so that differences are easy to see.
    return sorted(" | ".join("NULL" if value is None else value for value in row) for row in rows)


def test_every_column_is_expected_somewhere() -> None:
    expected: dict[str, set[str]] = {}
    for case in _CASES:
        rows = _read(case / "expected.yaml") or []
        expected.setdefault(".".join(case.parts[-3:-1]), set()).update(column for row in rows for column in row)
    unnamed = {
        f"{name}.{column}"
        for name, model in discovery.discover().items()
        if name in expected
        for column in model.table.column_names
        if column not in expected[name]
    }
    assert not unnamed, "name each in an expected.yaml of its table"


def test_every_model_has_a_case() -> None:
    covered = {".".join(case.parts[-3:-1]) for case in _CASES}
    # The dictionary has one input, the database itself: tests/schema compares it with the definitions.
    assert set(discovery.discover()) - covered == {"marts.data_dictionary"}
