"""Checksums of tables: their SQL, and the columns and tables that are excluded because every build differs in them.

A row becomes one text in which every value has a canonical form (exact, UTC, NULL distinct from the empty text) and
follows its length, so that different rows have different texts. The SHA-256 hashes of all rows are added up as four
64-bit numbers. So the order of rows, storage, threads and DuckDB's version make no difference, and a repeated row does.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from pipeline.schema.columns import Type
from pipeline.schema.tables import ALL

PER_BUILD_COLUMNS: Final = ("loaded_at_utc", "quarantined_at_utc")
"""Columns with the time when something was built, or found while building: excluded from every table. The start of a
quarantine depends on the builds in between, and not on landing."""

PER_BUILD_TABLES: Final = {table.full_name: table.per_build for table in ALL.values() if table.per_build}
"""Tables that are excluded because they describe no accounts, with the reason."""

DIGITS: Final = 32
"""Hexadecimal digits of a checksum: 128 bits."""

_WHOLE: Final = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_AS_IT_IS: Final = "CAST({0} AS VARCHAR)"
# Whole microseconds do not depend on the session's time zone; infinity has none.
_MICROSECONDS: Final = "coalesce(CAST(epoch_us({0}) AS VARCHAR), CAST(CAST({0} AS VARCHAR) LIKE '-%' AS VARCHAR))"
# 17 digits distinguish every double from every other, and adding zero makes a negative zero a zero.
_FLOAT: Final = "printf('%.17g', CAST({0} AS DOUBLE) + 0.0)"
# The same value at another scale is the same value.
_DECIMAL: Final = """CASE WHEN contains(CAST({0} AS VARCHAR), '.')
    THEN rtrim(rtrim(CAST({0} AS VARCHAR), '0'), '.') ELSE CAST({0} AS VARCHAR) END"""
_TEXTS: Final[dict[str, str]] = {
    Type.TEXT: "{0}",
    Type.BOOLEAN: _AS_IT_IS,
    Type.DATE: _AS_IT_IS,
    Type.INSTANT: _MICROSECONDS,
    Type.NUMBER: _FLOAT,
    # Types that only occur in files of other origin.
    **{sign + name: _AS_IT_IS for name in _WHOLE for sign in ("", "U")},
    "UUID": _AS_IT_IS,
    "BLOB": "hex({0})",
    "TIMESTAMP": _MICROSECONDS,
    "FLOAT": _FLOAT,
}


def checksum_query(name: str, columns: Mapping[str, str]) -> str:
    """A SELECT of one row: the table's rows, and four sums over the SHA-256 of each row (HUGEINT, NULL where empty).

    `columns` are the names and DuckDB types of the columns that count. Raises ValueError for a type without one
    exact text.
    """
    lanes = ", ".join(
        f"sum(CAST('0x' || substr(digest, {first}, 16) AS UBIGINT)) AS sum_{first}" for first in range(1, 65, 16)
    )
    row = " || ".join(_field(column, columns[column]) for column in sorted(columns)) or "''"
    return f"SELECT count(*) AS row_count, {lanes} FROM (SELECT sha256({row}) AS digest FROM {name})"


def _field(column: str, data_type: str) -> str:
    value = '"' + column.replace('"', '""') + '"'
    pattern = _DECIMAL if data_type.startswith("DECIMAL(") else _TEXTS.get(data_type)
    if pattern is None:
        raise ValueError(f"column {column} is of type {data_type}, for which no checksum is defined")
    text = pattern.format(value)
    return f"CASE WHEN {value} IS NULL THEN '-' ELSE strlen({text}) || ':' || {text} END"


def digest(columns: Mapping[str, str], row: tuple[int | None, ...]) -> str:
    """Checksum of a table, from the names of its columns and the row that `checksum_query` returns."""
    parts = [*sorted(columns), *(str(number or 0) for number in row)]
    return sha256("\n".join(parts).encode()).hexdigest()[:DIGITS]


def overall(checksums: Mapping[str, str]) -> str:
    """The checksum over all tables, from each one's."""
    return sha256("\n".join(f"{name} {checksums[name]}" for name in sorted(checksums)).encode()).hexdigest()[:DIGITS]
