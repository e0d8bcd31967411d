"""Load landed answers with dlt into DuckDB tables: run by the peer's own Python, without Drawdown.

python load.py LANDING DATABASE STATE arrow    each batch of answers is an Arrow table, dlt's fastest way
python load.py LANDING DATABASE STATE rows     each answer is a page of dictionaries, as dlt's REST sources yield them
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from dlt.sources.filesystem import FileItemDict, filesystem

_INSTANT = pa.timestamp("us", tz="UTC")
_AMOUNT = pa.decimal128(38, 9)
_SOURCE = [("account_id", pa.string()), ("fetch_id", pa.string()), ("fetched_at_utc", _INSTANT)]
_LISTED = ["is_complete", "window_to_date"]
_ENTRY = pa.schema(
    [
        ("id", pa.int64()),
        ("type", pa.string()),
        ("amount", _AMOUNT),
        ("currency", pa.string()),
        ("status", pa.string()),
        ("description", pa.string()),
        ("created_at", pa.string()),
    ]
)
_BALANCE = pa.schema([("balance", _AMOUNT), ("currency", pa.string())])
_ANSWERS_A_BATCH = 100
_AMOUNT_HINT = {"data_type": "decimal", "precision": 38, "scale": 9}
_HINTS: dict[str, dict[str, Any]] = {
    "ledger_entries": {"amount": _AMOUNT_HINT, "created_at": {"data_type": "timestamp"}},
    "balances": {"balance": _AMOUNT_HINT},
}


def _answers(files: Iterator[FileItemDict]) -> Iterator[tuple[pa.RecordBatch, list[Any]]]:
    """Batches of good answers with their decoded bodies; amounts are decimals."""
    columns = ["account_id", "fetch_id", "fetched_at_utc", "outcome", "body"]
    for file in files:
        with file.open() as opened:
            for batch in pq.ParquetFile(opened).iter_batches(batch_size=_ANSWERS_A_BATCH, columns=columns):
                good = batch.filter(pc.equal(batch["outcome"], "ok"))
                yield good, [json.loads(body, parse_float=Decimal) for body in good["body"].to_pylist()]


def _entry_tables(files: Iterator[FileItemDict]) -> Iterator[pa.Table]:
    for batch, bodies in _answers(files):
        pages = [body["data"] for body in bodies]
        columns = pa.array([entry for page in pages for entry in page], pa.struct(list(_ENTRY))).flatten()
        # The answer of each entry.
        places = pa.array([place for place, page in enumerate(pages) for _ in page], pa.int32())
        source = {name: batch[name].take(places) for name, _ in _SOURCE}
        table = pa.table({**source, **dict(zip(_ENTRY.names, columns, strict=True))})
        created = table.schema.get_field_index("created_at")
        yield table.set_column(created, "created_at", pc.cast(table["created_at"], _INSTANT))


def _balance_tables(files: Iterator[FileItemDict]) -> Iterator[pa.Table]:
    for batch, bodies in _answers(files):
        columns = pa.array(bodies, pa.struct(list(_BALANCE))).flatten()
        yield pa.table(
            {**{name: batch[name] for name, _ in _SOURCE}, **dict(zip(_BALANCE.names, columns, strict=True))}
        )


def _entry_rows(files: Iterator[FileItemDict]) -> Iterator[list[dict[str, Any]]]:
    for batch, bodies in _answers(files):
        sources = batch.select([name for name, _ in _SOURCE]).to_pylist()
        for source, body in zip(sources, bodies, strict=True):
            yield [{**source, **entry} for entry in body["data"]]


def _balance_rows(files: Iterator[FileItemDict]) -> Iterator[list[dict[str, Any]]]:
    for batch, bodies in _answers(files):
        sources = batch.select([name for name, _ in _SOURCE]).to_pylist()
        yield [
            {**source, "balance": body["balance"], "currency": body["currency"]}
            for source, body in zip(sources, bodies, strict=True)
        ]


def _listings(files: Iterator[FileItemDict]) -> Iterator[pa.Table]:
    """The last day that each account's ledger was requested for, which entries do not show."""
    for file in files:
        with file.open() as opened:
            table = pq.read_table(opened, columns=["account_id", "fetch_id", "outcome", *_LISTED])
        yield table.filter(pc.equal(table["outcome"], "ok")).drop_columns(["outcome"])


def main() -> None:
    """Load everything that is landed into the schema `raw` of a DuckDB file."""
    landing, database, state, form = sys.argv[1:]
    entries, balances = (_entry_tables, _balance_tables) if form == "arrow" else (_entry_rows, _balance_rows)
    resources = [
        ("ledger_listings", "transactions", _listings),
        ("ledger_entries", "transactions", entries),
        ("balances", "balance", balances),
    ]
    pipeline = dlt.pipeline(
        "peer", pipelines_dir=state, destination=dlt.destinations.duckdb(database), dataset_name="raw"
    )
    pipeline.run(
        [
            filesystem(f"file://{landing}/vpsbg/{endpoint}", file_glob="**/*.parquet").with_name(f"{name}_files")
            | dlt.transformer(
                work,
                name=name,
                write_disposition="append",
                # Arrow tables have types.
                columns=_HINTS.get(name) if form == "rows" else None,
            )
            for name, endpoint, work in resources
        ],
        # By default dlt inserts dictionaries by statements, which costs more.
        loader_file_format="parquet",
    )


if __name__ == "__main__":
    main()
