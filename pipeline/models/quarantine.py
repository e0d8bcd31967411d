"""Quarantine: rows of one account that break a rule never keep the other accounts from being published.

Where an account's rows of a table break one of its rules (a constraint, its key, a check), or its data makes the SELECT
fail, the account is quarantined for that table and for all that is made from it: there, its last published rows are
kept. `staging.quarantine` says since when and why, and `marts.account_status` says it, too. What holds without any
account (disk, schema, code) fails the run as before.
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
"""What DuckDB raises for values; anything else (disk, memory, names) is no account's fault."""

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
    """What a blocking check finds."""

    accounts: list[Broken]
    """Rules that accounts break."""
    rules: list[str]
    """Rules that are broken without an account: a fault of our own."""


def account_column(table: Table) -> str | None:
    """The column that says whose row it is; None where a row is of no account."""
    return next((name for name in ("account_id", "x_AccountId") if name in table.column_names), None)


def quarantined(connection: duckdb.DuckDBPyConnection, names: Collection[str] | None = None) -> dict[str, list[str]]:
    """The accounts that are quarantined for any of the tables (None: for any at all), with `table: rule` in words."""
    rows = connection.execute(
        "SELECT account_id, table_name, rule_name FROM staging.quarantine ORDER BY account_id, table_name, rule_name"
    ).fetchall()
    found: dict[str, list[str]] = {}
    for account_id, table_name, rule in rows:
        if names is None or table_name in names:
            found.setdefault(account_id, []).append(f"{table_name}: {rule}")
    return found


def upstream(connection: duckdb.DuckDBPyConnection, name: str) -> set[str]:
    """The accounts that are quarantined for something that a table is made from."""
    return set(quarantined(connection, ancestors(name) - {name}))


def record(connection: duckdb.DuckDBPyConnection, name: str, broken: Iterable[Broken]) -> None:
    """Make `staging.quarantine` say which accounts break which rules of a table now, and since when."""
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
        f"account {account_id}: {'; '.join(rules)}; its last published rows of that and of what is made from it are "
        "kept, the other accounts are published. See staging.quarantine"
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
    # A view of vendors' records side by side.
    return "account_id" if reads_of_view(name) else None


# -- whose fault it is --------------------------------------------------------------------------------------------


def at_fault(
    connection: duckdb.DuckDBPyConnection, model: Model, without: Collection[str], problem: duckdb.Error
) -> list[Broken]:
    """The accounts whose data makes a model's SELECT, or the constraints of its table, fail.

    Run outside a transaction, because what fails in one ends it. Raises `problem` where it fails without any account,
    too, and where no single account is at fault.
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
    """The accounts that fail by themselves, each with the words of its failure; found by halves.

    `fails` says in words how some accounts fail together; None where they do not.
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
    """Accounts with rows in `probe` that the table's constraints refuse. A row of no account is nobody's fault."""
    whose = account_column(table)
    if whose is None:
        return []
    broken = []
    for column in table.columns:
        rules = [] if column.is_nullable else [(f"{column.name} IS NULL", f"{column.name} is missing")]
        if column.column.allowed:
            allowed = ", ".join(quoted(each) for each in column.column.allowed)
            rules.append((f"{column.name} NOT IN ({allowed})", f"{column.name} is none of its allowed values"))
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
    """The accounts of which a key occurs more than once, among the rows that `where` holds for."""
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
    """What a blocking check finds, accounts aside that are quarantined for something upstream already."""
    rows = check.find(connection)
    return Findings(
        [Broken(account_id, rule) for account_id, rule in rows if account_id and account_id not in inherited],
        [rule for account_id, rule in rows if account_id is None],
    )


def isolate(
    work: Callable[[Collection[str]], Result], accounts: Collection[str], what: str
) -> tuple[Result, list[Broken]]:
    """Do Python's work for all accounts; where that fails, without those whose data makes it fail.

    `work` is given the accounts to leave out. Raises what it raises without any account, or where no single account is
    at fault.
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
    """The build that readers have, attached read-only: its name in SQL, or None where there is none to be read.

    Attach before a transaction begins, for it cannot be detached within one.
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
    """Put the accounts' last published rows in the place of those that a table has."""
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
    """The SELECT of the accounts' last published rows of a table; None where there are none, or other columns."""
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
    """The SELECT of a table's rows as readers get them.

    A table has the last published rows of accounts in quarantine already; a view of the warehouse cannot.
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
    """Say of quarantined accounts in `marts.account_status` that their row is not of this build; each has one row."""
    for account_id, rules in why.items():
        words = f"Its newest data is in quarantine ({'; '.join(rules)}; see staging.quarantine)."
        connection.execute(
            f"""
            UPDATE {STATUS} SET
                reading_state = CASE WHEN balance_amount IS NULL THEN 'unknown' ELSE 'stale' END,
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
    """The row of a configured account of which nothing was ever published."""
    connection.execute(
        f"""
        INSERT INTO {STATUS} BY NAME
        SELECT account_id, vendor, team, coalesce(unit_code, 'unknown') AS unit_code, 'unknown' AS reading_state,
            0.0 AS history_days, 'none' AS method, 'unknown' AS severity, ? AS reason, 'balance' AS evidence_level,
            stale_after_seconds, build.reporting_unit_code
        FROM staging.accounts CROSS JOIN staging.build AS build WHERE account_id = ?
        """,
        [words, account_id],
    )
