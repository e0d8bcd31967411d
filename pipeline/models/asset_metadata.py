"""Metadata of a table for Dagster: its row count, its columns as the database has them, and the lineage of each."""

from __future__ import annotations

from typing import Any

import dagster as dg
import duckdb

from pipeline.models.discovery import discover
from pipeline.models.lineage import recorded_sources
from pipeline.support.dagster_steps import asset_key


def table_metadata(
    context: dg.AssetExecutionContext, connection: duckdb.DuckDBPyConnection, full_name: str
) -> dict[str, Any]:
    """Row count and column schema of a table or view, as the database reports them.

    Empty where Dagster does not keep the run's events, because nobody could read it.
    """
    if not context.instance.is_persistent:
        return {}
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
        **_column_lineage(connection, full_name),
    }


def _column_lineage(connection: duckdb.DuckDBPyConnection, full_name: str) -> dict[str, dg.TableColumnLineage]:
    """Source columns of each column, for Dagster; empty if no SELECT makes the table."""
    if full_name not in discover():
        return {}
    deps = {}
    for column, sources in recorded_sources(connection, full_name).items():
        parts = [source.rsplit(".", 1) for source in sources]
        deps[column] = [dg.TableColumnDep(asset_key=asset_key(table), column_name=name) for table, name in parts]
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}
