"""Unreadable parts of the newest answers, one line for each account: what, where, and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pipeline.landing.lookup import find_answer
from pipeline.schema.tables import Table
from pipeline.staging.accounting import kind_of
from pipeline.staging.byhand import problems
from pipeline.support.errors import DrawdownError
from pipeline.vendors import discover

_Rows = list[tuple[Any, ...]]

# The newest good answers of each account that has not been removed.
_NEWEST = """
    newest AS (
        SELECT answers.vendor, answers.account_id, answers.endpoint, answers.fetch_id
        FROM staging.newest_answers AS answers
        LEFT JOIN staging.accounts AS accounts ON answers.account_id = accounts.account_id
        WHERE coalesce(accounts.is_configured, true)
    )
"""


@dataclass(slots=True)
class Found:
    """Lines for people, by subject."""

    errors: list[str] = field(default_factory=list)
    """Problems that fail a run, because an account's current state is unknown."""
    warnings: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    """Accounts with errors, in order."""

    def add(self, account_id: str, line: str) -> None:
        """Add an error."""
        self.errors.append(f"account {account_id}: {line}")
        self.accounts.append(account_id)


def look(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, tuple[str, Table]], landing: Path | None
) -> dict[str, Found]:
    """Check the newest answers for vendors' record tables.

    `tables`: vendor and table by the table's full name, as are the results.
    """
    found = {name: Found() for name in tables}
    failed, unreadable = _failed(connection), _unreadable(connection)
    for name, (vendor, table) in tables.items():
        kind = kind_of(vendor, table)
        if _is_of_files(vendor):
            _in_files(connection, vendor, kind, landing, found[name])
        else:
            mine = (vendor, kind)
            _in_answers(mine, failed.get(mine, []), unreadable.get(mine, []), found[name])
            if kind == "ledger_entries":
                for account_id, endpoint, count in _vanished(connection, vendor, kind, table):
                    found[name].add(
                        account_id,
                        f"{vendor} {endpoint}: the listing is empty, though {count} entries are known; they are kept, "
                        "and later days are not taken as free of spend",
                    )
    return found


def _in_answers(mine: tuple[str, str], failed: _Rows, unreadable: _Rows, found: Found) -> None:
    """Add the problems of a vendor's kind of record."""
    vendor, kind = mine
    if _is_optional(vendor, kind):
        # The kind that such records come with reports failures, and what cannot be read affects nothing else.
        return
    for account_id, endpoint, check, value, fetch_id in failed:
        why = (
            f"the answer says that it failed ({value!r})"
            if check == "is_success"
            else f"an answer cannot be read ({value}): {fetch_id} in landing"
        )
        found.add(account_id, f"{vendor} {endpoint}: {why}; earlier data is kept")
    reported = {(row[0], row[1]) for row in failed}
    for account_id, endpoint, column, check, value in unreadable:
        if (account_id, endpoint) not in reported:
            found.add(
                account_id,
                f"{vendor} {endpoint}: no row could be read ({column}: {check}, found {value!r}); "
                "earlier data is kept. See staging.rejects and staging.schema_drift",
            )


def _is_of_files(vendor: str) -> bool:
    return discover()[vendor].base_url is None


def _is_optional(vendor: str, kind: str) -> bool:
    """Whether such records only come with others, which already report what is wrong with their answer."""
    return all(
        records.is_optional for each in discover()[vendor].endpoints for records in each.records if records.kind == kind
    )


def _of_first(column: str) -> str:
    """Column of the one reject that a message shows: all its columns must be from the same reject."""
    order = ", ".join(
        f"rejects.{name}" for name in ("fetch_id", "record_kind", "row_number", "column_name", "check_name")
    )
    return f"first({column} ORDER BY {order})"


def _failed(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], _Rows]:
    """Answers that state their own failure, and those that raised an error when read.

    By vendor and kind of record: account, endpoint, check, value, fetch id.
    """
    return _by_kind(
        connection,
        f"""
        WITH {_NEWEST}
        SELECT newest.vendor, split_part(rejects.record_kind, ':', 1) AS kind, newest.account_id, newest.endpoint,
            {_of_first("rejects.check_name")}, {_of_first("rejects.redacted_value")}, {_of_first("newest.fetch_id")}
        FROM newest
        INNER JOIN staging.rejects AS rejects ON newest.fetch_id = rejects.fetch_id
        WHERE rejects.check_name = 'is_success'
            OR (rejects.check_name = 'answer_is_readable' AND rejects.redacted_value IS NOT NULL)
        GROUP BY newest.vendor, kind, newest.account_id, newest.endpoint
        ORDER BY newest.account_id, newest.endpoint
        """,
    )


