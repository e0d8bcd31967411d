"""Shards of accounts, and what of landing each of them needs.

An account belongs to a shard by a hash of its current name. A shard's part of landing is a landing folder like any
other: the answers of its accounts, and Drawdown's own entries reduced to these accounts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.landing.own import is_later_format
from pipeline.landing.parquet_bodies import parquet_body, read_parquet
from pipeline.landing.runs import read_record
from pipeline.landing.store import BACKTESTS, FORECASTS, FX_RATES, OWN, RUNS, STATUSES
from pipeline.staging.aliases import Aliases
from pipeline.support.home import private_folder

_FILE_BYTES: Final = 32 * 1024 * 1024
"""Size in memory of the rows of an endpoint that become one file."""


def shard_of(account_id: str, count: int) -> int:
    """Number of an account's shard, from 0. It is the same on every machine and in every version."""
    return crc32(account_id.encode()) % count


@dataclass(frozen=True, slots=True)
class Shards:
    """A division of accounts into shards."""

    count: int
    aliases: Aliases
    """Former names of accounts: a renamed account's history belongs to the shard of its current name."""

    def of(self, account_id: str) -> int:
        """Shard of an account, by its current or a former name."""
        return shard_of(self.aliases.today(account_id), self.count)

    def divide(self, rows: pa.Table, wanted: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        """Divide rows of landing, all of one endpoint, into those of each of the wanted shards."""
        if rows.num_rows == 0:
            return
        if rows.column("vendor")[0].as_py() != OWN:
            yield from self._by_account(rows, wanted)
            return
        kind = rows.column("endpoint")[0].as_py()
        if kind == FX_RATES:
            for shard in wanted:
                yield shard, rows
        elif kind in _NARROWED:
            yield from self._own(rows, wanted, _NARROWED[kind])

    def _by_account(self, rows: pa.Table, wanted: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
        encoded = rows.column("account_id").combine_chunks().dictionary_encode()
        numbers = [self.of(account_id) for account_id in encoded.dictionary.to_pylist()]
        shards = pa.array(numbers, pa.int32()).take(encoded.indices)
        # Sorted once: a filter for each shard would copy every column as often as there are shards.
        counts = {each["values"]: each["counts"] for each in pc.value_counts(shards).to_pylist()}
        ordered, start = rows.take(pc.sort_indices(shards)), 0
        for shard in sorted(counts):
            if shard in wanted:
                yield shard, ordered.slice(start, counts[shard])
            start += counts[shard]

    def _own(self, rows: pa.Table, wanted: Collection[int], narrow: _Narrow) -> Iterator[tuple[int, pa.Table]]:
        found: dict[int, list[dict[str, Any]]] = {}
        last: tuple[bytes, bool] | None = None
        bodies: dict[int, bytes] = {}
        for row in rows.to_pylist():
            # Runs record the same settings again and again.
            if (this := (row["body"], is_later_format(row))) != last:
                narrowed = None if this[1] else narrow(this[0], self, wanted)
                bodies, last = dict.fromkeys(wanted, this[0]) if narrowed is None else narrowed, this
            for shard, body in bodies.items():
                found.setdefault(shard, []).append({**row, "body": body})
        for shard, own in sorted(found.items()):
            yield shard, pa.Table.from_pylist(own, schema=rows.schema)


_Narrow = Callable[[bytes, Shards, Collection[int]], dict[int, bytes] | None]
"""Reduces a body to the accounts of each of the wanted shards, without those that it does not concern; None for a body
that cannot be read, which every shard gets as it is, and whose load reports it."""


def _run(body: bytes, shards: Shards, wanted: Collection[int]) -> dict[int, bytes] | None:
    try:
        record = read_record(body)
    except (ValueError, KeyError, TypeError):
        return None
    accounts: dict[int, dict[str, Any]] = {shard: {} for shard in wanted}
    for name, settings in record["accounts"].items():
        if (shard := shards.of(name)) in accounts:
            accounts[shard][name] = settings
    return {shard: msgspec.json.encode({**record, "accounts": own}) for shard, own in accounts.items()}


def _parquet(body: bytes, shards: Shards, wanted: Collection[int]) -> dict[int, bytes] | None:
    found = _rows_of_shards(body, shards, wanted)
    if found is None:
        return None
    return {shard: parquet_body(rows) for shard, rows in found.items() if not rows.is_empty()}


def _backtest(body: bytes, shards: Shards, wanted: Collection[int]) -> dict[int, bytes] | None:
    # The newest backtest replaces those before, even where it has none of the shard's accounts.
    found = _rows_of_shards(body, shards, wanted)
    return None if found is None else {shard: parquet_body(rows) for shard, rows in found.items()}


def _rows_of_shards(body: bytes, shards: Shards, wanted: Collection[int]) -> dict[int, pl.DataFrame] | None:
    try:
        rows = read_parquet(body)
    except ValueError:
        return None
    if "account_id" not in rows.columns:
        return None
    names: dict[int, list[str]] = {shard: [] for shard in wanted}
    for name in rows["account_id"].drop_nulls().unique().to_list():
        if (shard := shards.of(name)) in names:
            names[shard].append(name)
    return {shard: rows.filter(pl.col("account_id").is_in(own)) for shard, own in names.items()}


_NARROWED: Final[dict[str, _Narrow]] = {
    RUNS: _run,
    FORECASTS: _parquet,
    STATUSES: _parquet,
    BACKTESTS: _backtest,
}
"""Kinds of own entries that shards need. Month outlooks and alerts concern the fleet."""


def write_landing(landing: Path, rows: Iterable[pa.Table]) -> None:
    """Write rows of landing, each table of one endpoint, into a landing folder.

    Answers of vendors and records of runs are in few, large files, each in the folder of its first day: a shard has a
    few answers of each day, and a file for these would cost more than the answers. Other entries are read by day, and
    are in a file for each.
    """
    waiting: dict[tuple[str, str], list[pa.Table]] = {}
    sizes: dict[tuple[str, str], int] = {}
    for table in rows:
        endpoint = table.column("vendor")[0].as_py(), table.column("endpoint")[0].as_py()
        waiting.setdefault(endpoint, []).append(table)
        sizes[endpoint] = sizes.get(endpoint, 0) + table.nbytes
        if sizes[endpoint] >= _FILE_BYTES:
            _write(landing, *endpoint, waiting.pop(endpoint))
            sizes[endpoint] = 0
    for endpoint, tables in waiting.items():
        _write(landing, *endpoint, tables)


def _write(landing: Path, vendor: str, endpoint: str, tables: list[pa.Table]) -> None:
    rows = pa.concat_tables(tables).sort_by("fetch_id")
    days = pc.strftime(rows.column("fetched_at_utc"), format="%Y/%m/%d")
    is_by_day = vendor == OWN and endpoint != RUNS
    for day in pc.unique(days).to_pylist() if is_by_day else [days[0].as_py()]:
        own = rows.filter(pc.equal(days, day)) if is_by_day else rows
        # Two batches may begin with the same fetch, after a compaction that was interrupted.
        name = f"{own.column('fetch_id')[0].as_py()}-{os.urandom(4).hex()}.parquet"
        pq.write_table(own, private_folder(landing / vendor / endpoint / day) / name, compression="zstd")
