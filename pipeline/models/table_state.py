"""What the checks of a table that Python makes find, in a form that can be added up over shards of accounts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.models.checks import Warned, warned
from pipeline.schema.render import duplicate_keys
from pipeline.schema.tables import Table

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """Findings of a table's checks."""

    duplicate_keys: int = 0
    """Keys that occur more than once."""
    warned: Warned = field(default_factory=dict)


def table_state(connection: duckdb.DuckDBPyConnection, table: Table) -> TableState:
    """Run the checks of a table."""
    [(duplicates,)] = connection.sql(duplicate_keys(table)).fetchall()
    return TableState(duplicate_keys=int(duplicates), warned=warned(connection, table))