def _unreadable(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], _Rows]:
    """Endpoints without an accepted row, and the reason.

    By vendor and kind of record: account, endpoint, column, check, value.
    """
    return _by_kind(
        connection,
        f"""
        WITH {_NEWEST}
        SELECT newest.vendor, loads.record_kind, newest.account_id, newest.endpoint,
            {_of_first("rejects.column_name")}, {_of_first("rejects.check_name")}, {_of_first("rejects.redacted_value")}
        FROM newest
        INNER JOIN staging.loads AS loads ON newest.fetch_id = loads.fetch_id
        LEFT JOIN staging.rejects AS rejects
            ON newest.fetch_id = rejects.fetch_id AND split_part(rejects.record_kind, ':', 1) = loads.record_kind
        GROUP BY newest.vendor, loads.record_kind, newest.account_id, newest.endpoint
        HAVING sum(loads.accepted_rows) = 0 AND sum(loads.rejected_rows) > 0
        ORDER BY newest.account_id, newest.endpoint
        """,
    )


def _by_kind(connection: duckdb.DuckDBPyConnection, query: str) -> dict[tuple[str, str], _Rows]:
    found: dict[tuple[str, str], _Rows] = {}
    for vendor, kind, *row in connection.execute(query).fetchall():
        found.setdefault((vendor, kind), []).append(tuple(row))
    return found


def _in_files(
    connection: duckdb.DuckDBPyConnection, vendor: str, kind: str, landing: Path | None, found: Found
) -> None:
    """Rejected rows of files, by line."""
    rows = connection.execute(
        f"""
        WITH {_NEWEST}
        SELECT newest.account_id, newest.fetch_id, loads.refused_newest_row, rejects.row_number, rejects.column_name,
            rejects.check_name, rejects.redacted_value
        FROM newest
        INNER JOIN staging.loads AS loads ON newest.fetch_id = loads.fetch_id AND loads.record_kind = $kind
        INNER JOIN staging.rejects AS rejects ON newest.fetch_id = rejects.fetch_id AND rejects.record_kind = $kind
        WHERE newest.vendor = $vendor
        ORDER BY newest.account_id, newest.fetch_id, rejects.row_number, rejects.column_name
        """,
        {"vendor": vendor, "kind": kind},
    ).fetchall()
    by_answer: dict[tuple[str, str, int | None], list[tuple[int, str, str, str | None]]] = {}
    for account_id, fetch_id, newest_row, *refused in rows:
        by_answer.setdefault((account_id, fetch_id, newest_row), []).append((*refused,))
    for (account_id, fetch_id, newest_row), refused_rows in by_answer.items():
        name, body = _file(landing, fetch_id)
        for problem in problems(refused_rows, newest_row, body):
            line = f"{name}, {problem.words}"
            if problem.is_error:
                found.add(account_id, line)
            else:
                found.warnings.append(f"account {account_id}: {line}")


def _file(landing: Path | None, fetch_id: str) -> tuple[str, bytes | None]:
    """Name and bytes of the file as landed."""
    if landing is not None:
        try:
            answer = find_answer(landing, fetch_id)
        except DrawdownError:
            # Damage to landing is reported by the load.
            return "the file", None
        return answer.request_url, answer.body
    return "the file", None


def _vanished(
    connection: duckdb.DuckDBPyConnection, vendor: str, kind: str, table: Table
) -> list[tuple[str, str, int]]:
    """Accounts whose newest walk of the ledger found no entry, although entries are known."""
    return connection.execute(
        f"""
        WITH newest AS (
            SELECT answers.account_id, answers.endpoint, sum(loads.received_rows) AS received_rows
            FROM staging.newest_answers AS answers
            INNER JOIN staging.loads AS loads ON answers.fetch_id = loads.fetch_id
            WHERE answers.vendor = ?
            GROUP BY answers.account_id, answers.endpoint HAVING bool_or(loads.record_kind = ?)
        )
        SELECT newest.account_id, newest.endpoint, count(*) FROM newest
        INNER JOIN {table.full_name} AS stated ON newest.account_id = stated.account_id
        WHERE newest.received_rows = 0
        GROUP BY newest.account_id, newest.endpoint ORDER BY newest.account_id
        """,
        [vendor, kind],
    ).fetchall()
