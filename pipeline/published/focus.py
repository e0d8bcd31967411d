"""FOCUS exports: the two tables of charges as files for FinOps tools.

`marts.focus_cost_and_usage` and `marts.focus_cost_and_usage_estimated` of a published build become a folder each: a CSV
and a Parquet file for each billing period, with the specification's column names. The second table contains the rows of
the first, so never add them up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb
from duckdb.sqltypes import VARCHAR

from pipeline.published.build_files import BuildFiles, files_of_build, months_of
from pipeline.schema.columns import Type
from pipeline.schema.render import quoted
from pipeline.schema.tables import ALL, Table
from pipeline.support.duckdb_session import set_session
from pipeline.support.home import Home
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


def publish_focus(build: Path, home: Home) -> BuildFiles | None:
    """Write `published/focus/<table>/<billing period>.csv` and `.parquet` of a published build.

    A period without charges has no file. Returns None if they were there already. Raises duckdb.Error or OSError;
    readers then keep the previous files.
    """
    with files_of_build(build, home.focus) as files:
        if files is None:
            return None
        with duckdb.connect(build, read_only=True) as connection:
            set_session(connection)
            connection.create_function("printable", printable, [VARCHAR], VARCHAR)
            for table in TABLES:
                for period, where in months_of(connection, table):
                    parquet = Path(table.name) / f"{period}.parquet"
                    if not files.reuse(table, parquet, period):
                        connection.execute(
                            f"COPY (FROM {table.full_name} WHERE {where} "
                            'ORDER BY "x_AccountId", "ChargePeriodStart", "x_ChargeId") '
                            f"TO {quoted(str(files.new(parquet)))} (FORMAT parquet, COMPRESSION zstd)"
                        )
                    csv = parquet.with_suffix(".csv")
                    if not files.reuse(table, csv, period):
                        # The Parquet file has the rows in order: sorting millions of them costs more than reading it.
                        rows = f"read_parquet({quoted(str(files.folder / parquet))})"
                        columns = ", ".join(_as_text(table, _odd_columns(connection, table, rows)))
                        connection.execute(
                            f"COPY (SELECT {columns} FROM {rows}) TO {quoted(str(files.new(csv)))} (FORMAT csv, HEADER)"
                        )
    return files


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
