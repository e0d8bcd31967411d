"""Every column, defined once in `sql/columns/<theme>.yaml`: its name, meaning, type, unit and bounds.

A table (`pipeline.schema.tables`) lists names from there, so the same quantity has the same name, type and meaning
wherever it occurs. The name's suffix gives type, unit and bounds; a file states only what differs:

    spend_date: The day of the spend.
    tax_basis:
      doc: Whether amounts include VAT.
      allowed: [gross, net, unknown]

Further keys: `type` (a member of Type in lower case), `unit`, `minimum` and `maximum` (`none` removes that of the
suffix), and `allowed_like`, which names a column whose allowed values are also valid here. `allowed: SEVERITIES` takes
a tuple of `pipeline.schema.severities`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

import msgspec

from pipeline.schema import severities
from pipeline.schema.definition_files import checked, read_mapping
from pipeline.schema.sql_folder import COLUMNS_FOLDER, shown
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE
from pipeline.support.errors import DrawdownError


class Type(StrEnum):
    """Column types, valued by their DuckDB spelling."""

    TEXT = "VARCHAR"
    BOOLEAN = "BOOLEAN"
    INTEGER = "BIGINT"
    DATE = "DATE"
    INSTANT = "TIMESTAMP WITH TIME ZONE"
    MONEY = f"DECIMAL({MONEY_PRECISION},{MONEY_SCALE})"
    RATE = "DECIMAL(18,9)"
    NUMBER = "DOUBLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, wherever it is used."""

    name: str
    type: Type
    doc: str
    unit: str | None = None
    """Unit: seconds, days, rows, `unit_code` for money, ratio."""
    minimum: int | None = None
    maximum: int | None = None
    allowed: tuple[str, ...] = ()
    """For text: the allowed values."""


_SUFFIXES: Final[dict[str, Type]] = {
    "_at_utc": Type.INSTANT,
    "_of_utc": Type.INSTANT,
    "_date": Type.DATE,
    "_month": Type.DATE,
    "_seconds": Type.NUMBER,
    "_months": Type.NUMBER,
    "_days": Type.NUMBER,
    "_ratio": Type.NUMBER,
    "_probability": Type.NUMBER,
    "_amount": Type.MONEY,
    "_rate": Type.RATE,
    "_rows": Type.INTEGER,
    "_count": Type.INTEGER,
    "_number": Type.INTEGER,
    "_id": Type.TEXT,
    "_code": Type.TEXT,
}
_UNITS: Final[dict[str, str]] = {
    "_seconds": "seconds",
    "_months": "months",
    "_days": "days",
    "_ratio": "ratio",
    "_probability": "probability",
    "_rows": "rows",
    "_date": "UTC day",
    "_month": "first day of the UTC month",
    "_at_utc": "UTC instant",
    "_of_utc": "UTC instant",
}
_BOUNDS: Final[dict[str, tuple[int, int | None]]] = {
    **dict.fromkeys(("_seconds", "_months", "_days", "_ratio", "_rate", "_rows", "_count"), (0, None)),
    "_probability": (0, 1),
}
"""Minimum and maximum, unless a column's definition has its own."""
# FOCUS, the FinOps Open Cost and Usage Specification, names its columns in CamelCase; our additions are x_CamelCase.
# `.sqlfluff` has the same pattern.
_FOCUS_NAME: Final = re.compile(r"(x_)?([A-Z][a-z]+)+")
_FOCUS_SUFFIXES: Final[dict[str, Type]] = {
    "Cost": Type.MONEY,
    "Price": Type.MONEY,
    "Quantity": Type.MONEY,
    "Start": Type.INSTANT,
    "End": Type.INSTANT,
}
# Well-known names whose type is not that of their suffix.
_EXCEPTIONS: Final = frozenset({"status_code", "invoice_number"})


def suffix_of(name: str) -> str | None:
    """The unit-bearing suffix of a column's name, longest first, or None."""
    found = [suffix for suffix in _SUFFIXES if name.endswith(suffix)]
    return max(found, key=len) if found else None


def is_focus_name(name: str) -> bool:
    """Whether a column has a FOCUS name, or is one of our additions to that standard: `x_...`."""
    return bool(_FOCUS_NAME.fullmatch(name))


def _focus_type(name: str) -> Type:
    if name.startswith("x_Is"):
        return Type.BOOLEAN
    return next((kind for suffix, kind in _FOCUS_SUFFIXES.items() if name.endswith(suffix)), Type.TEXT)


def _focus_problem(column: Column) -> str | None:
    wanted = _focus_type(column.name)
    return None if column.type is wanted else f"{column.name} must be {wanted}, not {column.type}"


