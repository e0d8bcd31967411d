"""What the layers' assets have in common: keys, column schemas read back from the database, readable failures."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

import dagster as dg
import duckdb

from pipeline.errors import DrawdownError
from pipeline.printable import printable, printable_lines
from pipeline.trouble import in_words

_STEPS = logging.getLogger("pipeline.steps")
"""Says in short what each asset has done; the command line shows it, Dagster keeps the numbers as metadata."""

OWNERS: Final = ["team:drawdown"]

FRESHNESS: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=timedelta(hours=3))
"""Balances are asked for hourly: three hours without are worth a look, a day and more is a failure."""


def asset_key(full_name: str) -> dg.AssetKey:
    """`layer.table` as an asset key."""
    return dg.AssetKey(full_name.split("."))


@contextlib.contextmanager
def clear_failures() -> Iterator[None]:
    """Turn an error that a person is meant to read into a Dagster failure of that one sentence."""
    try:
        yield
    except DrawdownError as problem:
        raise dg.Failure(description=printable(problem), allow_retries=False) from None
    except (duckdb.Error, OSError) as problem:
        if words := in_words(problem):
            raise dg.Failure(description=printable(words), allow_retries=False) from None
        raise


def table_metadata(connection: duckdb.DuckDBPyConnection, full_name: str) -> dict[str, Any]:
    """Row count and column schema of a table or view, as the database itself tells them."""
    layer, name = full_name.split(".")
    columns = connection.execute(
        "SELECT column_name, data_type, comment, is_nullable FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [layer, name],
    ).fetchall()
    rows = connection.sql(f"SELECT count(*) FROM {full_name}").fetchall()[0][0]
    return {
        "dagster/row_count": rows,
        "dagster/relation_identifier": full_name,
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name=column,
                    type=data_type,
                    description=comment,
                    constraints=dg.TableColumnConstraints(nullable=bool(is_nullable)),
                )
                for column, data_type, comment, is_nullable in columns
            ]
        ),
        **_column_lineage(full_name),
    }


def _column_lineage(full_name: str) -> dict[str, dg.TableColumnLineage]:
    """The columns that each column is made of, as Dagster draws them; nothing where no SELECT makes the table."""
    from pipeline.lineage import direct_sources
    from pipeline.models import discover

    if full_name not in discover():
        return {}
    deps = {}
    for column, sources in direct_sources()[full_name].items():
        parts = [source.rsplit(".", 1) for source in sources]
        deps[column] = [dg.TableColumnDep(asset_key=asset_key(table), column_name=name) for table, name in parts]
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}


def described(lines: Iterable[str]) -> str | None:
    """What a check found, a line each, as Dagster and the command line show it; None where it found nothing."""
    return printable_lines(lines) or None


def note(context: dg.AssetExecutionContext, what: str, *, is_warning: bool = False) -> None:
    """Leave a line in the run's log."""
    (context.log.warning if is_warning else context.log.info)(printable(what))


def say(what: str) -> None:
    """Tell whoever watches the run that something is done."""
    _STEPS.info(printable(what))
