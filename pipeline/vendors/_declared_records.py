"""The records of a declaration: where each column of a row comes from, and how its value is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pipeline.schema.columns import Type
from pipeline.schema.exact_amounts import exact_sum
from pipeline.schema.tables import RECORDS, TableColumn
from pipeline.schema.units import is_unit_code
from pipeline.support.json_paths import JsonPath
from pipeline.vendors._declared_tables import FieldTable, Place, RecordsTable, VendorTable
from pipeline.vendors._port import Field, Reads, Records

_OWN_COLUMNS: Final = frozenset(
    {
        "account_id",
        "fetch_id",
        "row_number",
        "observed_at_utc",
        "loaded_at_utc",
        "extra_json",
        "first_observed_at_utc",
        "first_stated_amount",
        "is_partial",
        "covers_from_date",
        "covers_to_date",
    }
)
"""Columns of records that no declaration fills."""
_READS: Final = {
    Type.TEXT: Reads.TEXT,
    Type.MONEY: Reads.MONEY,
    Type.NUMBER: Reads.NUMBER,
    Type.INSTANT: Reads.INSTANT,
    Type.DATE: Reads.DATE,
    Type.BOOLEAN: Reads.FLAG,
}


class DeclarationError(Exception):
    """A mistake at a place of the declaration; the message is a sentence without the place."""

    def __init__(self, place: Place, words: str) -> None:
        super().__init__(words)
        self.place = place


def read_records(table: RecordsTable, place: Place, vendor: VendorTable, beside: list[str]) -> Records:
    """Make the records of one kind from their table at `place`; `beside` are keys of the body that are no fields.

    Raises DeclarationError with the first mistake.
    """
    if table.kind not in RECORDS:
        raise DeclarationError((*place, "kind"), f"must be one of {', '.join(RECORDS)}")
    columns = {each.name: each for each in RECORDS[table.kind].columns if each.name not in _OWN_COLUMNS}
    constants: dict[str, str] = {}
    fields: list[Field] = []
    # Where the body is the row, its other keys are the row's.
    ignored = [*table.ignored, *([] if table.rows else beside)]
    for name, each in table.fields.items():
        where = (*place, "fields", name)
        if name not in columns:
            raise DeclarationError(where, f"is no column of {table.kind}; its columns: {', '.join(columns)}")
        if each.constant is not None:
            if each.path:
                raise DeclarationError(where, "has a path or a constant, not both")
            constants[name] = _constant(each.constant, columns[name], where)
            continue
        fields.append(_field(columns[name], each, where))
        # The keys of a computed field, besides the first.
        ignored += _first_keys(each.path) if fields[-1].compute else ()
    if vendor.unit is not None and "unit_code" in columns and "unit_code" not in table.fields:
        constants["unit_code"] = vendor.unit
    given = constants.keys() | {each.column for each in fields}
    in_window = {"usage_date"} if table.day_is_window else set()
    for name, column in columns.items():
        if not column.is_nullable and name not in given | in_window:
            raise DeclarationError((*place, "fields"), f"{name} is missing: every row of {table.kind} has one")
    if not any(each.is_required for each in fields):
        raise DeclarationError((*place, "fields"), "needs a required field, which tells when the rows are gone")
    return Records(
        kind=table.kind,  # type: ignore[arg-type]  # one of RECORDS
        at=table.rows,
        fields=tuple(fields),
        constants=constants,
        ignored=tuple(dict.fromkeys(ignored)),
        keeps_extra=table.keeps_extra,
        parts_add_up=table.parts_add_up,
        is_optional=table.optional,
        covers_window=table.covers == "window",
        covers_day_before=table.covers == "day_before",
        is_of_window=table.day_is_window,
    )


def _field(column: TableColumn, table: FieldTable, place: Place) -> Field:
    reads = _reads(column, table, place)
    is_amount = reads in (Reads.MONEY, Reads.DOLLARS, Reads.NUMBER)
    if not table.path:
        raise DeclarationError(place, "needs a path or a constant")
    if len(table.path) > 1 and not is_amount:
        raise DeclarationError((*place, "path"), "only amounts and numbers are added up; give one path")
    if table.scale and reads is not Reads.MONEY:
        raise DeclarationError((*place, "scale"), "only an amount has a scale")
    terms = [_term(text, (*place, "path"), is_amount=is_amount) for text in table.path]
    [(sign, path, is_optional), *others] = terms
    is_plain = not others and sign > 0 and not is_optional and path.is_plain
    # An amount whose declared unit is missing would be in another one.
    is_needed = not column.is_nullable or column.name == "unit_code"
    is_required = is_needed if table.required is None else table.required
    return Field(
        column=column.name,
        sources=(path.text if is_plain else path.first_key,),
        reads=reads,
        is_required=is_required,
        # What a vendor only sometimes states is no drift.
        is_documented=is_required if table.documented is None else table.documented,
        choices=_choices(table, column, place),
        otherwise=None if table.otherwise is None else _allowed(table.otherwise, column, place),
        absent=None if table.absent is None else _allowed(table.absent, column, place),
        minor_digits=table.scale,
        compute=None if is_plain else _sum_of(terms) if is_amount else _only_value_of(path),
        expression="" if is_plain and not table.scale else _expression(table),
    )


def _choices(table: FieldTable, column: TableColumn, place: Place) -> dict[str, str]:
    made: dict[str, str] = {}
    for word, value in table.choices.items():
        # Words are compared without regard to letter case and surrounding blanks.
        known = word.strip().lower()
        if known in made:
            raise DeclarationError((*place, "choices", word), "is there twice, in another letter case")
        made[known] = _allowed(value, column, place)
    return made


def _reads(column: TableColumn, table: FieldTable, place: Place) -> Reads:
    if table.choices:
        if column.column.type is not Type.TEXT:
            raise DeclarationError((*place, "choices"), f"{column.name} is no word")
        return Reads.CHOICE
    if table.otherwise is not None or table.absent is not None:
        raise DeclarationError(place, "otherwise and absent belong to choices")
    if column.name.endswith("unit_code"):
        return Reads.UNIT
    reads = _READS[column.column.type]
    if table.dollars:
        if reads is not Reads.MONEY:
            raise DeclarationError((*place, "dollars"), f"{column.name} is no amount")
        return Reads.DOLLARS
    if table.utc:
        if reads is not Reads.INSTANT:
            raise DeclarationError((*place, "utc"), f"{column.name} is no instant")
        return Reads.INSTANT_UTC
    if column.column.allowed:
        raise DeclarationError(place, f"needs choices: {column.name} is one of {', '.join(column.column.allowed)}")
    return reads


def _constant(value: str, column: TableColumn, place: Place) -> str:
    if column.column.type is not Type.TEXT:
        raise DeclarationError((*place, "constant"), f"is a text, but {column.name} is none: give it a path")
    if column.name.endswith("unit_code") and not is_unit_code(value):
        raise DeclarationError((*place, "constant"), "must be an ISO 4217 code such as USD, or a unit of the vendor")
    return _allowed(value, column, place)


def _allowed(value: str, column: TableColumn, place: Place) -> str:
    if column.column.allowed and value not in column.column.allowed:
        raise DeclarationError(place, f"{value!a} is no value of {column.name}: {', '.join(column.column.allowed)}")
    return value


_Term = tuple[int, JsonPath, bool]
"""Sign, path, and whether an absent value counts as nothing."""


def _term(text: str, place: Place, *, is_amount: bool) -> _Term:
    sign = -1 if text.startswith("-") else 1
    bare = text.removeprefix("-") if sign < 0 else text.removeprefix("+")
    is_optional = bare.endswith("?")
    bare = bare.removesuffix("?").strip()
    if not is_amount and bare != text:
        raise DeclarationError(place, "only paths of amounts and numbers have a sign or end in ?")
    if not bare:
        raise DeclarationError(place, "is empty")
    try:
        return sign, JsonPath.parse(bare), is_optional
    except ValueError as problem:
        raise DeclarationError(place, str(problem)) from None


def _sum_of(terms: list[_Term]) -> Callable[[Mapping[str, object]], object]:
    def compute(row: Mapping[str, object]) -> object:
        parts: list[tuple[int, object]] = []
        for sign, path, is_optional in terms:
            values = path.places(row)
            # A sum of which a part is missing would be a smaller one.
            if not is_optional and (not values or None in values):
                return None
            parts += [(sign, value) for value in values if value is not None]
        # No reader of money accepts a list: an amount of parts that cannot be added is rejected, with them as its text.
        return (exact_sum(parts) or [value for _, value in parts]) if parts else None

    return compute


def _only_value_of(path: JsonPath) -> Callable[[Mapping[str, object]], object]:
    def compute(row: Mapping[str, object]) -> object:
        values = path.find(row)
        is_one = len({str(value) for value in values}) == 1
        return values[0] if is_one else values or None

    return compute


def _first_keys(paths: tuple[str, ...]) -> Iterator[str]:
    for text in paths:
        _, path, _ = _term(text, (), is_amount=True)
        if path.first_key:
            yield path.first_key


def _expression(table: FieldTable) -> str:
    words = " ".join(text if text[0] in "+-" else f"+{text}" for text in table.path).removeprefix("+")
    return f"({words}) / 10^{table.scale}" if table.scale else words
