"""FOCUS exports: the two tables of charges as files for FinOps tools.

`marts.focus_cost_and_usage` and `marts.focus_cost_and_usage_estimated` of a published build become a CSV and a Parquet
file each, with the specification's column names. The second table contains the rows of the first, so never add them up.
"""

from __future__ import annotations

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
_INSTANT = "'%Y-%m-%dT%H:%M:%SZ'"
# A Python function costs more than the copy, so it is called only where it may change something.
_SHOWN = "(CASE WHEN regexp_full_match({0}, '[ -~]*') THEN {0} ELSE printable({0}) END)"
_FORMULAS = ", ".join(map(quoted, FORMULA_STARTS))


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
            for suffix, select, options in (
                ("csv", _as_text(table), "FORMAT csv, HEADER"),
                ("parquet", f"SELECT * FROM {table.full_name}", "FORMAT parquet, COMPRESSION zstd"),
            ):
                path = folder / f"{table.name}.{suffix}"
                order = 'ORDER BY "x_AccountId", "ChargePeriodStart", "x_ChargeId"'
                with atomic_file(path) as temporary:
                    connection.execute(f"COPY ({select} {order}) TO {quoted(str(temporary))} ({options})")
                written.append(path)
    return written


def _as_text(table: Table) -> str:
    """SELECT of a table with instants in FOCUS format, and text made safe for spreadsheets and terminals."""
    written = {
        Type.INSTANT: f"strftime({{0}} AT TIME ZONE 'UTC', {_INSTANT}) AS {{0}}",
        Type.TEXT: f"CASE WHEN left({_SHOWN}, 1) IN ({_FORMULAS}) THEN '''' || {_SHOWN} ELSE {_SHOWN} END AS {{0}}",
    }
    columns = (written.get(each.column.type, "{0}").format(each.name) for each in table.columns)
    return f"SELECT {', '.join(columns)} FROM {table.full_name}"
