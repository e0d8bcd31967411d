"""Look up one answer in landing by its fetch id: the bytes behind a number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

import duckdb

from pipeline.support.duckdb_session import set_session
from pipeline.support.errors import DrawdownError, UsageError, first_line

_COLUMNS: Final = (
    "vendor, account_id, endpoint, request_url, status_code, outcome, fetched_at_utc, content_type, body, body_sha256"
)
_ID_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LandedAnswer:
    """An answer as landed."""

    vendor: str
    account_id: str
    endpoint: str
    request_url: str
    status_code: int | None
    outcome: str
    fetched_at_utc: datetime
    content_type: str | None
    body: bytes
    body_sha256: str


def find_answer(landing: Path, fetch_id: str) -> LandedAnswer:
    """Return the answer of a fetch id, after checking the SHA-256 of its bytes.

    Raises UsageError if landing has no such id, DrawdownError if its bytes have changed since they were landed.
    """
    for pattern in _patterns(landing, fetch_id):
        found = _read(landing, pattern, fetch_id)
        if found is not None:
            if sha256(found.body).hexdigest() != found.body_sha256:
                raise DrawdownError(
                    f"{landing}: the bytes of {fetch_id} are not those that were landed; restore it from a backup"
                )
            return found
    raise UsageError(
        f"{landing} holds no answer {fetch_id[:40]!r}; `drawdown explain ACCOUNT` names those that an account rests on"
    )


def _patterns(landing: Path, fetch_id: str) -> list[str]:
    """File patterns to search: first the days around the real time in the id, then all."""
    patterns = []
    if len(fetch_id) == _ID_CHARACTERS and all(each in "0123456789abcdef" for each in fetch_id):
        asked = datetime.fromtimestamp(int(fetch_id, 16) / 1e9, UTC)
        days = [asked + timedelta(days=offset) for offset in (0, -1, 1)] if asked.year < 9999 else []
        patterns = [f"*/*/{day:%Y/%m/%d}/*.parquet" for day in days]
    return [pattern for pattern in (*patterns, "*/*/*/*/*/*.parquet") if next(landing.glob(pattern), None)]


def _read(landing: Path, pattern: str, fetch_id: str) -> LandedAnswer | None:
    with duckdb.connect() as connection:
        set_session(connection)
        # A path may contain characters of a DuckDB pattern, so the files are listed here.
        files = [str(path) for path in landing.glob(pattern) if not path.name.startswith(".")]
        try:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM read_parquet(?) WHERE fetch_id = ? LIMIT 1", [files, fetch_id]
            ).fetchone()
        except duckdb.Error as problem:
            raise DrawdownError(f"{landing} cannot be read: {first_line(problem)}") from None
    return LandedAnswer(**dict(zip(_COLUMNS.split(", "), row, strict=True))) if row else None
