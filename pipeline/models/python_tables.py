"""Dagster assets for the tables of a layer that Python makes, with their checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import duckdb

from pipeline.models.asset_checks import check_specs, unique_keys, unique_keys_spec, warnings
from pipeline.models.asset_metadata import table_metadata
from pipeline.models.table_state import TableState, table_state
from pipeline.schema.tables import Table
from pipeline.support.dagster_steps import OWNERS, asset_key


def table_specs(tables: Iterable[Table], reads: Iterable[str]) -> list[dg.AssetSpec]:
    """One asset for each table, all depending on `reads`, full names of tables."""
    deps = [asset_key(name) for name in reads]
    return [
        dg.AssetSpec(
            asset_key(table.full_name),
            deps=deps,
            group_name=table.layer,
            description=table.doc,
            kinds={"python", "duckdb"},
            owners=OWNERS,
        )
        for table in tables
    ]


def table_check_specs(tables: Iterable[Table]) -> list[dg.AssetCheckSpec]:
    """Checks of each table: unique keys, and its `checks.sql`."""
    return [spec for table in tables for spec in (unique_keys_spec(table), *check_specs(table))]


def materialized(
    context: dg.AssetExecutionContext,
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    metadata: Mapping[str, Any] | None = None,
    state: TableState | None = None,
) -> dg.MaterializeResult[None]:
    """Result of a table: its columns and rows, further `metadata`, and the results of its checks.

    `state` is what these find; None to run them.
    """
    state = table_state(connection, table) if state is None else state
    return dg.MaterializeResult(
        asset_key=asset_key(table.full_name),
        metadata={**table_metadata(context, connection, table.full_name), **(metadata or {})},
        check_results=[unique_keys(table, state.duplicate_keys), *warnings(table, state.warned)],
    )
