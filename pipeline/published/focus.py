"""FOCUS exports: the two tables of charges as files for FinOps tools.

`marts.focus_cost_and_usage` and `marts.focus_cost_and_usage_estimated` of a published build become a CSV and a Parquet
file each, with the specification's column names. The second table contains the rows of the first, so never add them up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb
from duckdb.sqltypes import VARCHAR

from pipeline.schema.columns import Type
from pipeline.schema.render import quoted
from pipeline.schema.tables import ALL, Table
from pipeline.support.duckdb_session import set_session
from pipeline.support.home import Home, atomic_file, private_folder
from pipeline.support.printable import printable
from pipeline.support.tabular import FORMULA_STARTS

TABLES: Final = tuple(ALL[f"marts.{name}"] for name in ("focus_cost_and_usage", "focus_cost_and_usage_estimated"))
"""Exported tables."""

# FOCUS has instants in whole seconds, so the bounds of an estimated interval are truncated; Parquet keeps them.
_INSTANT: Final = "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ') AS {0}"
_FORMULAS: Final = ", ".join(map(quoted, FORMULA_STARTS))
_IS_ODD: Final = f"NOT regexp_full_match({{0}}, '[ -~]*') OR left({{0}}, 1) IN ({_FORMULAS})"
# Called only for the texts that need it: a function in Python costs more than the copy.
_SHOWN: Final = "(CASE WHEN regexp_full_match({0}, '[ -~]*') THEN {0} ELSE printable({0}) END)"
_SAFE: Final = f"CASE WHEN left({_SHOWN}, 1) IN ({_FORMULAS}) THEN '''' || {_SHOWN} ELSE {_SHOWN} END AS {{0}}"


def publish_focus(build: Path, home: Home) -> list[Path]:
    """Write `published/focus/<table>.csv` and `.parquet` of a published build; each file is replaced whole.

    Raises duckdb.Error or OSError; readers then keep the previous files.
    """
    folder = private_folder(home.published / "focus")
    written = []
    with duckdb.connect(build, read_only=True) as connection:
        set_session(connection)
        connection.create_function("printable", printable, [VARCHAR], VARCHAR)
        for table in TABLES:
            order = 'ORDER BY "x_AccountId", "ChargePeriodStart", "x_ChargeId"'
            parquet = folder / f"{table.name}.parquet"
            with atomic_file(parquet) as temporary:
                connection.execute(
                    f"COPY (SELECT * FROM {table.full_name} {order}) TO {quoted(str(temporary))} "
                    "(FORMAT parquet, COMPRESSION zstd)"
                )
            csv = folder / f"{table.name}.csv"
            with atomic_file(csv) as temporary:
                # The Parquet file has the rows in order: sorting millions of them costs more than reading it.
                rows = f"read_parquet({quoted(str(parquet))})"
                columns = ", ".join(_as_text(table, _odd_columns(connection, table, rows)))
                connection.execute(
                    f"COPY (SELECT {columns} FROM {rows}) TO {quoted(str(temporary))} (FORMAT csv, HEADER)"
                )
            written += [csv, parquet]
    return written


def _odd_columns(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> set[str]:
    """Columns with a text that a spreadsheet or terminal would not show as it is.

    There are few different texts, so finding these columns costs less than making every text safe.
    """
    names = [each.name for each in table.columns if each.column.type is Type.TEXT]
    # An empty aggregate is NULL: such a column has no text.
    checks = (f"(SELECT bool_or({_IS_ODD.format(name)}) FROM (SELECT DISTINCT {name} FROM {rows}))" for name in names)
    (found,) = connection.execute(f"SELECT {', '.join(checks)}").fetchall()
    return {name for name, is_odd in zip(names, found, strict=True) if is_odd}


def _as_text(table: Table, odd: set[str]) -> Iterator[str]:
    """Columns of a table with instants in FOCUS format, and the `odd` ones made safe for spreadsheets and terminals."""
    for each in table.columns:
        if each.column.type is Type.INSTANT:
            yield _INSTANT.format(each.name)
        else:
            yield _SAFE.format(each.name) if each.name in odd else each.name
