"""The present of a build: its newest run by real order, and which answers are later than that.

A run whose clock was ahead lands answers from the future. They stay in landing, but a run with a correct clock does not
load them, because they must never count as the newest. They are loaded once their time has come.

Fetch ids follow the real time at which they were drawn, also if a run's clock was set (`--as-of`). An answer is from
the future if it was stamped later than the newest run but drawn before it, or if its id was drawn by a clock that is
ahead of this one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.landing.store import OWN, RUNS

TOLERANCE: Final = timedelta(minutes=10)
"""Clocks are corrected by seconds all the time; an answer stamped later by this little is not from the future."""


def _now_id() -> str:
    return f"{time.time_ns():016x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The newest run."""

    as_of: datetime
    """Its clock."""
    fetch_id: str
    """Id of its record in landing."""

    @classmethod
    def among(cls, runs: Iterable[tuple[str, datetime]]) -> Present | None:
        """Newest of some runs, each with its fetch id and clock; None if there is none.

        Runs with ids from the future do not count, unless there are no others.
        """
        found = sorted(runs)
        now = _now_id()
        past = [each for each in found if each[0] <= now] or found
        return cls(as_of=past[-1][1], fetch_id=past[-1][0]) if past else None

    @classmethod
    def of_build(cls, connection: duckdb.DuckDBPyConnection) -> Present | None:
        """Run of the warehouse; None if it has none yet."""
        rows = connection.execute("SELECT as_of_utc, fetch_id FROM staging.build").fetchall()
        return cls(as_of=rows[0][0], fetch_id=rows[0][1]) if rows else None

    def is_future(self, fetch_id: str, fetched_at: datetime) -> bool:
        """Whether an answer is from the future."""
        return fetched_at > self.as_of + TOLERANCE and (fetch_id < self.fetch_id or fetch_id > _now_id())

    def is_past(self, table: pa.Table) -> pa.ChunkedArray:
        """Whether each row of a table with fetch_id and fetched_at_utc is not from the future."""
        late = pc.greater(table.column("fetched_at_utc"), pa.scalar(self.as_of + TOLERANCE))
        ids = table.column("fetch_id")
        drawn = pc.or_(pc.less(ids, self.fetch_id), pc.greater(ids, _now_id()))
        return pc.invert(pc.and_(late, drawn))

    def has_loaded_future(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the warehouse has answers from the future, loaded by an earlier run whose clock was ahead."""
        return bool(
            connection.execute(
                "SELECT 1 FROM staging.fetches WHERE fetched_at_utc > ? AND (fetch_id < ? OR fetch_id > ?) "
                "AND (vendor <> ? OR endpoint = ?) LIMIT 1",
                [self.as_of + TOLERANCE, self.fetch_id, _now_id(), OWN, RUNS],
            ).fetchall()
        )
