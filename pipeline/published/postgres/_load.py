"""A copy of the published build in PostgreSQL, for tools that read a server.

Everything happens in one transaction: the tables are loaded into schemas beside the live ones, and then replace them. A
reader sees the old build or the new one, and the same one for as long as its transaction lasts:

- A transaction that has read a table locks it until it ends, and the swap waits for that.
- `COPY ... FREEZE` makes the new rows visible to snapshots that are older than the load; without it, a REPEATABLE READ
  transaction that began before the load and reads after it would find empty tables.

The wait for readers is bounded. Each attempt gives up before the server checks for deadlocks, so no reader is ever
cancelled because of a load, and new readers are delayed no longer than that.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import duckdb

from pipeline.published.postgres._swap import Waits, name_of, name_of_fresh, one, swap, take_turn
from pipeline.published.postgres._types import copied, is_quoted, postgres_type
from pipeline.schema.render import quoted
from pipeline.schema.tables import ALL
from pipeline.settings.publish_targets import PostgresTarget
from pipeline.support.duckdb_session import set_session
from pipeline.support.errors import DrawdownError, first_line
from pipeline.support.home import build_id
from pipeline.support.secret import Redactor, Secret

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

MARK: Final = "Drawdown: "
"""Prefix of the comment on schemas that a load may replace; no other schema is ever changed."""

_SETTINGS = {
    "connect_timeout": "10",
    # A server that has vanished is noticed within two minutes, instead of the usual two hours.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "6",
    "tcp_user_timeout": "120000",
}
_ADVICE = {
    "28": "check its user and password",
    "3D": "create the database first, or name another",
    "42501": "the role needs CREATE on the database, and must own the schemas that it is to replace",
    "2BP01": "drop that first: it would keep the old tables, so such a query belongs into the tool that asks it",
    "53": "the server is out of disk, memory or connections",
    "25006": "the server accepts no writes: use the primary's address",
}


class _Column(NamedTuple):
    name: str
    type: str
    is_nullable: bool
    comment: str | None


class _Table(NamedTuple):
    schema: str
    name: str
    comment: str | None
    columns: list[_Column]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Build that readers in PostgreSQL now have."""

    build: str
    """Name of the build's folder."""
    table_rows: dict[str, int]


def load_postgres(current: Path, target: PostgresTarget, waits: Waits | None = None) -> Loaded:
    """Copy the build behind `current` into PostgreSQL, completely or not at all.

    Raises DrawdownError with one line that names the variable and the remedy, without the connection string or its
    password; readers then keep their build.
    """
    dsn = target.dsn()
    try:
        import psycopg2
    except ImportError:
        raise target.failure("psycopg2 is not installed; pip install 'drawdown[postgres]' installs it") from None
    password = _password(dsn, target.failure)
    try:
        return _load(psycopg2, current, target, dsn, waits or Waits())
    except psycopg2.Error as problem:
        raise target.failure(_redacted(problem, dsn, password)) from None
    except duckdb.Error as problem:
        raise target.failure(f"{current} cannot be read: {first_line(problem)}") from None


