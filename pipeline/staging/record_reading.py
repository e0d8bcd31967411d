"""Read the records in a batch of answers: accepted rows, rejects with their reason, and schema drift.

A batch is read column by column; single rows are looked at only if they are rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from pipeline.staging.answers import Drift, Landed, RecordReading, Refusal, Reject, first_of_each, shown
from pipeline.staging.byhand import find_refused_newest, names_its_time, refuse_the_future
from pipeline.staging.record_columns import AnswerRows, read_columns, record_frame, split_by_contract, value_of
from pipeline.staging.repeats import settle_repeats
from pipeline.staging.shape import failures, see_envelope, see_rows
from pipeline.support.json_paths import dig
from pipeline.vendors._port import Endpoint, Reads, Records

__all__ = ["Landed", "RecordReading", "read_endpoint"]


def read_endpoint(
    endpoint: Endpoint, answers: Sequence[Landed], *, money_is_float: bool = False
) -> list[RecordReading]:
    """Read all kinds of record in the answers of one endpoint; returns one RecordReading a kind, in the order declared.

    - `answers`: n decoded answers with the outcome ok, of any accounts. Rejects and drift refer to them by position.
    - `money_is_float`: the vendor's amounts are floats, so that more than nine decimals are rounded, not rejected.

    An answer is refused as a whole, and all of its rows rejected, if a required amount is absent or unreadable in every
    row, because its other fields are not reliable then; if it says itself that it failed; and if reading it raises.
    Each answer is judged on its own: what is read of it does not depend on the other answers of the batch.

    Raises TypeError for a mistake in this package: a column that does not have the type of its table's contract.
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
    """Return the answers at `places` that raise when they are read, with what they raise; found by halving."""
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
) -> list[RecordReading]:
    """Read every kind of record without the `refused` answers, and settle what depends on whole answers."""
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
) -> RecordReading:
    """Read one kind of record: find its rows, convert them to columns, and check these against the contract."""
    drift = see_envelope(endpoint, answers, refused)
    rows, received, rejects = _find_rows(records, answers, refused, drift)
    drift += see_rows(records, rows.rows, rows.owners, rows.numbers, answers)
    if records.foreign:
        rows = _without_foreign(records, rows, rejects)
    if records.is_optional and rows.rows:
        rows = _without_empty(records, rows, received)
    columns, column_rejects = read_columns(records, rows, drift, money_is_float=money_is_float)
    candidates = record_frame(records, rows, columns, answers)
    if names_its_time(records):
        column_rejects += refuse_the_future(candidates, answers)
    bad = {(reject.answer, reject.row_number) for reject in column_rejects}
    frame = candidates
    if bad:
        good = [place not in bad for place in zip(rows.owners, rows.numbers, strict=True)]
        frame = candidates.filter(pl.Series(good, dtype=pl.Boolean))
    accepted, contract_rejects = split_by_contract(records.kind, frame)
    return RecordReading(
        records,
        accepted,
        received,
        rejects + column_rejects + contract_rejects,
        first_of_each(drift, answers),
        candidates,
    )


def _find_rows(
    records: Records, answers: Sequence[Landed], refused: Mapping[int, Refusal], drift: list[Drift]
) -> tuple[AnswerRows, list[int], list[Reject]]:
    """Collect the rows of all answers. Returns them, how many each answer holds, and rejects.

    `refused` has the answers that are not believed, by position; all of their rows are rejects. Adds to `drift` where
    an answer lacks the rows that it must have.
    """
    rows = AnswerRows([], [], [])
    numbers: Sequence[int]
    received: list[int] = []
    rejects: list[Reject] = []
    where = records.at or "body"
    for index, answer in enumerate(answers):
        found = dig(answer.payload, records.at)
        if isinstance(found, dict) and found and all(key.isdecimal() for key in found):
            # A list from which the vendor has removed some entries, encoded as an object by position.
            found = list(found.values())
        candidates = found if isinstance(found, list) else [found] if isinstance(found, dict) else None
        if (why := refused.get(index)) is not None:
            # A refused answer counts as one row at least, so that it never looks like an answer without any.
            received.append(len(candidates or ()) or int(not records.is_optional))
            rejects += [
                Reject(index, number, why.column_name, why.check_name, why.value)
                for number in range(1, received[-1] + 1)
            ]
        elif candidates is None:
            is_missed = found is not None or not records.is_optional
            if is_missed:
                rejects.append(Reject(index, 1, where, "is_present", shown(found)))
                drift.append(Drift(index, 1, where, "missing_field", shown(found)))
            received.append(int(is_missed))
        else:
            received.append(len(candidates))
            numbers = range(1, len(candidates) + 1)
            if not set(map(type, candidates)) <= {dict}:
                rejects += [
                    Reject(index, number, where, "is_object", shown(row))
                    for number, row in zip(numbers, candidates, strict=True)
                    if not isinstance(row, dict)
                ]
                numbers = [number for number in numbers if isinstance(candidates[number - 1], dict)]
                candidates = [candidates[number - 1] for number in numbers]
            rows.add(candidates, index, numbers)
    return rows, received, rejects


def _without_foreign(records: Records, rows: AnswerRows, rejects: list[Reject]) -> AnswerRows:
    """Reject the rows that belong to another listing, in which amounts have another meaning."""
    # Most answers look alike: look for such rows only where a key says that there can be one.
    if not set(records.foreign) & rows.keys():
        return rows
    kept = []
    for index, row in enumerate(rows.rows):
        key = next((key for key in records.foreign if key in row), None)
        if key is None:
            kept.append(index)
        else:
            rejects.append(Reject(rows.owners[index], rows.numbers[index], key, "is_of_this_listing", shown(row[key])))
    return rows.only(kept)


def _without_empty(records: Records, rows: AnswerRows, received: list[int]) -> AnswerRows:
    """Drop optional rows without their required value: they are absent, not wrong. Subtracts them from `received`."""
    needed = next(each for each in records.fields if each.is_required)
    kept = [index for index, row in enumerate(rows.rows) if value_of(needed, row) is not None]
    for index in set(range(len(rows.rows))) - set(kept):
        received[rows.owners[index]] -= 1
    return rows.only(kept)


def _unreadable(reading: RecordReading, answers: Sequence[Landed]) -> set[int]:
    """Return the answers in which a required amount was rejected in every row, and add this to their drift."""
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


def _refuse(reading: RecordReading, refused: set[int]) -> None:
    """Move the accepted rows of refused answers to the rejects."""
    moved = reading.accepted.filter(pl.col("_answer").is_in(refused))
    reading.rejects += [
        Reject(answer, number, "*", "answer_is_readable", None)
        for answer, number in moved.select("_answer", "row_number").iter_rows()
    ]
    reading.accepted = reading.accepted.filter(~pl.col("_answer").is_in(refused))
