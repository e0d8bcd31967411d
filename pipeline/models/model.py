"""One SQL model: the SELECT of a table, its checks, and what both read."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.checks import Check
from pipeline.schema.tables import Table


@dataclass(frozen=True, slots=True)
class Model:
    """One table made by SQL."""

    table: Table
    sql: str
    path: str
    """`sql/<layer>/<table>/model.sql`."""
    reads: tuple[str, ...]
    """Full names of the tables and views that the SELECT names, in alphabetical order."""
    checks: tuple[Check, ...]
    """Those of `checks.sql` beside the model, if any."""

    @property
    def blocking_checks(self) -> tuple[Check, ...]:
        """The checks that keep rows from being published."""
        return tuple(each for each in self.checks if each.is_blocking)

    @property
    def check_reads(self) -> tuple[str, ...]:
        """Full names of what the blocking checks read besides the table itself: they can only run after those."""
        names = {name for check in self.blocking_checks for name in check.reads}
        return tuple(sorted(names - {self.table.full_name}))

    def create_view(self) -> str:
        """`CREATE VIEW`, for a model that is one: its columns have the types of their definitions."""
        columns = ", ".join(f"CAST({each.name} AS {each.column.type}) AS {each.name}" for each in self.table.columns)
        return f"CREATE OR REPLACE VIEW {self.table.full_name} AS\nSELECT {columns} FROM (\n{self.select}\n)"

    @property
    def select(self) -> str:
        """The SELECT, without what ends a statement."""
        return self.sql.strip().rstrip(";")
