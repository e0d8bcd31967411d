"""Layout of the warehouse: every schema, table, macro and view, and the version that laid out a file."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

import duckdb

from pipeline import __version__
from pipeline.models.discovery import in_order
from pipeline.models.macros import discover_macros
from pipeline.models.views import record_view
from pipeline.schema.render import comments, create_table
from pipeline.schema.tables import ALL, RECORDS, Table, vendor_table
from pipeline.schema.version import SCHEMA_VERSION
from pipeline.support.errors import DrawdownError
from pipeline.vendors import discover as discover_vendors

LAYERS_IN_DUCKDB: Final = tuple(dict.fromkeys(table.layer for table in ALL.values()))
"""Layers that have tables, in order: each is a schema."""


def prepare(connection: duckdb.DuckDBPyConnection, path: Path) -> str | None:
    """Create every table and view, empty, in a new file.

    Returns the reason why the file must be rebuilt, None if it need not be. Raises DrawdownError for a file that a
    newer version laid out.
    """
    tables, views = layout()
    structure = _structure(tables)
    # Parts that can be replaced at any time, because they contain no rows. A model's view is also part of its SELECT's
    # hash.
    definitions = [*(line for table in tables for line in comments(table)), *views]
    fingerprint, definitions_hash = layout_fingerprint(structure), _digest(definitions)
    found = _layout_of(connection)
    if found is None:
        _execute(connection, [*structure, *definitions])
    else:
        schema_version, version_id, known_fingerprint, known_hash = found
        this = f"{__version__} (schema {SCHEMA_VERSION})"
        if schema_version > SCHEMA_VERSION:
            raise DrawdownError(
                f"{path} was laid out by Drawdown {version_id} (schema {schema_version}), which is newer than this "
                f"one, {this}. Install Drawdown {version_id} or later; or, to go back for good, run `drawdown "
                "rebuild`, which rebuilds the warehouse from landing"
            )
        if schema_version < SCHEMA_VERSION:
            return f"{path} was laid out by Drawdown {version_id} (schema {schema_version}), this is {this}"
        if known_fingerprint != fingerprint:
            return f"{path} was laid out with other definitions or declarations than those of this Drawdown, {this}"
        if known_hash == definitions_hash:
            return None
        _execute(connection, definitions)
    own = (SCHEMA_VERSION, __version__, fingerprint, definitions_hash)
    connection.execute("DELETE FROM staging.layout")
    connection.execute(
        "INSERT INTO staging.layout (schema_version, version_id, fingerprint, definitions_hash) VALUES (?, ?, ?, ?)",
        own,
    )
    return None


def _structure(tables: list[Table]) -> list[str]:
    schemas = [f"CREATE SCHEMA IF NOT EXISTS {layer}" for layer in LAYERS_IN_DUCKDB]
    return [*schemas, *(create_table(table) for table in tables)]


def layout_fingerprint(structure: list[str] | None = None) -> str:
    """Hash of what decides whether a warehouse can be continued: its tables, and the declarations that were read by.

    `structure` are the statements that create the tables, if they are known.
    """
    # The order in which tables are created does not matter.
    # What is loaded was read by the declarations of its time.
    declared = [f"{name} {each.reading_hash}" for name, each in discover_vendors().items() if each.reading_hash]
    return _digest(sorted([*(structure or _structure(layout()[0])), *declared]))


def _digest(statements: list[str]) -> str:
    return sha256("\n".join(statements).encode()).hexdigest()[:16]


def _execute(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    connection.execute("BEGIN TRANSACTION")
    for statement in statements:
        connection.execute(statement)
    connection.execute("COMMIT")


def _layout_of(connection: duckdb.DuckDBPyConnection) -> tuple[int, str, str, str] | None:
    """Schema version, Drawdown's version, fingerprint and hash of a file's layout; None for a new file.

    Values that its version did not record are 0, `unknown` or empty.
    """
    columns = connection.sql(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'staging' AND table_name = 'layout'"
    ).fetchall()
    if not columns:
        is_new = connection.sql("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]
        return None if is_new else (0, "unknown", "", "")
    names = {name for (name,) in columns}
    wanted = ("schema_version", "version_id", "fingerprint", "definitions_hash")
    said = [name if name in names else "NULL" for name in wanted]
    rows = connection.sql(f"SELECT {', '.join(said)} FROM staging.layout LIMIT 1").fetchall()
    schema_version, version_id, fingerprint, definitions = rows[0] if rows else (None, None, None, None)
    return int(schema_version or 0), str(version_id or "unknown"), str(fingerprint or ""), str(definitions or "")


def layout() -> tuple[list[Table], list[str]]:
    """Every table of the warehouse, and the statements that create its macros and views."""
    vendors = discover_vendors()
    tables = [vendor_table(name, kind) for name, vendor in vendors.items() for kind in vendor.kinds]
    views = [record_view(record, vendors) for record in RECORDS.values()]
    views += [macro.statement for macro in discover_macros().values()]
    for model in in_order():
        if model.table.is_view:
            views += [model.create_view(), *comments(model.table, kind="VIEW")]
    return [*(each for each in ALL.values() if not each.is_view), *tables], views