def suffix_problem(column: Column) -> str | None:
    """Sentence on how a column's name contradicts its type or unit; None if it does not."""
    if column.name in _EXCEPTIONS:
        return None
    if is_focus_name(column.name):
        return _focus_problem(column)
    suffix = suffix_of(column.name)
    if column.name.startswith(("is_", "has_")):
        return None if column.type is Type.BOOLEAN else f"{column.name} must be BOOLEAN"
    if column.type is Type.BOOLEAN:
        return f"{column.name} is BOOLEAN, so its name begins with is_ or has_"
    if suffix is None:
        bearing = {Type.MONEY: "_amount", Type.INSTANT: "_at_utc"}.get(column.type)
        return f"{column.name} is {column.type}, so its name ends with {bearing}" if bearing else None
    # A number of whole days, as in a horizon, is no measured duration.
    is_count_of_days = suffix == "_days" and column.type is Type.INTEGER
    if _SUFFIXES[suffix] is not column.type and not is_count_of_days:
        return f"{column.name} ends with {suffix}, so it must be {_SUFFIXES[suffix]}, not {column.type}"
    if suffix in _UNITS and column.unit != _UNITS[suffix]:
        return f"{column.name} ends with {suffix}, so its unit is {_UNITS[suffix]!r}, not {column.unit!r}"
    return None


# -- the files ----------------------------------------------------------------------------------------------------


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Definition of a column in its file."""

    doc: str
    type: Literal["text", "boolean", "integer", "date", "instant", "money", "rate", "number"] | None = None
    unit: str | None = None
    minimum: int | Literal["none"] | None = None
    """`none`: none, whatever the suffix says."""
    maximum: int | Literal["none"] | None = None
    allowed: list[str] | str | None = None
    allowed_like: str | None = None


def load_columns(folder: Path) -> dict[str, Column]:
    """Load every column that the files `<theme>.yaml` of a folder define, by name.

    Raises DrawdownError for a file that cannot be read, a name that two files define, and a definition with an unknown
    key, an unknown type, or unknown allowed values.
    """
    entries: dict[str, tuple[str, _Entry]] = {}
    for path in sorted(folder.glob("*.yaml")):
        for name, found in read_mapping(path, shown(path)).items():
            where = f"{shown(path)}: {name}"
            if name in entries:
                raise DrawdownError(f"{where} is defined in {entries[name][0].partition(':')[0]} as well: remove one")
            entries[name] = (where, checked({"doc": found} if isinstance(found, str) else found, _Entry, where))
    return {name: _column(name, where, entry, entries) for name, (where, entry) in entries.items()}


def _column(name: str, where: str, entry: _Entry, entries: dict[str, tuple[str, _Entry]]) -> Column:
    kind, unit, (minimum, maximum) = _by_name(name)
    if entry.type is not None and Type[entry.type.upper()] is not kind:
        # The suffix is part of a well-known name, and determines neither unit nor bounds.
        kind, unit, minimum, maximum = Type[entry.type.upper()], None, None, None
    return Column(
        name=name,
        type=kind,
        doc=entry.doc,
        unit=unit if entry.unit is None else entry.unit,
        minimum=_bound(entry.minimum, minimum),
        maximum=_bound(entry.maximum, maximum),
        allowed=_allowed(where, entry, entries),
    )


def _bound(own: int | Literal["none"] | None, by_name: int | None) -> int | None:
    if own == "none":
        return None
    return by_name if own is None else own


def _by_name(name: str) -> tuple[Type, str | None, tuple[int | None, int | None]]:
    """Type, unit and bounds by a column's name."""
    if is_focus_name(name):
        kind = _focus_type(name)
        return kind, "UTC instant" if kind is Type.INSTANT else None, (None, None)
    suffix = suffix_of(name)
    if name.startswith(("is_", "has_")) or suffix is None:
        return Type.BOOLEAN if name.startswith(("is_", "has_")) else Type.TEXT, None, (None, None)
    kind = _SUFFIXES[suffix]
    return kind, "unit_code" if kind is Type.MONEY else _UNITS.get(suffix), _BOUNDS.get(suffix, (None, None))


def _allowed(where: str, entry: _Entry, entries: dict[str, tuple[str, _Entry]]) -> tuple[str, ...]:
    like: tuple[str, ...] = ()
    if entry.allowed_like is not None:
        if entry.allowed_like not in entries:
            raise DrawdownError(
                f"{where}: allowed_like names {entry.allowed_like}, which no file of sql/columns defines"
            )
        like = _allowed(*entries[entry.allowed_like], entries)
    if isinstance(entry.allowed, str):
        values = getattr(severities, entry.allowed, None)
        if values is None:
            raise DrawdownError(
                f"{where}: allowed must be a list of values, or a name of pipeline/schema/severities.py, "
                f"not {entry.allowed}"
            )
        return (*like, *values)
    return (*like, *(entry.allowed or ()))


COLUMNS: Final[dict[str, Column]] = load_columns(COLUMNS_FOLDER)
"""Every column by name."""
