"""Data types of reading: decoded answers, their rows, rejects and schema drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from pipeline.staging.convert import to_text
from pipeline.vendors._port import Records

_SHOWN_CHARACTERS = 80
"""Length of an offending value in a reject; landing has all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A good answer of landing, decoded."""

    fetch_id: str
    run_id: str
    account_id: str
    window_from_date: date | None
    window_to_date: date | None
    fetched_at_utc: datetime
    payload: object


@dataclass(frozen=True, slots=True)
class Reject:
    """A rule that a row of an answer breaks."""

    answer: int
    """Position of the answer in the batch."""
    row_number: int
    column_name: str
    check_name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Drift:
    """A change in the shape of an answer."""

    answer: int
    row_number: int
    column_name: str
    check_name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Reason for rejecting a complete answer."""

    column_name: str
    check_name: str
    value: str | None


@dataclass(slots=True)
class RecordReading:
    """Result of reading one kind of record in one batch."""

    records: Records
    accepted: pl.DataFrame
    """Columns of the record table (without loaded_at_utc), and `_answer`, the answer's position in the batch."""
    received: list[int]
    """Number of rows in each answer."""
    rejects: list[Reject]
    drift: list[Drift]
    candidates: pl.DataFrame = field(default_factory=pl.DataFrame)
    """All rows that were objects, with the columns of `accepted`; NULL for rejected values."""
    folded: dict[int, int] = field(default_factory=dict)
    """Accepted rows of each answer that were merged into another one as parts or repetitions."""
    refused_newest_rows: dict[int, int] = field(default_factory=dict)
    """Answers of readings with their own times: the rejected row that is, or may be, their newest."""

    def rejected_rows(self) -> list[int]:
        """Number of distinct rows rejected in each answer."""
        rows = {(reject.answer, reject.row_number) for reject in self.rejects}
        counts = [0] * len(self.received)
        for answer, _ in rows:
            counts[answer] += 1
        return counts

    def accepted_rows(self) -> list[int]:
        """Number of rows accepted from each answer."""
        counts = [self.folded.get(answer, 0) for answer in range(len(self.received))]
        for answer, count in self.accepted.group_by("_answer").len().iter_rows():
            counts[answer] += count
        return counts


def first_of_each(drift: Sequence[Drift], answers: Sequence[Landed]) -> list[Drift]:
    """First occurrence of each change in an account's answers."""

    def seen(each: Drift) -> tuple[datetime, str, int]:
        return answers[each.answer].fetched_at_utc, answers[each.answer].fetch_id, each.row_number

    first: dict[tuple[str, str, str], Drift] = {}
    for each in sorted(drift, key=seen):
        first.setdefault((answers[each.answer].account_id, each.column_name, each.check_name), each)
    return list(first.values())


def shown(value: object) -> str | None:
    """A value as a reject shows it: truncated."""
    text = to_text(value)
    if text is None or len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[:_SHOWN_CHARACTERS] + "…"
