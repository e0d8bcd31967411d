"""Inputs of a SELECT, found by parsing it."""

from __future__ import annotations

from functools import cache

from pipeline.support.errors import DrawdownError


@cache
def reads_of(sql: str, where: str) -> tuple[str, ...]:
    """Tables that a SELECT reads, without CTEs and table functions.

    Raises DrawdownError if the text is not one SELECT, or names a table without its schema.
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
