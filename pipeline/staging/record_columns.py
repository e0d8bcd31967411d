"""The rows of one kind of record as typed columns, and which of them meet their table's contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from operator import itemgetter

import msgspec
import polars as pl

from pipeline.schema.columns import COLUMNS, Type
from pipeline.schema.render import contract, polars_schema, polars_type
from pipeline.schema.tables import RECORDS
from pipeline.staging.answers import Drift, Landed, Reject, shown
from pipeline.staging.byhand import TIME, names_its_time
from pipeline.staging.convert import convert
from pipeline.support.json_paths import dig
from pipeline.vendors._port import Field, Records

_SENTINEL = Decimal(-1)
"""A balance with which APIs say that they do not know it. Other negative balances are debts."""


@dataclass(slots=True)
class AnswerRows:
    """The rows of one kind of record in a batch of answers; the lists have one entry a row."""

    rows: list[Mapping[str, object]]
    owners: list[int]
    """The position of the answer in the batch."""
    numbers: list[int]
    """The position of the row in its answer, from 1."""
    _keys: frozenset[str] | None = None

    def add(self, rows: Sequence[Mapping[str, object]], owner: int, numbers: Sequence[int]) -> None:
        """Append rows of one answer."""
        self.rows.extend(rows)
        self.owners.extend([owner] * len(rows))
        self.numbers.extend(numbers)
        self._keys = None

    def only(self, places: Sequence[int]) -> AnswerRows:
        """Return the rows at these positions."""
        if len(places) == len(self.rows):
            return self
        return AnswerRows(
            [self.rows[place] for place in places],
            [self.owners[place] for place in places],
            [self.numbers[place] for place in places],
        )

    def keys(self) -> frozenset[str]:
        """Return all keys that any row has."""
        if self._keys is None:
            self._keys = frozenset().union(*set(map(tuple, self.rows)))
        return self._keys


@dataclass(frozen=True, slots=True)
class Columns:
    """The fields of n rows as typed columns."""

    values: dict[str, pl.Series]
    """By column name: (n,), NULL where the value is absent or cannot be read."""
    exact: dict[int, dict[str, object]]
    """By position of the row: the fields whose amounts were rounded, as the answer states them."""


def _values_of_key(key: str, rows: list[Mapping[str, object]], keys: frozenset[str]) -> list[object]:
    """Return the value of a top-level key in each row, None where it is absent."""
    if key not in keys:
        return [None] * len(rows)
    try:
        return list(map(itemgetter(key), rows))
    except KeyError:
        return [row.get(key) for row in rows]


def value_of(field: Field, row: Mapping[str, object]) -> object:
    """Return a field's value in one row, from the first of its sources that has one; None where none has."""
    if field.compute is not None:
        return field.compute(row)
    for source in field.sources:
        value = dig(row, source)
        if value is not None:
            return value
    return None


