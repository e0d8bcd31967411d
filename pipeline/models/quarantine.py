"""Quarantine: one account's rows that break a rule never keep the other accounts from being published.

If an account's rows of a table break one of its rules (a constraint, its key, a check), or its data makes the SELECT
fail, the account is quarantined for that table and for everything made from it: its last published rows are kept there.
`staging.quarantine` has the date and the reason, and `marts.account_status` shows it. Failures without an account
(disk, schema, code) fail the run.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from pipeline.models.checks import Check
from pipeline.models.discovery import ancestors
from pipeline.models.model import Model
from pipeline.models.views import reads_of_view
from pipeline.schema.render import quoted
from pipeline.schema.tables import ALL, Table
from pipeline.support.errors import first_line

DATA_ERRORS: Final = (
    duckdb.ConstraintException,
    duckdb.ConversionException,
    duckdb.DataError,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
)
"""DuckDB's errors for values; any other error (disk, memory, names) is not caused by an account."""

STATUS: Final = "marts.account_status"
_LAST: Final = "last_published"
_NAMED: Final = re.compile(r"\b(from|join)(\s+)([a-z_]+\.[a-z_]+)\b(?!\s*\()(\s+as\s+\w+)?", re.IGNORECASE)
Result = TypeVar("Result")

_MARK: Final = " Last published: "


@dataclass(frozen=True, slots=True, order=True)
class Broken:
    """A rule that an account's rows of a table break."""

    account_id: str
    rule: str


@dataclass(frozen=True, slots=True)
class Findings:
    """Result of a blocking check."""

    accounts: list[Broken]
    """Broken rules by account."""
    rules: list[str]
    """Rules that are broken without an account: an error in Drawdown."""


def account_column(table: Table) -> str | None:
    """Column with the account of a row; None for a table without accounts."""
    return next((name for name in ("account_id", "x_AccountId") if name in table.column_names), None)


def quarantined(connection: duckdb.DuckDBPyConnection, names: Collection[str] | None = None) -> dict[str, list[str]]:
    """Accounts that are quarantined for any of the tables (None: for any table at all), with `table: rule` as text."""
    rows = connection.execute(
        "SELECT account_id, table_name, rule_name FROM staging.quarantine ORDER BY account_id, table_name, rule_name"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for account_id, table_name, rule in rows:
        if names is None or table_name in names:
            found.setdefault(account_id, []).append(f"{table_name}: {rule}")
    return found


def upstream(connection: duckdb.DuckDBPyConnection, name: str) -> set[str]:
    """Accounts that are quarantined for an input of a table."""
    return set(quarantined(connection, ancestors(name) - {name}))


def record(connection: duckdb.DuckDBPyConnection, name: str, broken: Iterable[Broken]) -> None:
    """Update `staging.quarantine` with the accounts that break rules of a table; keeps the time of the first."""
    rows = sorted(set(broken))
    noted = connection.execute("SELECT 1 FROM staging.quarantine WHERE table_name = ? LIMIT 1", [name]).fetchall()
    if not rows and not noted:
        return
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE known AS SELECT * FROM staging.quarantine WHERE table_name = ?", [name]
    )
    connection.execute("DELETE FROM staging.quarantine WHERE table_name = ?", [name])
    for each in rows:
        connection.execute(
            """
            INSERT INTO staging.quarantine (account_id, table_name, rule_name, quarantined_at_utc)
            SELECT ?, ?, ?, coalesce(
                (SELECT min(quarantined_at_utc) FROM known WHERE account_id = ? AND rule_name = ?),
                (SELECT max(as_of_utc) FROM staging.build),
                current_timestamp
            )
            """,
            [each.account_id, name, each.rule, each.account_id, each.rule],
        )
    connection.execute("DROP TABLE known")


