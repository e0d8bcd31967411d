"""What reading works on and comes to: decoded answers, their rows, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from pipeline.staging.convert import to_text
from pipeline.vendors._port import Records

_SHOWN_CHARACTERS = 80
"""How much of an offending value a reject holds; the whole of it is in landing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A good answer out of landing, decoded."""

    fetch_id: str
    run_id: str
    account_id: str
    window_from_date: date | None
    window_to_date: date | None
    fetched_at_utc: datetime
    payload: object


@dataclass(frozen=True, slots=True)
class Reject:
    """A rule that a row of an answer broke."""

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
    """Why nothing of an answer is believed."""

    column_name: str
    check_name: str
    value: str | None


@dataclass(slots=True)
class RecordReading:
    """What one kind of record of one batch came to."""

    records: Records
    accepted: pl.DataFrame
    """The record table's columns (loaded_at_utc left out), and `_answer`, the answer's position in the batch."""
    received: list[int]
    """Rows in each answer."""
    rejects: list[Reject]
    drift: list[Drift]
    candidates: pl.DataFrame = field(default_factory=pl.DataFrame)
    """Every row that was an object, as `accepted` holds them; NULL where a value was refused."""
    folded: dict[int, int] = field(default_factory=dict)
    """Accepted rows of each answer that were merged into another one as its part or repetition."""
    refused_newest_rows: dict[int, int] = field(default_factory=dict)
    """Answers of readings that name their time: the refused row that is, or may be, the newest of them."""

    def rejected_rows(self) -> list[int]:
        """Distinct rows rejected in each answer."""
        rows = {(reject.answer, reject.row_number) for reject in self.rejects}
        counts = [0] * len(self.received)
        for answer, _ in rows:
            counts[answer] += 1
        return counts

    def accepted_rows(self) -> list[int]:
        """Rows accepted from each answer."""
        counts = [self.folded.get(answer, 0) for answer in range(len(self.received))]
        for answer, count in self.accepted.group_by("_answer").len().iter_rows():
            counts[answer] += count
        return counts


def first_of_each(drift: Sequence[Drift], answers: Sequence[Landed]) -> list[Drift]:
    """Each change of an account's answers once, as it was first seen."""

    def seen(each: Drift) -> tuple[datetime, str, int]:
        return answers[each.answer].fetched_at_utc, answers[each.answer].fetch_id, each.row_number

    first: dict[tuple[str, str, str], Drift] = {}
    for each in sorted(drift, key=seen):
        first.setdefault((answers[each.answer].account_id, each.column_name, each.check_name), each)
    return list(first.values())


def shown(value: object) -> str | None:
    """A value as a reject shows it: cut short."""
    text = to_text(value)
    if text is None or len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[:_SHOWN_CHARACTERS] + "…"
