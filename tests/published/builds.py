"""Builds to load into PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import duckdb


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
