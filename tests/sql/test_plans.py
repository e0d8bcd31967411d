"""The cost of a model grows with its accounts and not with their square: no plan compares two such tables row by row.

DuckDB joins by hash if a column of one side equals one of the other. A condition of an outer join on one side alone, or
an OR across both sides, makes it compare every row with every other instead, which the plan shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import duckdb
import pytest

from pipeline.models.discovery import discover
from pipeline.models.model import Model
from pipeline.schema.columns import Type
from pipeline.schema.render import quoted
from pipeline.schema.tables import ALL, RECORDS, TableColumn
from tests.sql.rows import insert
from tests.staging.landed import Workshop

_ACCOUNTS: Final = 12
"""More rows than DuckDB takes for few."""
_ROW_BY_ROW: Final = {"NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN", "CROSS_PRODUCT"}
_PER_ACCOUNT: Final = {"account_id", "former_account_id", "fetch_id", "x_AccountId"}
"""A table with one of these columns has rows of each account."""


def _grows_by_name() -> dict[str, bool]:
    tables = {**ALL, **{record.full_name: record for record in RECORDS.values()}}
    # A table without a key has one row.
    return {name: bool(table.key) and not _PER_ACCOUNT.isdisjoint(table.column_names) for name, table in tables.items()}


class _Plan:
    """A physical plan, and which of its operators give more rows where there are more accounts."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._tables = _grows_by_name()
        self._ctes: dict[str, bool] = {}
        self._outer: list[bool] = []

    def row_by_row(self) -> list[str]:
        """The joins of two growing sides that compare every row with every other, with their conditions."""
        self._found: list[str] = []
        self._grows(self._root)
        return self._found

    def _grows(self, node: Mapping[str, Any]) -> bool:
        name, info, children = node["name"].strip(), node["extra_info"], node["children"]
        if "CTE" in name and "SCAN" not in name:
            # What is defined comes first, then what reads it; a recursive one reads itself.
            index = str(info["Table Index"])
            self._ctes[index] = True
            self._ctes[index] = self._grows(children[0])
            return self._grows(children[1])
        if name.endswith("DELIM_JOIN"):
            # The inner side reads the values of the outer one by a scan.
            outer = self._grows(children[0])
            self._outer.append(outer)
            inner = [self._grows(each) for each in children[1:]]
            self._outer.pop()
            return outer or any(inner)
        grown = [self._grows(each) for each in children]
        if name in _ROW_BY_ROW and all(grown):
            self._found.append(f"{name} {info.get('Join Type', '')} {info.get('Conditions', '')}".strip())
        if name in ("UNGROUPED_AGGREGATE", "DUMMY_SCAN", "EMPTY_RESULT"):
            return False
        if "DELIM_SCAN" in name:
            return self._outer[-1]
        if "CTE" in name:
            return self._ctes[str(info["CTE Index"])]
        if "Table" in info:
            return self._tables[".".join(info["Table"].split(".")[-2:])]
        return any(grown)


def _planned(connection: duckdb.DuckDBPyConnection, select: str) -> Mapping[str, Any]:
    ((_, text),) = connection.execute(f"EXPLAIN (FORMAT JSON) {select}").fetchall()
    (root,) = json.loads(text)
    return root  # type: ignore[no-any-return]


_ANY: Final = {
    Type.TEXT: "'x'",
    Type.BOOLEAN: "true",
    Type.INTEGER: "1",
    Type.DATE: "DATE '2026-03-18'",
    Type.INSTANT: "TIMESTAMPTZ '2026-03-18 12:00:00+00'",
    Type.MONEY: "1",
    Type.RATE: "1",
    Type.NUMBER: "1",
}


def _value(column: TableColumn) -> str:
    if column.name in _PER_ACCOUNT:
        return "printf('%016x', number)"
    return quoted(column.column.allowed[0]) if column.column.allowed else _ANY[column.column.type]


def _fill(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Rows for what a model reads: of each account one, and one in tables that hold no accounts."""
    for name in model.reads:
        table = ALL.get(name) or RECORDS.get(name.removeprefix("staging."))
        if table is None:
            continue
        # A view becomes a table.
        insert(connection, name, [])
        values = {column.name: _value(column) for column in table.columns if not column.is_nullable}
        if name == "staging.dirty_months":
            values |= {"table_name": quoted(model.table.full_name), "dirty_month": "DATE '2026-03-01'"}
        count = _ACCOUNTS if table.key and not _PER_ACCOUNT.isdisjoint(values) else 1
        connection.execute(
            f"INSERT INTO {name} ({', '.join(values)}) SELECT {', '.join(values.values())} FROM range({count}) AS _(number)"
        )


@pytest.mark.parametrize("name", sorted(discover()))
def test_no_two_tables_of_accounts_are_compared_row_by_row(name: str, workshop: Workshop) -> None:
    model = discover()[name]
    _fill(workshop.connection, model)
    assert _Plan(_planned(workshop.connection, model.select)).row_by_row() == []


def _joins() -> Iterator[tuple[str, bool]]:
    left = (
        "select * from core.accounts as one left join core.account_units as other on one.account_id = other.account_id"
    )
    yield left, False
    # DuckDB 2 joins these by hash, too.
    is_duckdb_1 = duckdb.__version__.startswith("1.")
    yield f"{left} and one.tax_basis = 'net'", is_duckdb_1
    yield f"{left} and (other.to_at_utc is null or one.tax_basis = 'net')", is_duckdb_1
    yield "select * from core.accounts cross join core.account_units", True
    yield "select * from core.accounts cross join staging.build", False
    yield "select * from core.accounts cross join (select max(account_id) from core.account_units)", False
    yield "with recursive a as materialized (select * from core.accounts) select * from a as b cross join a as c", True


@pytest.mark.parametrize(("select", "is_found"), list(_joins()))
def test_the_plan_shows_which_joins_compare_every_row(select: str, is_found: bool, workshop: Workshop) -> None:
    _fill(
        workshop.connection,
        replace(discover()["core.fx_rates"], reads=("core.accounts", "core.account_units", "staging.build")),
    )
    assert bool(_Plan(_planned(workshop.connection, select)).row_by_row()) is is_found
