"""Mapping of the DuckDB file's columns to PostgreSQL: the type, and the values as COPY text."""

from __future__ import annotations

import re
from typing import Final

_SCALARS: Final = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "UTINYINT": "smallint",
    "INTEGER": "integer",
    "USMALLINT": "integer",
    "BIGINT": "bigint",
    "UINTEGER": "bigint",
    "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(39,0)",
    "UHUGEINT": "numeric(39,0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "UUID": "uuid",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_LIST = re.compile(r"(.+)\[\d*\]")
_NESTED = re.compile(r"(JSON$|MAP\(|STRUCT\(|UNION\(|.*\[\d*\]$)", re.DOTALL)
# The only character that PostgreSQL's text cannot hold.
_NUL: Final = "chr(0)"
_INSTEAD: Final = "chr(65533)"


def postgres_type(duckdb_type: str) -> str:
    """PostgreSQL type that holds a DuckDB type exactly: lists of scalars as arrays, nested types as jsonb.

    Raises ValueError for a type without a counterpart.
    """
    scalar = _scalar(duckdb_type)
    if scalar:
        return scalar
    element = _element(duckdb_type)
    if element:
        return f"{element}[]"
    if _NESTED.match(duckdb_type):
        return "jsonb"
    raise ValueError(f"DuckDB's type {duckdb_type} has no counterpart in PostgreSQL that is known here")


def _scalar(duckdb_type: str) -> str | None:
    decimal = _DECIMAL.fullmatch(duckdb_type)
    if decimal:
        return f"numeric({decimal[1]},{decimal[2]})"
    return "text" if duckdb_type.startswith("ENUM(") else _SCALARS.get(duckdb_type)


def _element(duckdb_type: str) -> str | None:
    """Element type of a list of scalars."""
    match = _LIST.fullmatch(duckdb_type)
    return _scalar(match[1]) if match else None


def copied(column: str, duckdb_type: str) -> str:
    """DuckDB expression whose CSV text PostgreSQL reads as the same value; `column` is quoted already."""
    kind = postgres_type(duckdb_type)
    if kind == "text":
        return f"replace(CAST({column} AS VARCHAR), {_NUL}, {_INSTEAD})"
    if kind == "jsonb":
        # jsonb refuses the escaped NUL, too.
        return rf"replace(CAST(to_json({column}) AS VARCHAR), '\u0000', '\ufffd')"
    if kind.endswith("[]"):
        element = r"""replace(replace(CAST(x AS VARCHAR), '\', '\\'), '"', '\"')"""
        text = f"'\"' || replace({element}, {_NUL}, {_INSTEAD}) || '\"'"
        elements = f"list_transform({column}, lambda x: CASE WHEN x IS NULL THEN 'NULL' ELSE {text} END)"
        return f"CASE WHEN {column} IS NOT NULL THEN '{{' || array_to_string({elements}, ',') || '}}' END"
    return column


def is_quoted(duckdb_type: str) -> bool:
    """Whether the CSV text is quoted, which distinguishes an empty text from NULL."""
    kind = postgres_type(duckdb_type)
    return kind in ("text", "jsonb") or kind.endswith("[]")
