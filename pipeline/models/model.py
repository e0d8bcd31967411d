"""One SQL model: the SELECT of a table, its checks, and what both read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pipeline.schema.tables import CHECKS_FILE, MODEL_FILE, Table
from pipeline.support.errors import DrawdownError


@dataclass(frozen=True, slots=True)
class Model:
    """One table made by SQL."""

    table: Table
    sql: str
    path: str
    """`sql/<layer>/<table>/model.sql`."""
    reads: tuple[str, ...]
    """Full names of the tables and views that the SELECT names, in alphabetical order."""
    check: str | None
    """`checks.sql` beside the model, if any: a SELECT of account_id and rule, a row for each rule that an
    account breaks. It holds the table to what it was not made from."""

    @property
    def check_reads(self) -> tuple[str, ...]:
        """Full names of what the check reads besides the table itself: it can only run after those."""
        if self.check is None:
            return ()
        names = reads_of(self.check, self.path.replace(MODEL_FILE, CHECKS_FILE))
        return tuple(name for name in names if name != self.table.full_name)

    def create_view(self) -> str:
        """`CREATE VIEW`, for a model that is one: its columns have the types of their definitions."""
        columns = ", ".join(f"CAST({each.name} AS {each.column.type}) AS {each.name}" for each in self.table.columns)
        return f"CREATE OR REPLACE VIEW {self.table.full_name} AS\nSELECT {columns} FROM (\n{self.select}\n)"

    @property
    def select(self) -> str:
        """The SELECT, without what ends a statement."""
        return self.sql.strip().rstrip(";")


@cache
def reads_of(sql: str, where: str) -> tuple[str, ...]:
    """The tables that a SELECT reads, CTEs and table functions aside.

    Raises DrawdownError where the text is not one SELECT, or names a table without its schema.
    """
    import sqlglot
    from sqlglot import exp

    try:
        statements = sqlglot.parse(sql, read="duckdb")
    except sqlglot.ParseError as problem:
        raise DrawdownError(f"{where} cannot be parsed: {problem}") from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise DrawdownError(f"{where} must be one SELECT")
    ctes = {cte.alias for cte in statements[0].find_all(exp.CTE)}
    names = set()
    for table in statements[0].find_all(exp.Table):
        if isinstance(table.this, exp.Func) or (not table.db and table.name in ctes):
            continue
        if not table.db:
            raise DrawdownError(f"{where} names {table.name} without its schema")
        names.add(f"{table.db}.{table.name}")
    return tuple(sorted(names))
