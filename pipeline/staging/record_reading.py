"""One kind of record out of many answers: typed rows, rejects with their reason, and changes of shape.

Answers are read in batches and column by column; a row is only looked at by itself when it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from operator import itemgetter

import msgspec
import polars as pl

from pipeline.schema.columns import COLUMNS, Type
from pipeline.schema.render import contract, polars_schema, polars_type
from pipeline.schema.tables import RECORDS
from pipeline.staging.answers import Drift, Landed, Reading, Refusal, Reject, first_of_each, shown
from pipeline.staging.byhand import TIME, find_refused_newest, names_its_time, refuse_the_future
from pipeline.staging.convert import convert
from pipeline.staging.repeats import settle_repeats
from pipeline.staging.shape import failures, see_envelope, see_rows
from pipeline.support.json_paths import dig
from pipeline.vendors._port import Endpoint, Field, Reads, Records

__all__ = ["Landed", "Reading", "read_endpoint"]

_SENTINEL = Decimal(-1)
"""How APIs say that they do not know a balance. Other negative balances are debts."""


def read_endpoint(endpoint: Endpoint, answers: Sequence[Landed], *, money_is_float: bool = False) -> list[Reading]:
    """Read all kinds of record that an endpoint's answers hold.

    An answer in whose every row a required amount is absent or unreadable is refused whole: an API whose money
    moved elsewhere is not to be believed in its other fields. So is one that says of itself that it failed, and one
    that cannot be read for a reason that nobody foresaw. Each answer is judged by itself, so that it comes to the same
    whichever others are read beside it.
    """
    refused = failures(endpoint, answers)
    try:
        return _read_all(endpoint, answers, refused, money_is_float=money_is_float)
    except Exception:
        for index, problem in _at_fault(endpoint, answers, range(len(answers)), money_is_float=money_is_float).items():
            refused.setdefault(index, Refusal("*", "answer_is_readable", type(problem).__name__))
        return _read_all(endpoint, answers, refused, money_is_float=money_is_float)


def _at_fault(
    endpoint: Endpoint, answers: Sequence[Landed], places: range, *, money_is_float: bool
) -> dict[int, Exception]:
    """The answers that raise when they are read, by halves."""
    part = [answers[place] for place in places]
    try:
        _read_all(endpoint, part, failures(endpoint, part), money_is_float=money_is_float)
    except Exception as problem:
        if len(places) == 1:
            return {places[0]: problem}
        half = len(places) // 2
        found: dict[int, Exception] = {}
        for some in (places[:half], places[half:]):
            found |= _at_fault(endpoint, answers, some, money_is_float=money_is_float)
        return found
    return {}


def _read_all(
    endpoint: Endpoint, answers: Sequence[Landed], refused: Mapping[int, Refusal], *, money_is_float: bool
) -> list[Reading]:
    readings = [
        _read(endpoint, records, answers, refused, money_is_float=money_is_float) for records in endpoint.records
    ]
    unread = set().union(*(_unreadable(reading, answers) for reading in readings if not reading.records.is_optional))
    for reading in readings:
        if unread:
            _refuse(reading, unread)
        settle_repeats(reading)
        if names_its_time(reading.records):
            find_refused_newest(reading)
    return readings


def _read(
    endpoint: Endpoint,
    records: Records,
    answers: Sequence[Landed],
    refused: Mapping[int, Refusal],
    *,
    money_is_float: bool,
) -> Reading:
    rows: list[Mapping[str, object]] = []
    owners: list[int] = []
    numbers: list[int] = []
    received: list[int] = []
    rejects: list[Reject] = []
    drift = see_envelope(endpoint, answers, refused)
    for index, answer in enumerate(answers):
        found = dig(answer.payload, records.at)
        if isinstance(found, dict) and found and all(key.isdecimal() for key in found):
            # A listing of which the vendor has filtered some rows out keeps the others under their numbers.
            found = list(found.values())
        candidates = found if isinstance(found, list) else [found] if isinstance(found, dict) else None
        if (why := refused.get(index)) is not None:
            # An answer that is not believed is one row at the least, so that it never passes for one without any.
            received.append(len(candidates or ()) or int(not records.is_optional))
            rejects += [
                Reject(index, number, why.column_name, why.check_name, why.value)
                for number in range(1, received[-1] + 1)
            ]
            continue
        if candidates is None:
            is_missed = found is not None or not records.is_optional
            if is_missed:
                rejects.append(Reject(index, 1, records.at or "body", "is_present", shown(found)))
                drift.append(Drift(index, 1, records.at or "body", "missing_field", shown(found)))
            received.append(int(is_missed))
            continue
        received.append(len(candidates))
        if all(type(row) is dict for row in candidates):
            rows += candidates
            owners += [index] * len(candidates)
            numbers += range(1, len(candidates) + 1)
            continue
        for number, row in enumerate(candidates, start=1):
            if isinstance(row, dict):
                rows.append(row)
                owners.append(index)
                numbers.append(number)
            else:
                rejects.append(Reject(index, number, records.at or "body", "is_object", shown(row)))
    drift += see_rows(records, rows, owners, numbers, answers)
    if records.foreign:
        rows, owners, numbers = _without_foreign(records, rows, owners, numbers, rejects)
    if records.is_optional and rows:
        # What an answer need not hold is not missed: a row without its value is no row.
        needed = next(each for each in records.fields if each.is_required)
        kept = [index for index, row in enumerate(rows) if _pluck_one(needed, row) is not None]
        if len(kept) < len(rows):
            for index in set(range(len(rows))) - set(kept):
                received[owners[index]] -= 1
            rows = [rows[index] for index in kept]
            owners = [owners[index] for index in kept]
            numbers = [numbers[index] for index in kept]
    columns, field_rejects, exact = _columns(records, rows, owners, numbers, drift, money_is_float=money_is_float)
    frame = _frame(records, rows, owners, numbers, columns, exact, answers)
    candidate_rows = frame
    if names_its_time(records):
        field_rejects += refuse_the_future(frame, answers)
    rejects += field_rejects
    if field_rejects:
        bad = {(reject.answer, reject.row_number) for reject in field_rejects}
        good = [(owner, number) not in bad for owner, number in zip(owners, numbers, strict=True)]
        frame = frame.filter(pl.Series(good, dtype=pl.Boolean))
    accepted, contract_rejects = _hold_to_contract(records.kind, frame)
    return Reading(
        records, accepted, received, rejects + contract_rejects, first_of_each(drift, answers), candidate_rows
    )


def _without_foreign(
    records: Records,
    rows: list[Mapping[str, object]],
    owners: list[int],
    numbers: list[int],
    rejects: list[Reject],
) -> tuple[list[Mapping[str, object]], list[int], list[int]]:
    """The rows that are not those of another listing, whose amounts would mean something else."""
    # Most answers look alike: rows are only gone through where one of them could be foreign.
    if not set(records.foreign) & set().union(*set(map(tuple, rows))):
        return rows, owners, numbers
    kept = []
    for index, row in enumerate(rows):
        key = next((key for key in records.foreign if key in row), None)
        if key is None:
            kept.append(index)
        else:
            rejects.append(Reject(owners[index], numbers[index], key, "is_of_this_listing", shown(row[key])))
    return [rows[index] for index in kept], [owners[index] for index in kept], [numbers[index] for index in kept]


def _pluck(key: str, rows: list[Mapping[str, object]], keys: set[str]) -> list[object]:
    if key not in keys:
        return [None] * len(rows)
    try:
        return list(map(itemgetter(key), rows))
    except KeyError:
        return [row.get(key) for row in rows]


def _pluck_one(field: Field, row: Mapping[str, object]) -> object:
    if field.compute is not None:
        return field.compute(row)
    for source in field.sources:
        value = dig(row, source)
        if value is not None:
            return value
    return None


def _columns(
    records: Records,
    rows: list[Mapping[str, object]],
    owners: list[int],
    numbers: list[int],
    drift: list[Drift],
    *,
    money_is_float: bool,
) -> tuple[dict[str, pl.Series], list[Reject], dict[int, dict[str, object]]]:
    """The fields' values, what was refused of them, and by row what stood in the fields that were rounded."""
    columns: dict[str, pl.Series] = {}
    rejects: list[Reject] = []
    exact: dict[int, dict[str, object]] = {}
    keys = set().union(*set(map(tuple, rows)))

    side: list[tuple[Field, pl.Series, Sequence[object]]] = []

    def refuse(where: pl.Series, field: Field, check: str, raw: Sequence[object]) -> None:
        rejects.extend(
            Reject(owners[index], numbers[index], field.column, check, shown(raw[index]))
            for index in where.arg_true().to_list()
        )

    raw: Sequence[object]
    for field in records.fields:
        first = field.sources[0]
        if field.compute is None and len(field.sources) == 1 and "." not in first:
            raw = _pluck(first, rows, keys)
        else:
            raw = [_pluck_one(field, row) for row in rows]
        converted = convert(field, raw, money_is_float=money_is_float)
        columns[field.column] = converted.values
        if field.costs_its_row:
            for where, check in converted.refusals():
                refuse(where, field, check, raw)
        else:
            outside = _outside(field, converted.values)
            columns[field.column] = converted.values.set(outside, None)
            side.append((field, converted.refused | outside, raw))
        if converted.rounded_rows:
            counts = Counter(owners[index] for index in converted.rounded_rows)
            firsts = {owners[index]: numbers[index] for index in reversed(converted.rounded_rows)}
            drift += [
                Drift(owner, firsts[owner], field.column, "rounded_amount", str(count))
                for owner, count in counts.items()
            ]
            for index in converted.rounded_rows:
                exact.setdefault(index, {})[first] = raw[index]
        # Readings kept by hand mean what they say.
        if field.column == "balance_amount" and not names_its_time(records):
            refuse((converted.values == _SENTINEL).fill_null(False), field, "is_no_sentinel", raw)
        if field.is_required:
            refuse(converted.values.is_null() & ~converted.refused, field, "is_present", raw)
    bad = {(reject.answer, reject.row_number) for reject in rejects}
    for field, refused, raw in side:
        told: set[int] = set()
        for index in refused.arg_true().to_list():
            owner = owners[index]
            if owner not in told and (owner, numbers[index]) not in bad:
                told.add(owner)
                drift.append(Drift(owner, numbers[index], field.column, "unreadable_field", shown(raw[index])))
    return columns, rejects, exact