def read_columns(
    records: Records, rows: AnswerRows, drift: list[Drift], *, money_is_float: bool
) -> tuple[Columns, list[Reject]]:
    """Convert the declared fields of n rows to typed columns.

    Returns the columns and one Reject for each value that costs its row: one that cannot be read exactly, is missing
    though required, or is the sentinel of an unknown balance. Other unreadable values become NULL. Adds them to
    `drift`, once an answer and column, as well as amounts that were rounded because `money_is_float`.
    """
    columns = Columns({}, {})
    rejects: list[Reject] = []
    keys = rows.keys()
    optional: list[tuple[Field, pl.Series, Sequence[object]]] = []

    def reject(where: pl.Series, field: Field, check: str, raw: Sequence[object]) -> None:
        rejects.extend(
            Reject(rows.owners[index], rows.numbers[index], field.column, check, shown(raw[index]))
            for index in where.arg_true().to_list()
        )

    raw: Sequence[object]
    for field in records.fields:
        first = field.sources[0]
        if field.compute is None and len(field.sources) == 1 and "." not in first:
            raw = _values_of_key(first, rows.rows, keys)
        else:
            raw = [value_of(field, row) for row in rows.rows]
        converted = convert(field, raw, money_is_float=money_is_float)
        columns.values[field.column] = converted.values
        if field.costs_its_row:
            for where, check in converted.refusals():
                reject(where, field, check, raw)
        else:
            outside = _outside(field, converted.values)
            columns.values[field.column] = converted.values.set(outside, None)
            optional.append((field, converted.refused | outside, raw))
        if converted.rounded_rows:
            drift += _rounded(field, rows, converted.rounded_rows)
            for index in converted.rounded_rows:
                # A computed amount is not what the vendor's first key says.
                columns.exact.setdefault(index, {})[field.column if field.compute else first] = raw[index]
        # In a file kept by hand, -1 is a balance; so is a result of arithmetic.
        is_as_stated = field.compute is None and not field.minor_digits
        if field.column == "balance_amount" and is_as_stated and not names_its_time(records):
            reject((converted.values == _SENTINEL).fill_null(False), field, "is_no_sentinel", raw)
        if field.is_required:
            reject(converted.values.is_null() & ~converted.refused, field, "is_present", raw)
    bad = {(each.answer, each.row_number) for each in rejects}
    for field, unreadable, raw in optional:
        drift += _unreadable(field, rows, unreadable, raw, bad)
    return columns, rejects


def _rounded(field: Field, rows: AnswerRows, rounded_rows: Sequence[int]) -> list[Drift]:
    """Return one entry for each answer in which amounts were rounded: its first row, and how many there are."""
    counts = Counter(rows.owners[index] for index in rounded_rows)
    firsts = {rows.owners[index]: rows.numbers[index] for index in reversed(rounded_rows)}
    return [Drift(owner, firsts[owner], field.column, "rounded_amount", str(count)) for owner, count in counts.items()]


def _unreadable(
    field: Field, rows: AnswerRows, where: pl.Series, raw: Sequence[object], bad: set[tuple[int, int]]
) -> list[Drift]:
    """Return the first unreadable value of an optional field in each answer, rejected rows (`bad`) left out."""
    found: dict[int, Drift] = {}
    for index in where.arg_true().to_list():
        owner, number = rows.owners[index], rows.numbers[index]
        if owner not in found and (owner, number) not in bad:
            found[owner] = Drift(owner, number, field.column, "unreadable_field", shown(raw[index]))
    return list(found.values())


def _outside(field: Field, values: pl.Series) -> pl.Series:
    """Return where values are outside their column's bounds, for which the contract would reject the row."""
    column = COLUMNS[field.column]
    outside = pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(values))
    if column.minimum is not None:
        outside |= (values < column.minimum).fill_null(False)
    if column.maximum is not None:
        outside |= (values > column.maximum).fill_null(False)
    return outside