def lines(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """One sentence for each quarantined account."""
    return [
        f"account {account_id}: {'; '.join(rules)}; its last published rows there, and in tables made from it, "
        "are kept; the other accounts are published. See staging.quarantine"
        for account_id, rules in quarantined(connection).items()
    ]


# -- a SELECT without some accounts -------------------------------------------------------------------------------


def without_accounts(select: str, accounts: Collection[str]) -> str:
    """The SELECT, reading no row of these accounts from any table that it names."""
    if not accounts:
        return select
    listed = ", ".join(quoted(each) for each in sorted(accounts))

    def narrowed(found: re.Match[str]) -> str:
        word, blank, name, alias = found.groups()
        column = _column_of(name)
        if column is None:
            return found.group(0)
        alias = alias or f" as {name.partition('.')[2]}"
        return f"{word}{blank}(select * from {name} where {column} not in ({listed})){alias}"

    return _NAMED.sub(narrowed, select)


@cache
def _column_of(name: str) -> str | None:
    if name in ALL:
        return account_column(ALL[name])
    # A view of all vendors' records of a kind.
    return "account_id" if reads_of_view(name) else None


# -- finding the account -----------------------------------------------------------------------------------------


def at_fault(
    connection: duckdb.DuckDBPyConnection, model: Model, without: Collection[str], problem: duckdb.Error
) -> list[Broken]:
    """Find the accounts whose data makes a model's SELECT, or the constraints of its table, fail.

    Run outside a transaction, because an error ends it. Raises `problem` if it also fails without any account, or if no
    single account is at fault.
    """
    everyone = [
        account_id
        for (account_id,) in connection.execute(
            "SELECT account_id FROM staging.accounts ORDER BY account_id"
        ).fetchall()
        if account_id not in without
    ]

    def fails(accounts: Collection[str]) -> str | None:
        left_out = [*without, *(each for each in everyone if each not in set(accounts))]
        try:
            _probe(connection, model, left_out)
        except DATA_ERRORS as error:
            return first_line(error)
        return None

    if fails(()) is not None:
        raise problem
    broken = [Broken(account_id, rule) for account_id, rule in narrow(everyone, fails)]
    left_out = {*without, *(each.account_id for each in broken)}
    try:
        _probe(connection, model, left_out)
    except DATA_ERRORS:
        raise problem from None
    broken += _violations(connection, model.table)
    connection.execute("DROP TABLE IF EXISTS probe")
    if not broken:
        raise problem
    return broken


def narrow(accounts: list[str], fails: Callable[[Collection[str]], str | None]) -> Iterator[tuple[str, str]]:
    """Find the accounts that fail on their own, each with its error, by bisection.

    `fails` returns the error of some accounts together; None if they do not fail.
    """
    words = fails(accounts) if accounts else None
    if words is None:
        return
    if len(accounts) == 1:
        yield accounts[0], words
        return
    middle = len(accounts) // 2
    yield from narrow(accounts[:middle], fails)
    yield from narrow(accounts[middle:], fails)


def _probe(connection: duckdb.DuckDBPyConnection, model: Model, left_out: Collection[str]) -> None:
    columns = ", ".join(model.table.column_names)
    select = without_accounts(model.select, left_out)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE probe AS SELECT {columns} FROM (\n{select}\n)")


def _violations(connection: duckdb.DuckDBPyConnection, table: Table) -> list[Broken]:
    """Accounts with rows in `probe` that violate the table's constraints; rows without an account are ignored."""
    whose = account_column(table)
    if whose is None:
        return []
    broken = []
    for column in table.columns:
        rules = [] if column.is_nullable else [(f"{column.name} IS NULL", f"{column.name} is missing")]
        if column.column.allowed:
            allowed = ", ".join(quoted(each) for each in column.column.allowed)
            rules.append((f"{column.name} NOT IN ({allowed})", f"{column.name} is not one of its allowed values"))
        if column.column.minimum is not None:
            rules.append((f"{column.name} < {column.column.minimum}", f"{column.name} is below its minimum"))
        if column.column.maximum is not None:
            rules.append((f"{column.name} > {column.column.maximum}", f"{column.name} is above its maximum"))
        for condition, words in rules:
            rows = connection.execute(
                f"SELECT DISTINCT {whose} FROM probe WHERE {condition} AND {whose} IS NOT NULL"
            ).fetchall()
            broken += [Broken(account_id, words) for (account_id,) in rows]
    return broken


def repeated_keys(connection: duckdb.DuckDBPyConnection, table: Table, where: str = "true") -> list[Broken]:
    """Accounts with a repeated key among the rows selected by `where`."""
    whose = account_column(table)
    if whose is None or not table.key:
        return []
    key = ", ".join(table.key)
    rows = connection.execute(
        f"SELECT DISTINCT account_id FROM (SELECT {whose} AS account_id FROM {table.full_name} WHERE {where} "
        f"GROUP BY {', '.join(dict.fromkeys([whose, *table.key]))} HAVING count(*) > 1)"
    ).fetchall()
    return [Broken(account_id, f"a key ({key}) occurs more than once") for (account_id,) in rows]


def findings(connection: duckdb.DuckDBPyConnection, check: Check, inherited: Collection[str] = ()) -> Findings:
    """Run a blocking check, ignoring accounts that are already quarantined for an input."""
    rows = check.find(connection)
    return Findings(
        [Broken(account_id, rule) for account_id, rule in rows if account_id and account_id not in inherited],
        [rule for account_id, rule in rows if account_id is None],
    )


def isolate(
    work: Callable[[Collection[str]], Result], accounts: Collection[str], what: str
) -> tuple[Result, list[Broken]]:
    """Run Python code for all accounts; if that fails, without the accounts whose data makes it fail.

    `work` is given the accounts to leave out. Raises its error if it fails without any account, or if no single account
    is at fault.
    """
    try:
        return work(()), []
    except Exception as problem:
        everyone = sorted(accounts)

        def fails(some: Collection[str]) -> str | None:
            try:
                work([each for each in everyone if each not in set(some)])
            except Exception as error:
                return f"{what} fails with {type(error).__name__}"
            return None

        if fails(()) is not None:
            raise
        broken = [Broken(account_id, words) for account_id, words in narrow(everyone, fails)]
        if not broken:
            raise problem
        return work([each.account_id for each in broken]), broken


# -- the last published rows --------------------------------------------------------------------------------------


@contextlib.contextmanager
def last_published(connection: duckdb.DuckDBPyConnection, current: Path | None) -> Iterator[str | None]:
    """Attach the current build read-only and yield its SQL name; None if there is no readable one.

    Use it before a transaction begins, because a database cannot be detached within one.
    """
    name = None
    if current is not None and current.exists():
        with contextlib.suppress(duckdb.Error):
            connection.execute(f"ATTACH {quoted(str(current.resolve()))} AS {_LAST} (READ_ONLY)")
            name = _LAST
    try:
        yield name
    finally:
        if name:
            with contextlib.suppress(duckdb.Error):
                connection.execute(f"DETACH {_LAST}")


def keep_last(connection: duckdb.DuckDBPyConnection, table: Table, accounts: Collection[str], last: str | None) -> None:
    """Replace the accounts' rows of a table by their last published rows."""
    whose = account_column(table)
    if whose is None or not accounts:
        return
    listed = ", ".join(quoted(each) for each in sorted(accounts))
    connection.execute(f"DELETE FROM {table.full_name} WHERE {whose} IN ({listed})")
    rows = published_rows(connection, table, accounts, last)
    if rows:
        columns = ", ".join(table.column_names)
        connection.execute(f"INSERT INTO {table.full_name} ({columns}) {rows}")


def published_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, accounts: Collection[str], last: str | None
) -> str | None:
    """SELECT of the accounts' last published rows of a table; None if there are none, or their columns differ."""
    whose = account_column(table)
    if last is None or whose is None or not table.is_published:
        return None
    there = {
        name
        for (name,) in connection.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
            [last, table.layer, table.name],
        ).fetchall()
    }
    if not there.issuperset(table.column_names):
        return None
    listed = ", ".join(quoted(each) for each in sorted(accounts))
    columns = ", ".join(table.column_names)
    return f"SELECT {columns} FROM {last}.{table.full_name} WHERE {whose} IN ({listed})"


