"""Files of landing: one for each endpoint and batch of a run, one row a fetch, never changed once named.

`landing/<vendor>/<endpoint>/<yyyy>/<mm>/<dd>/<first fetch id>.parquet`. Drawdown's own entries are landed the same way
under `landing/_drawdown/`. A file appears completely or not at all (written under a temporary name, synced, renamed).
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import __version__
from pipeline.support.errors import DrawdownError, first_line
from pipeline.support.home import private_folder, sync_folder

OWN: Final = "_drawdown"
"""Used in place of the vendor in the path of Drawdown's own entries."""
RUNS: Final = "runs"
"""Under OWN: one row for each run, with the redacted settings as its body."""
FORECASTS: Final = "forecasts"
"""Under OWN: the forecasts issued on each day, as a Parquet file."""
MONTH_OUTLOOKS: Final = "month_outlooks"
"""Under OWN: the months' ends as issued on each day, as a Parquet file."""
BACKTESTS: Final = "backtests"
"""Under OWN: the result of each backtest, as a Parquet file."""
STATUSES: Final = "statuses"
"""Under OWN: what the first build of each day said of each account, as a Parquet file."""
FX_RATES: Final = "fx_rates"
"""Under OWN: exchange rates of the euro, once for each edition."""

# Arrow's own allocator keeps what was freed, which a refresh of small files never uses again: 15 MB.
pa.set_memory_pool(pa.system_memory_pool())

_INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA: Final = pa.schema(
    [
        ("fetch_id", pa.string()),
        ("run_id", pa.string()),
        ("vendor", pa.string()),
        ("account_id", pa.string()),
        ("endpoint", pa.string()),
        ("request_url", pa.string()),
        ("window_from_date", pa.date32()),
        ("window_to_date", pa.date32()),
        ("page_number", pa.int64()),
        ("is_complete", pa.bool_()),
        ("started_at_utc", _INSTANT),
        ("fetched_at_utc", _INSTANT),
        ("status_code", pa.int64()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("attempt_count", pa.int64()),
        ("elapsed_seconds", pa.float64()),
        ("content_type", pa.string()),
        ("body", pa.binary()),
        ("body_sha256", pa.string()),
        ("is_redacted", pa.bool_()),
        ("resume_json", pa.string()),
        ("version_id", pa.string()),
        ("format_version", pa.int64()),
    ]
)
"""Columns of a landing file. Files of older versions may lack later columns; readers return them as NULL."""

# Bodies are buffered up to this size before they become a row group, so that a long listing needs little memory.
_ROW_GROUP_BYTES = 16 * 1024 * 1024
# Processing the rows of a small file costs more than reading it, so many files are processed together.
_GROUP_BYTES: Final = 16 * 1024 * 1024
_GROUP_FILES: Final = 512
_SMALL_BYTES: Final = 256 * 1024
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Answer to one request, as landed. Times are UTC; `body` is as received, with secrets replaced."""

    fetch_id: str
    run_id: str
    vendor: str
    account_id: str
    endpoint: str
    request_url: str
    window_from_date: date | None
    """First day requested; None for no bound."""
    window_to_date: date | None
    page_number: int
    is_complete: bool
    """With this answer, the requested window is complete."""
    started_at_utc: datetime
    fetched_at_utc: datetime
    status_code: int | None
    outcome: str
    reason: str | None
    attempt_count: int
    elapsed_seconds: float
    content_type: str | None
    body: bytes
    is_redacted: bool
    resume_json: str | None
    """State for the next walk of this listing; a failure carries the earlier state forward."""
    format_version: int | None = None
    """Set for Drawdown's own bodies (`pipeline.landing.own`); None for a vendor's answer."""


class LandingWriter:
    """Collects fetches of one endpoint, and lands them as one file on `close`."""

    def __init__(self, landing: Path, vendor: str, endpoint: str, day: date) -> None:
        self.folder = landing / vendor / endpoint / f"{day:%Y}" / f"{day:%m}" / f"{day:%d}"
        self._rows: list[Fetch] = []
        self._bytes = 0
        self._first_id: str | None = None
        self._temporary: Path | None = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, fetch: Fetch) -> None:
        """Add one fetch; it is on disk under its final name only after `close`."""
        self._first_id = min(self._first_id or fetch.fetch_id, fetch.fetch_id)
        self._rows.append(fetch)
        self._bytes += len(fetch.body)
        if self._bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._writer is None:
            private_folder(self.folder)
            handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.folder)
            self._temporary = Path(name)
            with open(handle, "wb"):
                self._writer = pq.ParquetWriter(name, SCHEMA, compression="zstd")
        self._writer.write_table(_to_arrow(self._rows))
        self._rows, self._bytes = [], 0

    def close(self) -> Path | None:
        """Land the file durably and return its path; None if nothing was added."""
        self._flush()
        if self._writer is None or self._temporary is None or self._first_id is None:
            return None
        self._writer.close()
        path = self.folder / f"{self._first_id}.parquet"
        settle(self._temporary, path)
        self._writer = None
        return path

    def abandon(self) -> None:
        """Discard everything that was written."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
        self._rows, self._writer = [], None


def settle(temporary: Path, path: Path) -> None:
    """Give a written file its final name, durably. Raises FileExistsError instead of replacing another file."""
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.chmod(0o600)
    # A rename would replace an existing file.
    try:
        os.link(temporary, path)
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        # A file system without hard links.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)
    else:
        temporary.unlink()
    sync_folder(path.parent)


def _to_arrow(rows: list[Fetch]) -> pa.Table:
    names = [each.name for each in fields(Fetch)]
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in names}
    columns["body_sha256"] = [sha256(row.body).hexdigest() for row in rows]
    columns["version_id"] = [__version__] * len(rows)
    return pa.Table.from_pydict({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def day_folders(landing: Path, vendor: str = "*", endpoint: str = "*") -> list[Path]:
    """Every day folder, oldest day first."""
    found = landing.glob(f"{vendor}/{endpoint}/[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]")
    return sorted(found, key=lambda path: (path.parts[-3:], path.parts[-5:-3]))


def files(folder: Path) -> list[Path]:
    """Landed files of a day folder, by fetch id, without unfinished ones."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def read(path: Path, columns: Iterable[str] | None = None) -> pa.Table:
    """Read a landing file in the current columns; columns that an older version did not write are NULL.

    Raises DrawdownError for a damaged file, OSError for one that may not be read or has been removed.
    """
    # Threads cost more than they gain for columns of a few bytes.
    return read_file(path, str(path), columns, use_threads=path.stat().st_size >= _SMALL_BYTES)


def read_file(
    source: Path | pa.NativeFile, name: str, columns: Iterable[str] | None = None, *, use_threads: bool = False
) -> pa.Table:
    """Read a landing file as `read` does, or one that is in memory; `name` is for messages."""
    wanted = list(columns) if columns is not None else SCHEMA.names
    try:
        with pq.ParquetFile(source) as parquet:
            there = set(parquet.schema_arrow.names)
            table = parquet.read(columns=[each for each in wanted if each in there], use_threads=use_threads)
    except (OSError, ValueError) as problem:
        # A system error has a number and names the file; pyarrow's own errors have neither.
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        raise DrawdownError(
            f"{name} is damaged: {first_line(problem)}. Restore it from a backup; moving it away loses what "
            "only it held"
        ) from None
    for column in wanted:
        if column not in there:
            table = table.append_column(SCHEMA.field(column), pa.nulls(table.num_rows, SCHEMA.field(column).type))
    schema = pa.schema([SCHEMA.field(column) for column in wanted])
    table = table.select(wanted)
    return table if table.schema.equals(schema) else table.cast(schema)


def each(folder: Path, columns: Iterable[str] | None = None) -> Iterator[tuple[dict[Path, int], pa.Table]]:
    """Read the landed files of a day folder in order, many small ones at once: each with its number of rows, and these.

    A concurrent compaction removes files: their rows are then in the merged file, which comes later. So no fetch is
    missed, and one may come twice.
    """
    wanted = list(columns) if columns is not None else SCHEMA.names
    done: set[Path] = set()
    # No file is ever replaced by another of its name.
    while fresh := [path for path in files(folder) if path not in done]:
        done.update(fresh)
        yield from read_together(fresh, wanted)


def read_together(
    paths: Iterable[Path], columns: Iterable[str] | None = None
) -> Iterator[tuple[dict[Path, int], pa.Table]]:
    """Read several files as `read` does, in groups that need little memory: each with its number of rows, and these.

    Files that have been removed are skipped.
    """
    group: dict[Path, int] = {}
    tables: list[pa.Table] = []
    size = 0
    for path in paths:
        try:
            table = read(path, columns)
        except FileNotFoundError:
            continue
        group[path] = table.num_rows
        tables.append(table)
        size += table.nbytes
        if size >= _GROUP_BYTES or len(group) == _GROUP_FILES:
            yield group, pa.concat_tables(tables)
            group, tables, size = {}, [], 0
    if group:
        yield group, pa.concat_tables(tables)


def resume_states(
    landing: Path,
    vendor: str,
    endpoint: str,
    account_ids: Iterable[str],
    *,
    now: datetime | None = None,
    formerly: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Newest resume state of each account at an endpoint; accounts that were never fetched are absent.

    `now` is the run's clock: states with later times are from a run whose clock was ahead, and do not count. `formerly`
    has the former ids by account: if nothing was ever fetched for the account itself, the newest state of these counts.
    """
    former_ids = {account_id: tuple((formerly or {}).get(account_id, ())) for account_id in account_ids}
    missing = set(former_ids)
    wanted = missing.union(*former_ids.values())
    found: dict[str, tuple[str, str | None]] = {}
    for folder in reversed(day_folders(landing, vendor, endpoint)):
        newest: dict[str, tuple[str, str | None]] = {}
        for _, table in each(folder, ["account_id", "fetch_id", "fetched_at_utc", "resume_json"]):
            for row in table.to_pylist():
                account_id = row["account_id"]
                if now is not None and row["fetched_at_utc"] > now:
                    continue
                if account_id in wanted and row["fetch_id"] > newest.get(account_id, ("", None))[0]:
                    newest[account_id] = (row["fetch_id"], row["resume_json"])
        for account_id, state in newest.items():
            found.setdefault(account_id, state)
        missing -= newest.keys()
        if not missing:
            break
    states: dict[str, str] = {}
    for account_id, earlier in former_ids.items():
        candidates = [found[account_id]] if account_id in found else [found[each] for each in earlier if each in found]
        if candidates:
            _, resume_json = max(candidates, key=lambda candidate: candidate[0])
            if resume_json is not None:
                states[account_id] = resume_json
    return states


def iterate(landing: Path) -> Iterator[Path]:
    """Iterate over every landed file, oldest day first."""
    for folder in day_folders(landing):
        yield from files(folder)
