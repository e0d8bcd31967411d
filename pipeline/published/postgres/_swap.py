"""Serialisation of loads, and the swap of new schemas for live ones."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.settings.publish_targets import PostgresTarget

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_LOCK_CLASS = 0x44726177  # "Draw": first half of the advisory lock's key; the second is derived from the prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Seconds that a load waits: for another load to end, and for readers."""

    lock_seconds: float = 60.0
    swap_seconds: float = 60.0


def name_of(text: str) -> str:
    """A quoted identifier."""
    return '"' + text.replace('"', '""') + '"'


def name_of_fresh(live: str) -> str:
    """Name of a schema while it is loaded, before it replaces the live one."""
    return name_of(f"{live}__next")


def take_turn(cursor: Cursor, target: PostgresTarget, waits: Waits) -> None:
    """Wait until no other load into these schemas is running; the turn ends with the transaction.

    Raises DrawdownError naming the holder when the wait is over.
    """
    key = (_LOCK_CLASS, f"drawdown {target.schema_prefix}")
    deadline = time.monotonic() + waits.lock_seconds
    while True:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", key)
        if one(cursor):
            return
        if time.monotonic() >= deadline:
            cursor.execute(
                """
                SELECT activity.pid, activity.usename, activity.application_name, activity.xact_start
                FROM pg_locks AS locks INNER JOIN pg_stat_activity AS activity ON locks.pid = activity.pid
                WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 2 AND locks.classid = %s
                    AND locks.objid::bigint = hashtext(%s)::bigint & 4294967295
                    AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                """,
                key,
            )
            raise target.failure(
                f"another load is under way: {_holders(cursor)}; waited {waits.lock_seconds:.0f} s for it"
            )
        time.sleep(0.1)


def one(cursor: Cursor) -> Any:
    """First value of the first row, or None."""
    row = cursor.fetchone()
    return row[0] if row else None


def _holders(cursor: Cursor) -> str:
    found = [
        f"server process {pid} of {user}"
        + (f" ({application})" if application else "")
        + (f", since {since:%H:%M:%S} UTC" if since else "")
        for pid, user, application, since in cursor.fetchall()
    ]
    return "; ".join(found[:3]) or "its holder has just ended"


def swap(
    psycopg2: Any, cursor: Cursor, old: list[str], schemas: list[str], target: PostgresTarget, waits: Waits
) -> None:
    """Replace the live schemas by the new ones, once no reader holds a table of the live ones.

    Raises DrawdownError naming the blocking readers when the wait is over.
    """
    cursor.execute(
        "SELECT format('%%I.%%I', nspname, relname) FROM pg_class INNER JOIN pg_namespace ON relnamespace = "
        "pg_namespace.oid WHERE relkind = 'r' AND nspname = ANY(%s) AND relowner = (SELECT oid FROM pg_roles WHERE "
        "rolname = current_user) ORDER BY 1",
        (old,),
    )
    tables = ", ".join(row[0] for row in cursor.fetchall())
    if tables:
        _hold(psycopg2, cursor, tables, old, target, waits)
        cursor.execute(f"DROP TABLE {tables}")
    for schema in old:
        # Anything else in the schema belongs to a user, and stops the swap.
        cursor.execute(f"DROP SCHEMA {name_of(schema)}")
    for schema in schemas:
        live = target.schema_prefix + schema
        cursor.execute(f"ALTER SCHEMA {name_of_fresh(live)} RENAME TO {name_of(live)}")


def _hold(psycopg2: Any, cursor: Cursor, tables: str, old: list[str], target: PostgresTarget, waits: Waits) -> None:
    """Lock the tables when no reader holds one of them, and keep new readers out.

    A reader may hold one table and wait for another that we have locked. Whoever waits longest makes the server check
    for such a deadlock, after deadlock_timeout, and is cancelled: an attempt ends well before that.
    """
    cursor.execute("SELECT setting::integer FROM pg_settings WHERE name = 'deadlock_timeout'")
    attempt_milliseconds = max(1, min(600, int(0.6 * one(cursor))))
    deadline = time.monotonic() + waits.swap_seconds
    pause = 0.1
    cursor.execute("SAVEPOINT loaded")
    while True:
        cursor.execute(f"SET LOCAL statement_timeout = {attempt_milliseconds}")
        try:
            cursor.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        except (
            psycopg2.errors.QueryCanceled,
            psycopg2.errors.LockNotAvailable,
            psycopg2.errors.DeadlockDetected,
        ):
            cursor.execute("ROLLBACK TO SAVEPOINT loaded")
        else:
            cursor.execute("SET LOCAL statement_timeout = 0")
            return
        if time.monotonic() >= deadline:
            cursor.execute(
                """
                SELECT DISTINCT activity.pid, activity.usename, activity.application_name, activity.xact_start
                FROM pg_locks AS locks
                INNER JOIN pg_stat_activity AS activity ON locks.pid = activity.pid
                INNER JOIN pg_class ON locks.relation = pg_class.oid
                INNER JOIN pg_namespace ON pg_class.relnamespace = pg_namespace.oid
                WHERE locks.granted AND activity.pid <> pg_backend_pid() AND pg_namespace.nspname = ANY(%s)
                    AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                ORDER BY activity.xact_start
                """,
                (old,),
            )
            raise target.failure(
                f"readers kept the tables for longer than {waits.swap_seconds:.0f} s: {_holders(cursor)}; end their "
                "transactions"
            )
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