def reach_postgres(dsn: Secret, failure: Callable[[str], DrawdownError]) -> str:
    """Connect to a server and return its version and the name of the database, such as `PostgreSQL 15.4, database x`.

    Raises `failure` with one line about the problem and the remedy, without the connection string or its password.
    """
    try:
        import psycopg2
    except ImportError:
        raise failure("psycopg2 is not installed; pip install 'drawdown[postgres]' installs it") from None
    password = _password(dsn, failure)
    try:
        connection = _connect(psycopg2, dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT split_part(current_setting('server_version'), ' ', 1), current_database()")
                version, database = cursor.fetchone()
        finally:
            connection.close()
    except psycopg2.Error as problem:
        raise failure(_redacted(problem, dsn, password)) from None
    return f"PostgreSQL {version}, database {database}"


def _redacted(problem: Any, dsn: Secret, password: str | None) -> str:
    """A driver's error in one line, without the password: its text may repeat its input."""
    words = _words(problem)
    if password:
        words = words.replace(password, f"[redacted:{dsn.name}]")
    return Redactor([dsn]).text(words)


def _connect(psycopg2: Any, dsn: Secret) -> Any:
    given = psycopg2.extensions.parse_dsn(dsn.reveal())
    name = f"drawdown {os.getpid()} on {socket.gethostname()}"[:63]
    settings = {key: value for key, value in {**_SETTINGS, "application_name": name}.items() if key not in given}
    return psycopg2.connect(dsn.reveal(), **settings)


def _password(dsn: Secret, failure: Callable[[str], DrawdownError]) -> str | None:
    import psycopg2
    from psycopg2.extensions import parse_dsn

    try:
        parts = parse_dsn(dsn.reveal())
    except psycopg2.ProgrammingError:
        parts = {"port": "unknown"}
    # If a password contains a bare @ or /, the rest of it is parsed as host, port or database, and errors would show
    # it; so would the driver's message about a text that it cannot parse.
    is_torn = "@" in parts.get("host", "") + parts.get("dbname", "") or re.search("[^0-9,]", parts.get("port", ""))
    if is_torn:
        raise failure(
            "is not a connection string such as postgresql://user:password@host:5432/database; its value is not shown. "
            "In a password @ is written %40, / is %2F and : is %3A"
        )
    password: str | None = parts.get("password")
    return password


def _words(problem: Any) -> str:
    """A driver's error in one line: the server's message, its detail, and the remedy."""
    code = problem.pgcode or ""
    if not code:
        # The driver could not connect: its message has host and port, one line for each address that it tried.
        text = str(problem).strip().splitlines() or ["the connection broke off"]
        first = text[0].removesuffix("Is the server running on that host and accepting TCP/IP connections?")
        rejected = "password" in first or "authentication" in first or "role" in first
        advice = _ADVICE["28"] if rejected else "check its host, port and database, and that the server runs"
        return f"{first.strip()[:300]}; {advice}"
    what = (problem.diag.message_primary or str(problem)).splitlines()[0]
    detail = (problem.diag.message_detail or "").splitlines()[:1]
    advice = _ADVICE.get(code) or _ADVICE.get(code[:2]) or "the next run tries again"
    return f"{'; '.join([what, *detail])[:300].rstrip('.')}; {advice}"


def _load(psycopg2: Any, current: Path, target: PostgresTarget, dsn: Secret, waits: Waits) -> Loaded:
    connection = _connect(psycopg2, dsn)
    try:
        connection.set_session(isolation_level="READ COMMITTED", readonly=False)
        connection.set_client_encoding("UTF8")
        with connection, connection.cursor() as cursor:
            for setting in (
                "search_path = pg_catalog, pg_temp",  # so that no other schema shadows the server's own names
                "datestyle = ISO",
                "timezone = 'UTC'",
                "statement_timeout = 0",
                "idle_in_transaction_session_timeout = 0",
            ):
                cursor.execute(f"SET LOCAL {setting}")
            take_turn(cursor, target, waits)
            # Determined only now: another load may have published a newer build while this one waited.
            path = current.resolve()
            with duckdb.connect(path, read_only=True) as build:
                set_session(build)
                tables = _tables(build)
                schemas = list(dict.fromkeys(table.schema for table in tables))
                old = _ours(cursor, schemas, target)
                rows = {}
                for schema in schemas:
                    live = target.schema_prefix + schema
                    cursor.execute(f"CREATE SCHEMA {name_of_fresh(live)}")
                    comment = f"{MARK}{schema} of build {build_id(path)}. Every run replaces it whole."
                    cursor.execute(f"COMMENT ON SCHEMA {name_of_fresh(live)} IS {quoted(comment)}")
                for table in tables:
                    full_name = f"{table.schema}.{table.name}"
                    rows[full_name] = _copy(cursor, build, table, target, path)
            if target.reader_role:
                _grant(cursor, [target.schema_prefix + schema for schema in schemas], target)
            swap(psycopg2, cursor, old, schemas, target, waits)
    finally:
        connection.close()
    return Loaded(build=build_id(path), table_rows=rows)


def _tables(build: duckdb.DuckDBPyConnection) -> list[_Table]:
    """Every table of a build, as the file itself lists them."""
    columns: dict[tuple[str, str], list[_Column]] = {}
    for schema, table, *column in build.execute(
        "SELECT schema_name, table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns() "
        "WHERE database_name = current_database() ORDER BY schema_name, table_name, column_index"
    ).fetchall():
        columns.setdefault((schema, table), []).append(_Column(*column))
    return [
        _Table(schema, name, comment, columns[schema, name])
        for schema, name, comment in build.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() "
            "WHERE database_name = current_database() ORDER BY schema_name, table_name"
        ).fetchall()
    ]