def _outside(field: Field, values: pl.Series) -> pl.Series:
    """Where values are out of their column's bounds, which the contract would reject the row for."""
    column = COLUMNS[field.column]
    outside = pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(values))
    if column.minimum is not None:
        outside |= (values < column.minimum).fill_null(False)
    if column.maximum is not None:
        outside |= (values > column.maximum).fill_null(False)
    return outside


def _frame(
    records: Records,
    rows: list[Mapping[str, object]],
    owners: list[int],
    numbers: list[int],
    columns: dict[str, pl.Series],
    exact: Mapping[int, Mapping[str, object]],
    answers: Sequence[Landed],
) -> pl.DataFrame:
    """Assemble the record table's columns, in its order, from fields, constants and the answers themselves."""
    height = len(rows)
    whose = pl.Series(owners, dtype=pl.UInt32)

    def of_answers(values: Sequence[object], dtype: pl.DataType) -> pl.Series:
        return pl.Series(values, dtype=dtype).gather(whose)

    made = dict(columns)
    made["account_id"] = of_answers([each.account_id for each in answers], pl.String())
    made["fetch_id"] = of_answers([each.fetch_id for each in answers], pl.String())
    made["row_number"] = pl.Series(numbers, dtype=pl.Int64)
    if TIME not in made:
        made[TIME] = of_answers([each.fetched_at_utc for each in answers], polars_type(Type.INSTANT))
    for name, value in records.constants.items():
        made[name] = pl.Series([value] * height, dtype=pl.String)
    if records.is_of_window:
        made["usage_date"] = of_answers([each.window_from_date for each in answers], pl.Date())
    if records.kind in ("usage_days", "resource_days"):
        # A day that was not over when it was asked for: its figures still grow.
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
    if records.keeps_extra or exact:
        known = {source for field in records.fields for source in field.sources} | set(records.ignored)
        has_more = records.keeps_extra and not all(map(known.issuperset, set(map(tuple, rows))))
        if has_more or exact:
            extras = [
                _extra(row if records.keeps_extra else {}, known, exact.get(index)) for index, row in enumerate(rows)
            ]
            made["extra_json"] = pl.Series(extras, dtype=pl.String)
    schema = polars_schema(RECORDS[records.kind])
    del schema["loaded_at_utc"]
    empty = {name: pl.Series([None] * height, dtype=dtype) for name, dtype in schema.items() if name not in made}
    frame = pl.DataFrame({name: (made | empty)[name] for name in schema})
    return frame.with_columns(whose.cast(pl.Int64).alias("_answer"))


