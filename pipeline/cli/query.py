"""`drawdown sql`: statements over the published tables."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import duckdb

from pipeline.cli import terminal
from pipeline.support.error_words import in_words
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from pipeline.warehouse.reader import open_reader

if TYPE_CHECKING:
    import pyarrow as pa

_Result = TypeVar("_Result")
_Rows = duckdb.DuckDBPyRelation | duckdb.DuckDBPyConnection
"""What a statement returns; both have the same methods to fetch rows."""

_NOT_READING: Final = ("attached in read-only mode", "the configuration has been locked", "LocalFileSystem disabled")
"""DuckDB's messages for a statement that does more than read."""

_INTERVAL: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\bINTERVAL\b""")
"""The type in a type's text, and quoted names and words, which may contain it."""
_TEXT: Final = {"INTERVAL": "VARCHAR"}


def show(home: Home, text: str, output_format: str, build: Path | None = None) -> None:
    """Run statements and print their rows as table, csv, json or parquet; the last three hold those of one statement.

    `build` is a file to read in place of the newest build. Raises UsageError for an unusable request, and DrawdownError
    with DuckDB's message for a statement that it refuses.
    """
    if output_format not in ("table", "csv", "json", "parquet"):
        raise UsageError(f"--format {output_format}: known formats are table, csv, json, parquet")
    if output_format == "parquet" and sys.stdout.isatty():
        raise UsageError(
            "--format parquet writes binary; redirect it to a file: drawdown sql ... --format parquet > x.parquet"
        )
    try:
        with open_reader(build or home.current) as connection:
            statements = connection.extract_statements(text)
            if not statements:
                raise UsageError('there is no statement to run; try: drawdown sql "from marts.account_status"')
            with_rows = [each for each in statements if _returns_rows(each)]
            if len(with_rows) > 1 and output_format != "table":
                raise UsageError(
                    f"--format {output_format} holds the rows of one statement, and {len(with_rows)} return rows: "
                    "run each by itself"
                )
            if output_format == "parquet" and [each.type for each in with_rows] != [duckdb.StatementType.SELECT]:
                raise UsageError("--format parquet needs a statement that returns rows, such as a SELECT")
            # Nothing is printed before all have succeeded.
            if output_format == "parquet":
                results = [_run(connection, each, _arrow_table) for each in statements]
                for table in filter(None, results):
                    terminal.write_parquet(table, sys.stdout.buffer)
            else:
                results = [_run(connection, each, _names_and_rows) for each in statements]
                _print([each for each in results if each is not None], output_format)
    except duckdb.Error as problem:
        raise _refusal(home, problem) from None


def read_statements(query: str | None, file: str | None) -> str:
    """The text of the statements: `query`, or standard input if that is `-`, or the contents of `file`.

    Raises UsageError for both or none, for a file that cannot be read, and for bytes that are not UTF-8.
    """
    if (query is None) == (file is None):
        raise UsageError("give a statement, or - to read standard input, or --file with a path")
    if query is not None and query != "-":
        return query
    try:
        content = sys.stdin.buffer.read() if file is None else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as problem:
        raise UsageError(f"--file {file}: {problem.strerror or problem}") from None
    except UnicodeDecodeError as problem:
        raise UsageError(
            f"{file or 'standard input'}: byte {problem.start + 1} is not UTF-8; save it as UTF-8"
        ) from None


def _returns_rows(statement: duckdb.Statement) -> bool:
    try:
        # One PIVOT is two statements: a CREATE, which DuckDB would let return rows, too, and a SELECT.
        return statement.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]
    except duckdb.InternalException:
        # DuckDB 1.5 does not know it of UPDATE EXTENSIONS, which is refused when it runs.
        return False


def _run(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, fetch: Callable[[_Rows], _Result]
) -> _Result | None:
    """What `fetch` makes of the rows of a statement; None if it returns none."""
    if not _returns_rows(statement):
        connection.execute(statement)
        return None
    if statement.type == duckdb.StatementType.SELECT:
        return fetch(_with_exact_intervals(connection.sql(statement)))
    return fetch(connection.execute(statement))


def _names_and_rows(found: _Rows) -> tuple[list[str], list[tuple[Any, ...]]]:
    return [column[0] for column in found.description or []], found.fetchall()


def _arrow_table(found: _Rows) -> pa.Table:
    return found.to_arrow_table()


def _print(results: Sequence[tuple[list[str], list[tuple[Any, ...]]]], output_format: str) -> None:
    write = {"table": terminal.show_rows, "csv": terminal.write_csv, "json": terminal.write_json}[output_format]
    for number, (names, rows) in enumerate(results):
        if number:
            print()
        write(names, rows)
        if output_format == "table":
            print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}", file=sys.stderr)


def _with_exact_intervals(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The rows with intervals as DuckDB writes them.

    As Python has them, a month is 30 days and a year 360; and neither Arrow nor Parquet files can hold all of them.
    """
    types = [_INTERVAL.sub(lambda found: _TEXT.get(found[0], found[0]), str(each)) for each in relation.types]
    if types == [str(each) for each in relation.types]:
        return relation
    columns = (
        f"CAST(#{place} AS {kind}) AS " + '"' + name.replace('"', '""') + '"'
        for place, (name, kind) in enumerate(zip(relation.columns, types, strict=True), start=1)
    )
    return relation.project(", ".join(columns))


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
