"""Builds to load into PostgreSQL, and warehouses to publish from."""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipeline.schema.render import create_table
from pipeline.schema.tables import ALL


def build(link: Path, number: int, *statements: str, rows: int = 3) -> Path:
    """A made-up build of two tables that both contain its number."""
    path = link.with_name(f"{number:016x}.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema in ("core", "marts"):
            connection.execute(f"CREATE SCHEMA {schema}")
            connection.execute(
                f"CREATE TABLE {schema}.made AS SELECT {number}::BIGINT AS build_number, range AS row_number FROM range({rows})"
            )
        for statement in statements:
            connection.execute(statement)
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    return link


def note_taking(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables that publishing reads in addition to those that it copies."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS staging")
    for name in ("quarantine", "published_build", "unpublished_months"):
        connection.execute(create_table(ALL[f"staging.{name}"]))
