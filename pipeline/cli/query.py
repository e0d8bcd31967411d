"""`drawdown sql`: one statement over the published tables."""

from __future__ import annotations

import sys
from typing import Final

import duckdb

from pipeline.cli import terminal
from pipeline.support.error_words import in_words
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from pipeline.warehouse.reader import open_reader

_NOT_READING: Final = ("attached in read-only mode", "the configuration has been locked", "LocalFileSystem disabled")
"""DuckDB's messages for a statement that does more than read."""


def show(home: Home, query: str, output_format: str) -> None:
    """Run a statement and print its rows as table, csv, json or parquet.

    Raises UsageError for an unusable request, DrawdownError with DuckDB's message for a statement that it refuses.
    """
    if output_format not in ("table", "csv", "json", "parquet"):
        raise UsageError(f"--format {output_format}: known formats are table, csv, json, parquet")
    if output_format == "parquet" and sys.stdout.isatty():
        raise UsageError(
            "--format parquet writes binary; redirect it to a file: drawdown sql ... --format parquet > x.parquet"
        )
    try:
        with open_reader(home.current) as connection:
            statements = connection.extract_statements(query)
            if not statements:
                raise UsageError('there is no statement to run; try: drawdown sql "from marts.account_status"')
            if output_format == "parquet":
                if duckdb.ExpectedResultType.QUERY_RESULT not in statements[-1].expected_result_type:
                    raise UsageError("--format parquet needs a statement that returns rows, such as a SELECT")
                terminal.write_parquet(connection.sql(query), sys.stdout.buffer)
                return
            result = connection.execute(query)
            names = [column[0] for column in result.description or []]
            rows = result.fetchall()
    except duckdb.Error as problem:
        raise _refusal(home, problem) from None
    write = {"table": terminal.show_rows, "csv": terminal.write_csv, "json": terminal.write_json}[output_format]
    write(names, rows)
    if output_format == "table":
        print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", file=sys.stderr)


def _refusal(home: Home, problem: duckdb.Error) -> DrawdownError:
    """DuckDB's message; lines after the first are indented, because they may quote values of the tables."""
    if words := in_words(problem):
        return DrawdownError(words)
    said, *more = str(problem).strip().split("\n")
    refusal = DrawdownError(said)
    for line in more:
        refusal.add_note(f"  {line}" if line.strip() else "")
    if hint := _hint(home, problem):
        refusal.add_note(hint)
    return refusal


def _hint(home: Home, problem: Exception) -> str:
    """Hint for an error: where to find the names, or what the command is for."""
    if isinstance(problem, duckdb.PermissionException) or any(each in str(problem) for each in _NOT_READING):
        return (
            "`drawdown sql` reads the published tables and nothing else; for files, settings and tables of your own, "
            f"open {home.current.resolve()} in DuckDB with read_only"
        )

    if isinstance(problem, duckdb.CatalogException):
        return "`drawdown dictionary` lists the tables"
    if isinstance(problem, duckdb.BinderException):
        return "`drawdown dictionary TABLE` lists a table's columns"
    return ""
