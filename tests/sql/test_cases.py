"""SQL models, rows in and rows out: each folder `<layer>/<table>/<case>/` is one test.

`input.yaml` names tables and their rows, `expected.yaml` the rows that the model then makes. Only the columns that a
case is about stand in either:

- a column that a row leaves out is NULL, or where it must not be, the value in `_DEFAULTS`;
- `2026-02-01..2026-02-28` makes the row one of every day;
- an input that is a view in the warehouse becomes a table with the view's columns, so that a case can say what the
  evidence is without the answers that it follows from;
- rows are compared whole on the columns that `expected.yaml` names, as text, in any order; `<any>` is anything but
  NULL. `test_every_column_is_expected_somewhere` holds the cases of a table to naming all of its columns.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from pipeline import models
from pipeline.schema.tables import ALL, RECORDS
from tests.staging.landed import Workshop

_CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/*/*/input.yaml"))

_DEFAULTS = {
    "account_id": "main",
    "vendor": "vpsbg",
    "endpoint": "balance",
    "run_id": "run-1",
    "version_id": "0.0.0",
    "page_number": "1",
    "observed_at_utc": "2026-03-18T12:00:00Z",
    "fetched_at_utc": "2026-03-18T12:00:00Z",
    "started_at_utc": "2026-03-18T12:00:00Z",
    "loaded_at_utc": "2026-03-18T12:00:01Z",
    "as_of_utc": "2026-03-18T12:00:00Z",
    "effective_at_utc": "2026-03-01T00:00:00Z",
    "unit_code": "EUR",
    "reporting_unit_code": "EUR",
    "tax_basis": "gross",
    "evidence_level": "ledger",
    "basis": "ledger",
    "tags": "{}",
    "outcome": "ok",
    "attempt_count": "1",
    "elapsed_seconds": "0.1",
    "entry_kind": "usage",
    "entry_status": "settled",
    "reading_state": "fresh",
    "table_name": "core.spend_daily",
    "record_kind": "balances",
    "received_rows": "1",
    "accepted_rows": "1",
    "rejected_rows": "0",
    "is_configured": "true",
    "is_complete": "true",
    "is_reading": "true",
    "is_partial": "false",
    "is_lower_bound": "false",
    "is_spread": "false",
}
# Defaults that a column gets although it may be NULL.
_EVEN_IF_NULLABLE = {"staging.balances": {"unit_code"}, "staging.ledger_entries": {"unit_code"}}


def _read(path: Path) -> Any:
    # The base loader keeps every scalar the text that it is: no float, no date, no boolean comes between.
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds plain text only


def _types(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.sql(f"DESCRIBE {table}").fetchall()}


def _expand(row: dict[str, str]) -> list[dict[str, str]]:
    ranged = {name: value.split("..") for name, value in row.items() if ".." in value}
    if not ranged:
        return [row]
    ((name, (first, last)),) = ranged.items()
    days = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    return [row | {name: str(date.fromisoformat(first) + timedelta(days=day))} for day in range(days)]


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, str]]) -> None:
    columns = _types(connection, table)
    if connection.sql(f"SELECT 1 FROM duckdb_views() WHERE schema_name || '.' || view_name = '{table}'").fetchall():
        connection.execute(f"CREATE TEMP TABLE shape AS SELECT * FROM {table} LIMIT 0")
        connection.execute(f"DROP VIEW {table}")
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM shape")
        connection.execute("DROP TABLE shape")
    definition = ALL.get(table) or RECORDS.get(table.removeprefix("staging."))
    # A view such as staging.evidence has no definition; its rows are whole.
    required = {each.name for each in definition.columns if not each.is_nullable} if definition else set(columns)
    numbers = count(1)
    for row in (each for compact in rows for each in _expand(compact)):
        assert row.keys() <= columns.keys(), f"{table} has no column {row.keys() - columns.keys()}"
        number = next(numbers)
        whole = {
            name: default
            for name, default in (_DEFAULTS | {"fetch_id": f"{number:016x}", "row_number": str(number)}).items()
            if name in columns and (name in required or name in _EVEN_IF_NULLABLE.get(table, ()))
        } | row
        given = {name: value for name, value in whole.items() if value != "null"}
        casts = ", ".join(f"CAST(? AS {columns[name]})" for name in given)
        connection.execute(f"INSERT INTO {table} ({', '.join(given)}) SELECT {casts}", list(given.values()))


def _as_text(connection: duckdb.DuckDBPyConnection, value: str, data_type: str) -> str | None:
    """A value as DuckDB writes it in a column's type: `12.5` of a balance becomes `12.500000000`."""
    if value in ("null", "<any>"):
        return None if value == "null" else value
    assert "DECIMAL" not in data_type or len(value.partition(".")[2]) <= 9, f"{value} would be rounded"
    return connection.execute(f"SELECT CAST(CAST(? AS {data_type}) AS VARCHAR)", [value]).fetchall()[0][0]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: "/".join(case.parts[-3:]))
def test_the_rows_are_as_expected(case: Path, workshop: Workshop) -> None:
    layer, table = case.parts[-3:-1]
    name = f"{layer}.{table}"
    connection = workshop.connection
    for source, rows in _read(case / "input.yaml").items():
        _insert(connection, source, rows or [])
    if layer != "staging":
        with workshop.warehouse.transaction():
            models.recompute(connection, models.discover()[name])
    expected = _read(case / "expected.yaml") or []
    types = _types(connection, name)
    wanted = list(dict.fromkeys(column for row in expected for column in row)) or list(types)
    assert set(wanted) <= types.keys(), f"{name} has no column {set(wanted) - types.keys()}"
    expanded = [each for row in expected for each in _expand(row)]
    texts = [
        tuple(_as_text(connection, row.get(column, "null"), types[column]) for column in wanted) for row in expanded
    ]
    casts = ", ".join(f"CAST({column} AS VARCHAR)" for column in wanted)
    found = connection.sql(f"SELECT {casts} FROM {name}").fetchall()
    found = [next((text for text in texts if _is_like(row, text)), row) for row in found]
    assert _by_row(found) == _by_row(texts), f"{name} ({', '.join(wanted)})"


def _is_like(row: tuple[str | None, ...], text: tuple[str | None, ...]) -> bool:
    """The same but where `<any>` was asked for."""
    pairs = list(zip(row, text, strict=True))
    return ("<any>" in text) and all(one == other or (other == "<any>" and one is not None) for one, other in pairs)


def _by_row(rows: list[tuple[str | None, ...]]) -> list[str]:
    # One line a row, so that a difference is read at a glance.
    return sorted(" | ".join("NULL" if value is None else value for value in row) for row in rows)


def test_every_column_is_expected_somewhere() -> None:
    expected: dict[str, set[str]] = {}
    for case in _CASES:
        rows = _read(case / "expected.yaml") or []
        expected.setdefault(".".join(case.parts[-3:-1]), set()).update(column for row in rows for column in row)
    unnamed = {
        f"{name}.{column}"
        for name, model in models.discover().items()
        if name in expected
        for column in model.table.column_names
        if column not in expected[name]
    }
    assert not unnamed


def test_every_model_has_a_case() -> None:
    covered = {".".join(case.parts[-3:-1]) for case in _CASES}
    # The dictionary has one input, the database itself: tests/schema holds it to the definitions.
    assert set(models.discover()) - covered == {"marts.data_dictionary"}
