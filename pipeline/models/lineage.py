"""Lineage of columns: the columns that a SELECT reads, and the vendor fields at the far end.

SELECTs are parsed; a staging table of records is traced into the vendors' declarations; a table that Python makes lists
its inputs in its definition (`Table.made_from`). Conditions of joins and WHERE are not sources of a column: they decide
which rows exist, not what they contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.models.discovery import discover
from pipeline.models.parsed_file import section
from pipeline.schema.tables import ALL, RECORDS, Table, published
from pipeline.vendors import discover as discover_vendors
from pipeline.vendors._port import Field, Records

if TYPE_CHECKING:
    import duckdb

_SEPARATOR: Final = ", "

Sources = dict[str, tuple[str, ...]]
"""By table: its columns, each with the full names of its source columns, or else source tables and files."""

_OF_THE_ANSWER: Final = {
    "account_id": "landing account_id",
    "fetch_id": "landing fetch_id",
    "observed_at_utc": "landing fetched_at_utc",
    "row_number": "the row's place in the answer",
    "loaded_at_utc": "the clock at loading",
    "extra_json": "the row's other keys",
    "first_observed_at_utc": "landing fetched_at_utc of the earliest answer",
    "first_stated_amount": "stated_amount of the earliest answer",
    "is_partial": "landing fetched_at_utc: a day that was not over",
    "usage_date": "landing window_from_date",
    "covers_from_date": "landing fetched_at_utc or window_from_date",
    "covers_to_date": "landing fetched_at_utc or window_to_date",
}
"""Columns of records that are not filled from an answer; a vendor's field takes precedence."""


@cache
def direct_sources() -> dict[str, Sources]:
    """Direct sources of every column of every table and view, except the vendors' own staging tables.

    Empty for counts and constants of a SELECT.
    """
    models = discover()
    found: dict[str, Sources] = {}
    for name, table in {**{each.full_name: each for each in RECORDS.values()}, **ALL}.items():
        if name in models:
            found[name] = _of_select(models[name].sql, table.column_names)
        elif table.made_from:
            found[name] = dict.fromkeys(table.column_names, table.made_from)
        else:
            found[name] = dict.fromkeys(table.column_names, ())
    for name, record in RECORDS.items():
        found[record.full_name] = {column: _fields(name, column) for column in ("vendor", *record.column_names)}
    return found


@cache
def vendor_fields(table: str, column: str) -> tuple[str, ...]:
    """Vendor fields behind a column, through all tables in between: `vpsbg balance: balance`.

    Empty if there is none, or if a table that Python makes is in between: its code determines the use.
    """
    return tuple(sorted(set(_far(table, column, frozenset()))))


def record_lineage(connection: duckdb.DuckDBPyConnection) -> None:
    """Record the sources of columns, for `marts.data_dictionary` and Dagster. Run inside a transaction.

    They are those of the published tables and of the models. While the declarations are those of the last run, nothing
    is done; while they are those of `sql/parsed.json`, nothing is parsed.
    """
    own = declarations_hash()
    if connection.execute("SELECT lineage_hash FROM staging.layout").fetchall() == [(own,)]:
        return
    readable = {table.full_name for table in published()}
    rows = [
        (name, column, name in readable, source, fields)
        for name, columns in (section("lineage", own) or column_sources()).items()
        for column, (source, fields) in columns.items()
    ]
    connection.execute("DELETE FROM staging.column_sources")
    # A list for each column: executemany would be a thousand times slower.
    connection.execute(
        "INSERT INTO staging.column_sources (table_name, column_name, is_published, source, vendor_fields) "
        "SELECT unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)",
        [list(values) for values in zip(*rows, strict=True)],
    )
    connection.execute("UPDATE staging.layout SET lineage_hash = ?", [own])


def column_sources() -> dict[str, dict[str, list[str | None]]]:
    """By published table or model: its columns, each with its direct sources and its vendor fields as text, or None."""
    names = sorted({table.full_name for table in published()} | discover().keys())
    return {
        name: {
            column: [_SEPARATOR.join(sources) or None, _SEPARATOR.join(vendor_fields(name, column)) or None]
            for column, sources in direct_sources()[name].items()
        }
        for name in names
    }


