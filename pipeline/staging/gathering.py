"""Gathering: collects fetches that landing has and the warehouse lacks into batches of one endpoint each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.landing import store
from pipeline.staging.present import Present

# Size of a batch of answers in bytes of body: columns of useful length in little memory. Decoded, they take four
# times as much, and the next batch is decoded while this one is stored.
_BATCH_BYTES = 8 * 1024 * 1024
# A folder changed this recently may change again within the clock's resolution, so the next load checks it again.
_SETTLED_NS = 2_000_000_000


@dataclass(slots=True)
class Gathering:
    """One pass over folders of landing."""

    connection: duckdb.DuckDBPyConnection
    landing: Path
    known_at: datetime | None
    """Later arrivals are left out; None: no limit."""
    present: Present | None
    """Answers later than the newest run's clock are left out; None: none are."""
    future_fetches: int = 0
    """Number of answers that were left out because they are from the future."""

    def batches(self, folders: Iterable[Path]) -> Iterator[pa.Table]:
        """Yield unloaded fetches in batches of one endpoint, by fetch id, oldest day first.

        A folder of which everything was loaded is skipped until it changes. Raises DrawdownError for a damaged file.
        """
        known = dict(self.connection.sql("SELECT folder, modified_ns FROM staging.landing_folders").fetchall())
        folders = list(folders)
        loaded = self._loaded_endpoints(known, folders)
        waiting: dict[tuple[str, str], _Batch] = {}
        seen: set[str] = set()
        for folder in folders:
            name = folder.relative_to(self.landing).as_posix()
            # The time is taken before the listing, so that a file landed in between makes the folder look changed next
            # time.
            modified = folder.stat().st_mtime_ns
            if known.get(name) == modified:
                continue
            endpoint = _endpoint(folder)
            batch = waiting.setdefault(endpoint, _Batch())
            left_out = 0
            # For an endpoint that was never loaded, everything is needed, and read at once.
            is_first = endpoint not in loaded
            for rows, table in store.each(folder, None if is_first else ["fetch_id"]):
                new = set(table.column("fetch_id").to_pylist()) - seen
                if not is_first:
                    new &= _unloaded(self.connection, table)
                for _, whole in [(rows, table)] if is_first else store.read_together(_holding(rows, table, new)):
                    # An interrupted compaction leaves fetches in two files.
                    fresh = _once(whole, new)
                    new.difference_update(fresh.column("fetch_id").to_pylist())
                    seen.update(fresh.column("fetch_id").to_pylist())
                    wanted = self._wanted(fresh)
                    left_out += fresh.num_rows - wanted.num_rows
                    for part in _slices(wanted):
                        batch.add(part)
                        if batch.size >= _BATCH_BYTES:
                            yield batch.take()
            if not left_out and datetime.now(UTC).timestamp() * 1e9 - modified > _SETTLED_NS:
                self.connection.execute("DELETE FROM staging.landing_folders WHERE folder = ?", [name])
                self.connection.execute("INSERT INTO staging.landing_folders VALUES (?, ?)", [name, modified])
        for batch in waiting.values():
            if batch.size:
                yield batch.take()

    def _loaded_endpoints(self, known: Iterable[str], folders: Iterable[Path]) -> set[tuple[str, str]]:
        """Vendor and endpoint of the folders whose endpoint has any loaded fetch."""
        loaded = {_endpoint(Path(name)) for name in known}
        unsure = {_endpoint(folder) for folder in folders} - loaded
        # Nearly always none: this reads all fetches.
        if unsure:
            loaded |= set(self.connection.sql("SELECT DISTINCT vendor, endpoint FROM staging.fetches").fetchall())
        return loaded

    def _wanted(self, table: pa.Table) -> pa.Table:
        if self.known_at is not None:
            table = table.filter(pc.less_equal(table.column("fetched_at_utc"), pa.scalar(self.known_at)))
        # Drawdown's own entries are not observations: only vendors' answers can be from the future.
        is_own = table.num_rows and table.column("vendor")[0].as_py() == store.OWN
        if self.present is None or is_own:
            return table
        is_past = self.present.is_past(table)
        # Nearly always everything is, and a copy of all bodies would double the memory.
        if pc.all(is_past).as_py():
            return table
        past = table.filter(is_past)
        self.future_fetches += table.num_rows - past.num_rows
        return past


@dataclass(slots=True)
class _Batch:
    """Fetches of one endpoint on their way into the warehouse."""

    parts: list[pa.Table] = field(default_factory=list)
    size: int = 0

    def add(self, part: pa.Table) -> None:
        # The cost of small answers depends on their number, not their size.
        self.parts.append(part)
        self.size += (pc.sum(pc.binary_length(part.column("body"))).as_py() or 0) + 1024 * part.num_rows

    def take(self) -> pa.Table:
        table = pa.concat_tables(self.parts).sort_by("fetch_id")
        self.parts, self.size = [], 0
        return table


def _endpoint(folder: Path) -> tuple[str, str]:
    """Vendor and endpoint of a folder of a day."""
    return folder.parts[-5], folder.parts[-4]


def _holding(rows: Mapping[Path, int], table: pa.Table, wanted: set[str]) -> list[Path]:
    """Files with a wanted fetch, of those whose rows a table has one after another."""
    ids = table.column("fetch_id").to_pylist() if wanted else []
    found, start = [], 0
    for path, count in rows.items():
        if not wanted.isdisjoint(ids[start : start + count]):
            found.append(path)
        start += count
    return found


def _once(table: pa.Table, wanted: set[str]) -> pa.Table:
    """Rows of the wanted fetches, each once."""
    ids = table.column("fetch_id").to_pylist()
    places = {fetch_id: place for place, fetch_id in enumerate(ids) if fetch_id in wanted}
    return table if len(places) == len(ids) else table.take(pa.array(places.values(), pa.int64()))


def _unloaded(connection: duckdb.DuckDBPyConnection, ids: pa.Table) -> set[str]:
    candidates = pc.unique(ids.column("fetch_id"))
    # A list parameter would be converted element by element, at a thousand times the cost of a table.
    connection.register("candidates", pa.table({"fetch_id": candidates}))
    bounds = pc.min_max(candidates).as_py()
    found = connection.execute(
        "SELECT fetch_id FROM candidates WHERE fetch_id NOT IN "
        "(SELECT fetch_id FROM staging.fetches WHERE fetch_id BETWEEN ? AND ?)",
        [bounds["min"], bounds["max"]],
    ).fetchall()
    connection.unregister("candidates")
    return {row[0] for row in found}


def _slices(table: pa.Table) -> Iterator[pa.Table]:
    sizes = pc.binary_length(table.column("body")).to_pylist()
    start, size = 0, 0
    for index, length in enumerate(sizes):
        size += length or 0
        if size >= _BATCH_BYTES:
            yield table.slice(start, index + 1 - start)
            start, size = index + 1, 0
    if start < table.num_rows:
        yield table.slice(start)
