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

import pytest

from pipeline.models import discovery
from tests.sql.case_files import CASES, compared_columns, expected_rows, read_case_file, run_case, table_of
from tests.staging.landed import Workshop


@pytest.mark.parametrize("case", CASES, ids=lambda case: "/".join(case.parts[-3:]))
def test_the_rows_are_as_expected(case: Path, workshop: Workshop) -> None:
    found = run_case(case, workshop)
    texts = expected_rows(case, workshop.connection)
    found = [next((text for text in texts if _is_like(row, text)), row) for row in found]
    columns = compared_columns(case, workshop.connection)
    assert _by_row(found) == _by_row(texts), f"{table_of(case)} ({', '.join(columns)})"


def _is_like(row: tuple[str | None, ...], text: tuple[str | None, ...]) -> bool:
    """Equal, except where `<any>` is expected."""
    pairs = list(zip(row, text, strict=True))
    return ("<any>" in text) and all(one == other or (other == "<any>" and one is not None) for one, other in pairs)


def _by_row(rows: list[tuple[str | None, ...]]) -> list[str]:
    # One line for each row, so that differences are easy to see.
    return sorted(" | ".join("NULL" if value is None else value for value in row) for row in rows)


def test_every_column_is_expected_somewhere() -> None:
    expected: dict[str, set[str]] = {}
    for case in CASES:
        rows = read_case_file(case / "expected.yaml") or []
        expected.setdefault(table_of(case), set()).update(column for row in rows for column in row)
    unnamed = {
        f"{name}.{column}"
        for name, model in discovery.discover().items()
        if name in expected
        for column in model.table.column_names
        if column not in expected[name]
    }
    assert not unnamed, "name each in an expected.yaml of its table"


def test_every_model_has_a_case() -> None:
    covered = {table_of(case) for case in CASES}
    # The dictionary has one input, the database itself: tests/schema compares it with the definitions.
    assert set(discovery.discover()) - covered == {"marts.data_dictionary"}
