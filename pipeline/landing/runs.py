"""Run records from landing: the accounts as of the last run, without opening the warehouse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from pipeline.landing import store
from pipeline.landing.own import ENVELOPE, read_own
from pipeline.support.errors import DrawdownError
from pipeline.vendors import discover
from pipeline.vendors._port import Vendor


def newest_record(landing: Path, now: datetime) -> dict[str, Any] | None:
    """Newest run record that is not later than the clock; None if there is none.

    A damaged file is skipped here: loading reports it, and it must not prevent a run from requesting data.
    """
    for folder in reversed(store.day_folders(landing, store.OWN, store.RUNS)):
        for rows in _newest_first(folder):
            if records := _records(rows, now):
                return records[-1]
    return None


def recent_records(landing: Path, now: datetime, days: int) -> list[dict[str, Any]]:
    """Run records up to the clock, of the newest day with a run and the `days` before it, oldest first.

    A record that equals the previous one is left out.
    """
    folders = {date(*map(int, each.parts[-3:])): each for each in store.day_folders(landing, store.OWN, store.RUNS)}
    past = [day for day in folders if day <= now.date()]
    found: list[dict[str, Any]] = []
    for day in past:
        if day < past[-1] - timedelta(days=days):
            continue
        rows = {row["fetch_id"]: row for file_rows in _newest_first(folders[day]) for row in file_rows}
        found += _records(rows.values(), now)
    return [record for place, record in enumerate(found) if place == 0 or record != found[place - 1]]


def _newest_first(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Rows of each file of a day, newest first; a damaged file is skipped.

    A concurrent compaction removes files, the newest last: their rows come with the merged file.
    """
    done: set[Path] = set()
    while fresh := [path for path in store.files(folder) if path not in done]:
        for path in reversed(fresh):
            done.add(path)
            try:
                yield store.read(path, ["fetch_id", "fetched_at_utc", "body", *ENVELOPE]).to_pylist()
            except FileNotFoundError:
                break
            except DrawdownError:
                continue


def _records(rows: Iterable[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Records that are not later than the clock, in the order of their runs."""
    found = []
    for row in sorted(rows, key=lambda row: (row["fetched_at_utc"], row["fetch_id"])):
        if row["fetched_at_utc"] <= now:
            with contextlib.suppress(ValueError):
                record = read_own(row, read_record)
                if record is not None:
                    found.append(record)
    return found


def read_record(body: bytes) -> dict[str, Any]:
    """Decode a run record; raises ValueError for any other body."""
    record = msgspec.json.decode(body)
    if not isinstance(record, dict) or not isinstance(record.get("accounts"), dict):
        raise ValueError("a run record has accounts")
    return record


def holds_account(landing: Path, vendor: Vendor, account_id: str) -> bool:
    """Whether landing has an answer of an account to its vendor, or a file of readings for it."""
    by_hand = {each.name for each in discover().values() if each.base_url is None}
    for name in sorted({vendor.name, *by_hand}):
        for folder in reversed(store.day_folders(landing, name)):
            for _, table in store.each(folder, ["account_id"]):
                if account_id in table.column("account_id").to_pylist():
                    return True
    return False