def _extra(row: Mapping[str, object], known: set[str], exact: Mapping[str, object] | None) -> str | None:
    """What no column holds: the row's other fields, and rounded amounts as they stood."""
    rest = {key: value for key, value in row.items() if key not in known} | dict(exact or {})
    return msgspec.json.encode(rest, order="sorted").decode() if rest else None


def _hold_to_contract(kind: str, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Reject]]:
    """Split the rows by the table's pandera contract: those that meet it, and the rules that the others broke."""
    import pandera.errors
    from pandera.api.polars.container import DataFrameSchema

    schema: DataFrameSchema = contract(RECORDS[kind]).remove_columns(["loaded_at_utc"])
    try:
        schema.validate(frame.drop("_answer"), lazy=True)
    except pandera.errors.SchemaErrors as problems:
        cases = problems.failure_cases
        if cases["index"].null_count():
            # A column of the wrong type or name is our own mistake, not the vendor's: it must not pass as a reject.
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


def _unreadable(reading: Reading, answers: Sequence[Landed]) -> set[int]:
    """The answers in which a required amount was refused in every row there was."""
    amounts = {
        field.column
        for field in reading.records.fields
        if field.is_required and field.reads in (Reads.MONEY, Reads.DOLLARS)
    }
    unreadable: dict[int, set[int]] = {}
    for reject in reading.rejects:
        if reject.column_name in amounts or reject.check_name in ("is_present", "is_object"):
            unreadable.setdefault(reject.answer, set()).add(reject.row_number)
    refused = {answer for answer, rows in unreadable.items() if len(rows) == reading.received[answer]}
    reading.drift += [
        Drift(reject.answer, reject.row_number, reject.column_name, "unreadable_in_every_row", reject.value)
        for reject in reading.rejects
        if reject.answer in refused
    ]
    reading.drift = first_of_each(reading.drift, answers)
    return refused


def _refuse(reading: Reading, refused: set[int]) -> None:
    """Move what was accepted from refused answers to the rejects."""
    moved = reading.accepted.filter(pl.col("_answer").is_in(refused))
    reading.rejects += [
        Reject(answer, number, "*", "answer_is_readable", None)
        for answer, number in moved.select("_answer", "row_number").iter_rows()
    ]
    reading.accepted = reading.accepted.filter(~pl.col("_answer").is_in(refused))
