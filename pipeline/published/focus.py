"""FOCUS exports: the two tables of charges as files for FinOps tools.

`marts.focus_cost_and_usage` and `marts.focus_cost_and_usage_estimated` of a published build become a folder each: a CSV
and a Parquet file for each billing period, with the specification's column names. The second table contains the rows of
the first, so never add them up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb

from pipeline.published.build_files import (
    BuildFiles,
    copy_rows,
    files_of_build,
    reader_of_build,
    run_all,
)
from pipeline.schema.columns import Type
from pipeline.schema.tables import ALL, Table
from pipeline.support.home import Home
from pipeline.support.printable import printable
from pipeline.support.tabular import FORMULA_STARTS

if TYPE_CHECKING:
    import polars as pl

TABLES: Final = tuple(ALL[f"marts.{name}"] for name in ("focus_cost_and_usage", "focus_cost_and_usage_estimated"))
"""Exported tables."""

# FOCUS has instants in whole seconds, so the bounds of an estimated interval are truncated; Parquet keeps them.
_INSTANT: Final = "%Y-%m-%dT%H:%M:%SZ"
_STARTS: Final = "".join(rf"\x{{{ord(start):x}}}" for start in FORMULA_STARTS)
_IS_ODD: Final = f"[^ -~]|^[{_STARTS}]"
_ROWS_AT_ONCE: Final = 50_000
"""Rows of a CSV that are in memory."""


def publish_focus(build: Path, home: Home) -> BuildFiles | None:
    """Write `published/focus/<table>/<billing period>.csv` and `.parquet` of a published build.

    A period without charges has no file. Returns None if they were there already. Raises duckdb.Error or OSError;
    readers then keep the previous files.
    """
    with files_of_build(build, home.focus) as files:
        if files is None:
            return None
        with reader_of_build(build) as connection:
            run_all(connection, list(_unwritten(connection, files, build.parent / home.parquet.name)))
    return files


def _unwritten(
    connection: duckdb.DuckDBPyConnection, files: BuildFiles, tables: Path
) -> Iterator[Callable[[duckdb.DuckDBPyConnection], None]]:
    """The work for each billing period with a file that does not exist yet; `tables` may have its Parquet file."""
    for table in TABLES:
        for period, where in files.months_of(connection, table, Path(table.name)):
            parquet = Path(table.name) / f"{period}.parquet"
            is_there = files.reuse(table, parquet, period) or files.share(
                parquet, tables / f"{table.full_name}.parquet" / parquet.name
            )
            rows = files.folder / parquet if is_there else files.new(parquet)
            csv = parquet.with_suffix(".csv")
            text = None if files.reuse(table, csv, period) else files.new(csv)
            if not is_there or text:
                yield partial(_write, table=table, where=None if is_there else where, parquet=rows, csv=text)


def _write(
    connection: duckdb.DuckDBPyConnection, *, table: Table, where: str | None, parquet: Path, csv: Path | None
) -> None:
    """Write the Parquet file of the rows `where`, unless that is None, and then its rows to `csv`, unless that is."""
    if where is not None:
        copy_rows(connection, table, where, parquet)
    if csv is not None:
        _write_csv(table, parquet, csv)


def _write_csv(table: Table, parquet: Path, csv: Path) -> None:
    """Write the rows of a Parquet file, which are in order, as CSV: polars takes half the CPU time of DuckDB."""
    import polars as pl

    texts = [each.name for each in table.columns if each.column.type is Type.TEXT]
    rows = pl.scan_parquet(parquet, glob=False)
    count = rows.select(pl.len()).collect().item()
    with csv.open("wb") as file:
        for start in range(0, max(count, 1), _ROWS_AT_ONCE):
            part = rows.slice(start, _ROWS_AT_ONCE).collect()
            # There are few different texts, and nearly always none is odd.
            found = part.select(pl.col(texts).unique().str.contains(_IS_ODD).any()).row(0, named=True)
            safe = [_safe(part[name]) for name, is_odd in found.items() if is_odd]
            part.with_columns(safe).write_csv(file, include_header=not start, datetime_format=_INSTANT)


def _safe(texts: pl.Series) -> pl.Series:
    """Texts as spreadsheets and terminals can show them."""
    different = texts.unique()
    odd = different.filter(different.str.contains(_IS_ODD).fill_null(False)).to_list()
    return texts.replace(odd, [_shown(text) for text in odd])


def _shown(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if shown.startswith(FORMULA_STARTS) else shown
