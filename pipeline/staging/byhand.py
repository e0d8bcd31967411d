"""Readings with their own times, as in files kept by hand: which row is the newest, and whether it could be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import polars as pl

from pipeline.staging.answers import Landed, RecordReading, Reject, shown
from pipeline.support.tabular import line_of_row
from pipeline.vendors._port import Records

TIME = "observed_at_utc"
IN_THE_FUTURE = "is_not_in_the_future"


def names_its_time(records: Records) -> bool:
    """Whether each row states its own time."""
    return any(field.column == TIME for field in records.fields)


def refuse_the_future(frame: pl.DataFrame, answers: Sequence[Landed]) -> list[Reject]:
    """Reject rows with a time later than their answer's: they are no readings yet, whatever else they contain."""
    asked = pl.Series([each.fetched_at_utc for each in answers], dtype=pl.Datetime("us", "UTC"))
    asked_at = asked.gather(frame["_answer"].cast(pl.UInt32)) if frame.height else asked.clear()
    ahead = frame.filter((frame[TIME] > asked_at).fill_null(False))
    return [
        Reject(answer, number, TIME, IN_THE_FUTURE, shown(f"{at:%Y-%m-%dT%H:%M:%SZ}"))
        for answer, number, at in ahead.select("_answer", "row_number", TIME).iter_rows()
    ]


def find_refused_newest(reading: RecordReading) -> None:
    """Record the rejected row of each answer that is, or may be, its newest reading."""
    refused = {(each.answer, each.row_number) for each in reading.rejects}
    ahead = {(each.answer, each.row_number) for each in reading.rejects if each.check_name == IN_THE_FUTURE}
    by_answer: dict[int, list[Row]] = {}
    for answer, number, at in reading.candidates.select("_answer", "row_number", TIME).iter_rows():
        place = answer, number
        by_answer.setdefault(answer, []).append(Row(number, at, place not in refused, place in ahead))
    for answer, rows in by_answer.items():
        if (number := refused_newest(rows)) is not None:
            reading.refused_newest_rows[answer] = number


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a file of readings."""

    number: int
    at: datetime | None
    """Time of the reading; None if unreadable."""
    is_accepted: bool
    is_ahead: bool
    """Whether its time is in the future, so that it is not the newest now."""


def refused_newest(rows: Sequence[Row]) -> int | None:
    """Number of the rejected row that is, or may be, the newest; None if the newest row was accepted.

    A row with an unreadable time may be the newest if it lies beyond all accepted rows at the end of the file towards
    which the times rise; in a file without an order, wherever it is.
    """
    accepted = [row for row in rows if row.is_accepted and row.at is not None]
    newest = max((row.at for row in accepted if row.at is not None), default=None)
    refused = [row for row in rows if not row.is_accepted and not row.is_ahead]
    late = [(row.at, row.number) for row in refused if row.at is not None and (newest is None or row.at > newest)]
    if late:
        return max(late)[1]
    blind = [row.number for row in refused if row.at is None]
    times = [row.at for row in rows if row.at is not None]
    rises = all(one <= other for one, other in pairwise(times))
    falls = all(one >= other for one, other in pairwise(times))
    numbers = [row.number for row in accepted]
    if rises != falls and numbers:
        blind = [number for number in blind if (number > max(numbers) if rises else number < min(numbers))]
    if not blind:
        return None
    return min(blind) if falls and not rises else max(blind)


_REMEDIES = {
    "is_exact_amount": "write a plain number such as 1234.50",
    "is_plausible_amount": "correct the amount",
    "is_instant_with_offset": "write a day such as 2026-03-18, or a time such as 2026-03-18T12:00:00Z",
    "is_unit_code": "write a currency code such as EUR",
    "is_present": "fill it in",
    "is_unique": "keep one of the rows of that time",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem of a row of a file; the text begins with its line."""

    words: str
    is_error: bool
    """Whether it may hide the current balance; a problem of an older row is a warning."""


def problems(
    refused: Sequence[tuple[int, str, str, str | None]], newest_row: int | None, body: bytes | None
) -> list[Problem]:
    """Problems of a file of readings, the worst first.

    `refused` has the row number, column, rule and value of each broken rule, `newest_row` is the rejected row that may
    be the newest one, and `body` is the file, for line numbers; if it is gone, rows are counted instead.
    """

    def place(number: int) -> str:
        return f"row {number}" if body is None else f"line {line_of_row(body, number)}"

    def whole(each: tuple[int, str, str, str | None], so: str) -> str:
        number, column, check, value = each
        found = "is missing" if value is None else f"{value!r} cannot be used ({check})"
        return f"{place(number)}: {column} {found}; {so}{_REMEDIES.get(check, 'correct it')}"

    found = []
    ahead = sorted(each for each in refused if each[2] == IN_THE_FUTURE)
    others = sorted(each for each in refused if each[2] != IN_THE_FUTURE)
    newest = next((each for each in others if each[0] == newest_row), None)
    if newest is not None:
        words = "it is or may be the newest reading, so the account is stale until it can be read: "
        found.append(Problem(whole(newest, words), is_error=True))
    if ahead:
        number, _, _, value = ahead[0]
        more = f" ({len(ahead) - 1} more such rows)" if len(ahead) > 1 else ""
        words = f"{place(number)}: {value} is in the future{more}, and is read then; correct the time if it is wrong"
        found.append(Problem(words, is_error=True))
    reported = {newest_row, *(each[0] for each in ahead)}
    for each in others:
        if each[0] not in reported:
            reported.add(each[0])
            found.append(Problem(whole(each, ""), is_error=False))
    return found