def _ours(cursor: Cursor, schemas: list[str], target: PostgresTarget) -> list[str]:
    """Live schemas to replace; DrawdownError if a schema of that name is not ours."""
    names = [target.schema_prefix + schema for schema in schemas]
    cursor.execute(
        "SELECT nspname, coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = ANY(%s)",
        (names,),
    )
    found = dict(cursor.fetchall())
    foreign = sorted(name for name, comment in found.items() if not comment.startswith(MARK))
    if foreign:
        raise target.failure(
            f"the database has a schema {foreign[0]} that is not Drawdown's; name another database, or set "
            'publish.postgres.schema_prefix = "drawdown_"'
        )
    return sorted(found)


def _copy(cursor: Cursor, build: duckdb.DuckDBPyConnection, table: _Table, target: PostgresTarget, path: Path) -> int:
    """Create a table in the new schema and fill it; returns its row count."""
    name = f"{name_of_fresh(target.schema_prefix + table.schema)}.{name_of(table.name)}"
    columns = []
    for column in table.columns:
        try:
            kind = postgres_type(column.type)
        except ValueError as problem:
            raise target.failure(f"{table.schema}.{table.name}: {column.name}: {problem}") from None
        columns.append(f"{name_of(column.name)} {kind}{'' if column.is_nullable else ' NOT NULL'}")
    cursor.execute(
        "; ".join(
            [
                # It never changes, and is analysed below: autovacuum would only delay the swap.
                f"CREATE TABLE {name} ({', '.join(columns)}) WITH (autovacuum_enabled = false)",
                *([f"COMMENT ON TABLE {name} IS {quoted(table.comment)}"] if table.comment else []),
                *(
                    f"COMMENT ON COLUMN {name}.{name_of(column.name)} IS {quoted(column.comment)}"
                    for column in table.columns
                    if column.comment
                ),
            ]
        )
    )
    values = ", ".join(
        f"{copied(name_of(column.name), column.type)} AS {name_of(column.name)}" for column in table.columns
    )
    quotes = ", ".join(name_of(column.name) for column in table.columns if is_quoted(column.type))
    source = f"SELECT {values} FROM {name_of(table.schema)}.{name_of(table.name)}"
    options = "FORMAT csv, HEADER false" + (f", FORCE_QUOTE ({quotes})" if quotes else "")
    with _piped(build, source, options) as rows:
        cursor.copy_expert(f"COPY {name} FROM STDIN (FORMAT csv, FREEZE)", rows)
    copied_rows: int = cursor.rowcount
    ((wanted,),) = build.execute(f"SELECT count(*) FROM {name_of(table.schema)}.{name_of(table.name)}").fetchall()
    if copied_rows != wanted:
        raise target.failure(f"{table.schema}.{table.name} of {path}: {wanted} rows left and {copied_rows} arrived")
    known = ALL.get(f"{table.schema}.{table.name}")
    if known and known.key:
        cursor.execute(f"ALTER TABLE {name} ADD PRIMARY KEY ({', '.join(map(name_of, known.key))})")
    cursor.execute(f"ANALYZE {name}")
    return copied_rows


@contextmanager
def _piped(build: duckdb.DuckDBPyConnection, source: str, options: str) -> Iterator[Any]:
    """Stream the result of a SELECT as CSV text through a pipe.

    DuckDB's errors are raised at the end of the block: the reader of the pipe only sees the text end early.
    """
    reading, writing = os.pipe()
    problems: list[BaseException] = []

    def write() -> None:
        try:
            with build.cursor() as own:
                set_session(own)
                own.execute(f"COPY ({source}) TO '/dev/fd/{writing}' ({options})")
        except BaseException as problem:
            problems.append(problem)
        finally:
            os.close(writing)

    thread = threading.Thread(target=write, name="drawdown-postgres-copy", daemon=True)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as rows:
            yield rows
    finally:
        thread.join()
    if problems:
        raise problems[0]


def _grant(cursor: Cursor, live: list[str], target: PostgresTarget) -> None:
    role = target.reader_role or ""
    cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (role,))
    if not one(cursor):
        cursor.execute("SELECT rolcreaterole OR rolsuper, rolname FROM pg_roles WHERE rolname = current_user")
        may, user = cursor.fetchone() or (False, "")
        if not may:
            raise target.failure(
                f"the reader_role {role} does not exist, and {user} may not create it: run CREATE ROLE {role} NOLOGIN"
            )
        cursor.execute(f"CREATE ROLE {name_of(role)} NOLOGIN")
    for schema in live:
        cursor.execute(f"GRANT USAGE ON SCHEMA {name_of_fresh(schema)} TO {name_of(role)}")
        cursor.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {name_of_fresh(schema)} TO {name_of(role)}")