def recorded_sources(connection: duckdb.DuckDBPyConnection, table: str) -> Sources:
    """Direct sources of a model's columns, as `record_lineage` recorded them."""
    rows = connection.execute(
        "SELECT column_name, source FROM staging.column_sources WHERE table_name = ?", [table]
    ).fetchall()
    return {column: tuple(source.split(_SEPARATOR)) if source else () for column, source in rows}


def declarations_hash() -> str:
    """Hash of everything that lineage is computed from: models, tables, vendors' fields, and this code."""
    parts = [
        *((name, model.sql) for name, model in discover().items()),
        *((name, table.column_names, table.made_from) for name, table in ALL.items()),
        *((name, column, _fields(name, column)) for name, record in RECORDS.items() for column in record.column_names),
        *(table.full_name for table in published()),
        Path(__file__).read_bytes(),
    ]
    return sha256(repr(parts).encode()).hexdigest()[:16]


def _far(table: str, column: str, seen: frozenset[tuple[str, str]]) -> Iterator[str]:
    if (table, column) in seen:
        return
    sources = direct_sources().get(table, {}).get(column, ())
    if table.removeprefix("staging.") in RECORDS:
        yield from (each for each in sources if _is_field(each))
        return
    for source in sources:
        if source.count(".") == 2 and not _is_field(source):
            upstream, _, name = source.rpartition(".")
            yield from _far(upstream, name, seen | {(table, column)})


def _is_field(source: str) -> bool:
    return source.split(" ")[0] in discover_vendors()


# -- records ------------------------------------------------------------------------------------------------------


def _fields(kind: str, column: str) -> tuple[str, ...]:
    """Vendor fields of a column of a kind of record, by vendor and endpoint."""
    if column == "vendor":
        return ("accounts.toml vendor",)
    read = [
        (f"{vendor.name} {endpoint.name}", tuple(_places(records, column)))
        for vendor in discover_vendors().values()
        for endpoint in vendor.endpoints
        for records in endpoint.records
        if records.kind == kind
    ]
    found = [f"{where}: {place}" for where, places in read for place in places]
    if column in _OF_THE_ANSWER and not all(places for _, places in read):
        found.append(_OF_THE_ANSWER[column])
    return tuple(dict.fromkeys(found))


def _places(records: Records, column: str) -> Iterator[str]:
    if column in records.constants:
        yield f"always {records.constants[column]}"
    for field in records.fields:
        if field.column == column:
            yield _place(records.at, field)
    if column == "usage_date" and records.is_of_window:
        yield "the day that was asked for"


def _place(at: str, field: Field) -> str:
    if field.expression:
        return f"{at}: {field.expression}" if at else field.expression
    paths = [f"{at}.{source}" if at else source for source in field.sources]
    words = paths[0] + (f" (or {', '.join(paths[1:])})" if paths[1:] else "")
    return f"{words}, computed" if field.compute else words


# -- SELECTs ------------------------------------------------------------------------------------------------------


def _of_select(sql: str, columns: tuple[str, ...]) -> Sources:
    import sqlglot
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    query = qualify(
        sqlglot.parse_one(sql, read="duckdb"), schema=_schema(), dialect="duckdb", validate_qualify_columns=False
    )
    scope = build_scope(query)
    found = {}
    for column in columns:
        node = lineage(column, query, {}, dialect="duckdb", scope=scope, trim_selects=False, copy=False)
        names = {_full_name(each.source, each.name) for each in node.walk() if not each.downstream}
        found[column] = tuple(sorted(filter(None, names)))
    return found


def _full_name(source: object, name: str) -> str | None:
    from sqlglot import exp

    if not isinstance(source, exp.Table) or not source.db:
        return None
    # The parser's names are in lower case; FOCUS uses CamelCase.
    column = name.rpartition(".")[2].strip('"')
    by_lower = {each.lower(): each for each in _tables()[f"{source.db}.{source.name}"]}
    return f"{source.db}.{source.name}.{by_lower[column.lower()]}"


@cache
def _tables() -> dict[str, dict[str, str]]:
    def typed(table: Table) -> dict[str, str]:
        return {column.name: str(column.column.type) for column in table.columns}

    return {
        **{name: typed(table) for name, table in ALL.items()},
        **{record.full_name: {"vendor": "VARCHAR", **typed(record)} for record in RECORDS.values()},
    }


@cache
def _schema() -> dict[str, object]:
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for name, columns in _tables().items():
        layer, table = name.split(".")
        schema.setdefault(layer, {})[table] = columns
    return {**schema}
