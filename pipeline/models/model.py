"""One SQL model: the SELECT of a table, its checks, and the inputs of both."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.checks import Check
from pipeline.schema.tables import Table


@dataclass(frozen=True, slots=True)
class Model:
    """A table made by SQL."""

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
        """Checks that keep rows from being published."""
        return tuple(each for each in self.checks if each.is_blocking)

    @property
    def check_reads(self) -> tuple[str, ...]:
        """Inputs of the blocking checks other than the table itself: the checks can only run after those."""
        names = {name for check in self.blocking_checks for name in check.reads}
        return tuple(sorted(names - {self.table.full_name}))

    def create_view(self) -> str:
        """Return `CREATE VIEW` for a model that is a view: its columns have the types of their definitions."""
        columns = ", ".join(f"CAST({each.name} AS {each.column.type}) AS {each.name}" for each in self.table.columns)
        return f"CREATE OR REPLACE VIEW {self.table.full_name} AS\nSELECT {columns} FROM (\n{self.select}\n)"

    @property
    def select(self) -> str:
        """Return the SELECT without a trailing semicolon."""
        return self.sql.strip().rstrip(";")