def view_rows(connection: duckdb.DuckDBPyConnection, table: Table, last: str | None) -> str:
    """SELECT of a table's rows as readers get them.

    A table already has the last published rows of quarantined accounts; a view of the warehouse cannot.
    """
    columns = ", ".join(table.column_names)
    rows = f"SELECT {columns} FROM {table.full_name}"
    accounts = set(quarantined(connection, ancestors(table.full_name))) if table.is_view else set()
    if not accounts:
        return rows
    listed = ", ".join(quoted(each) for each in sorted(accounts))
    kept = published_rows(connection, table, accounts, last)
    return f"{rows} WHERE {account_column(table)} NOT IN ({listed})" + (f" UNION ALL {kept}" if kept else "")


def mark_status(connection: duckdb.DuckDBPyConnection, why: Mapping[str, Collection[str]]) -> None:
    """Mark quarantined accounts in `marts.account_status` as not being from this build; each has one row."""
    for account_id, rules in why.items():
        words = f"Its newest data is in quarantine ({'; '.join(rules)}; see staging.quarantine)."
        connection.execute(
            f"""
            UPDATE {STATUS} SET
                reading_state = CASE WHEN balance_amount IS NULL THEN 'unknown' ELSE 'stale' END,
                stale_code = CASE WHEN balance_amount IS NOT NULL THEN 'quarantined' END,
                reason = ? || '{_MARK}' || CASE
                    WHEN contains(reason, '{_MARK}') THEN split_part(reason, '{_MARK}', 2) ELSE reason
                END
            WHERE account_id = ?
            """,
            [words, account_id],
        )
        missing = connection.execute(
            f"SELECT 1 FROM staging.accounts WHERE account_id = ? AND is_configured "
            f"AND account_id NOT IN (SELECT account_id FROM {STATUS})",
            [account_id],
        ).fetchall()
        if missing:
            _insert_unknown(connection, account_id, words)


def _insert_unknown(connection: duckdb.DuckDBPyConnection, account_id: str, words: str) -> None:
    """Insert the row of a configured account for which nothing was ever published."""
    connection.execute(
        f"""
        INSERT INTO {STATUS} BY NAME
        SELECT account_id, vendor, team, coalesce(unit_code, 'unknown') AS unit_code, 'unknown' AS reading_state,
            0 AS history_days, 0 AS burn_day_count, 'none' AS method, 'unknown' AS severity,
            'quarantined' AS reason_code, ? AS reason, 'balance' AS evidence_level, stale_after_seconds,
            build.reporting_unit_code, false AS has_old_rate
        FROM staging.accounts CROSS JOIN staging.build AS build WHERE account_id = ?
        """,
        [words, account_id],
    )