def record_frame(records: Records, rows: AnswerRows, columns: Columns, answers: Sequence[Landed]) -> pl.DataFrame:
    """Assemble the columns of the record's table from fields, constants and the answers themselves.

    Returns n rows with the table's columns in their order, without loaded_at_utc, and `_answer`: the position of the
    answer in the batch. Nothing is checked yet.
    """
    height = len(rows.rows)
    whose = pl.Series(rows.owners, dtype=pl.UInt32)

    def of_answers(values: Sequence[object], dtype: pl.DataType) -> pl.Series:
        return pl.Series(values, dtype=dtype).gather(whose)

    made = dict(columns.values)
    made["account_id"] = of_answers([each.account_id for each in answers], pl.String())
    made["fetch_id"] = of_answers([each.fetch_id for each in answers], pl.String())
    made["row_number"] = pl.Series(rows.numbers, dtype=pl.Int64)
    if TIME not in made:
        made[TIME] = of_answers([each.fetched_at_utc for each in answers], polars_type(Type.INSTANT))
    for name, value in records.constants.items():
        made[name] = pl.Series([value] * height, dtype=pl.String)
    if records.is_of_window:
        made["usage_date"] = of_answers([each.window_from_date for each in answers], pl.Date())
    if records.kind in ("usage_days", "resource_days"):
        # The day was not over at the time of the request: its figures still grow.
        observed_days = made["observed_at_utc"].dt.date()
        made["is_partial"] = (made["usage_date"] >= observed_days).fill_null(False)
    if "first_observed_at_utc" in RECORDS[records.kind].column_names:
        made["first_observed_at_utc"] = made["observed_at_utc"]
    if records.kind == "ledger_entries":
        made["first_stated_amount"] = made["stated_amount"]
    if records.covers_day_before:
        days = [each.fetched_at_utc.date() - timedelta(days=1) for each in answers]
        made["covers_from_date"] = made["covers_to_date"] = of_answers(days, pl.Date())
    if records.covers_window:
        made["covers_from_date"] = of_answers([each.window_from_date for each in answers], pl.Date())
        made["covers_to_date"] = of_answers([each.window_to_date for each in answers], pl.Date())
    if records.covers_next_days is not None:
        days = [each.fetched_at_utc.date() for each in answers]
        made["covers_from_date"] = of_answers(days, pl.Date())
        last = timedelta(days=records.covers_next_days - 1)
        made["covers_to_date"] = of_answers([day + last for day in days], pl.Date())
    if records.keeps_extra or columns.exact:
        known = {source for field in records.fields for source in field.sources} | set(records.ignored)
        has_more = records.keeps_extra and not rows.keys() <= known
        if has_more or columns.exact:
            extras = [
                _extra(row if records.keeps_extra else {}, known, columns.exact.get(index))
                for index, row in enumerate(rows.rows)
            ]
            made["extra_json"] = pl.Series(extras, dtype=pl.String)
    schema = polars_schema(RECORDS[records.kind])
    del schema["loaded_at_utc"]
    empty = {name: pl.Series([None] * height, dtype=dtype) for name, dtype in schema.items() if name not in made}
    frame = pl.DataFrame({name: (made | empty)[name] for name in schema})
    return frame.with_columns(whose.cast(pl.Int64).alias("_answer"))


def _extra(row: Mapping[str, object], known: set[str], exact: Mapping[str, object] | None) -> str | None:
    """Return as JSON what no column holds: the row's other fields, and rounded amounts as stated; None if nothing."""
    rest = {key: value for key, value in row.items() if key not in known} | dict(exact or {})
    return msgspec.json.encode(rest, order="sorted").decode() if rest else None


def split_by_contract(kind: str, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Reject]]:
    """Return the rows that meet their table's contract, and a Reject for each rule that another row breaks.

    `frame` is as `record_frame` returns it. Raises TypeError if a column has the wrong name or type.
    """
    import pandera.errors
    from pandera.api.polars.container import DataFrameSchema

    schema: DataFrameSchema = contract(RECORDS[kind]).remove_columns(["loaded_at_utc"])
    try:
        schema.validate(frame.drop("_answer"), lazy=True)
    except pandera.errors.SchemaErrors as problems:
        cases = problems.failure_cases
        if cases["index"].null_count():
            # A column of the wrong type or name is a mistake here, not the vendor's: it must not become a reject.
            raise TypeError(f"staging.{kind} is built against its contract: {problems.schema_errors}") from None
        rejects = [
            Reject(
                frame["_answer"][row["index"]],
                frame["row_number"][row["index"]],
                row["column"],
                str(row["check"]),
                shown(row["failure_case"]),
            )
            for row in cases.iter_rows(named=True)
        ]
        bad = cases["index"].unique().to_list()
        return frame.with_row_index("_row").filter(~pl.col("_row").is_in(bad)).drop("_row"), rejects
    return frame, []
