"""One Iceberg table for each published table: its creation, repair, and the transaction that replaces parts of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from pipeline.lake.build_pointers import DataFile, TableVersion
from pipeline.lake.iceberg_schema import (
    DOCS,
    LAYOUT,
    SHARD,
    docs_of,
    iceberg_schema,
    layout_of,
    partitioning,
    properties,
)
from pipeline.lake.lake_keys import table_folder
from pipeline.lake.object_store import ObjectStore
from pipeline.schema.columns import Type
from pipeline.schema.render import column_comment, table_comment
from pipeline.schema.tables import Table
from pipeline.support.calendar_months import next_month
from pipeline.support.errors import DrawdownError

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import DataFile as IcebergFile
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table import Transaction

PartFiles = Mapping[tuple[int, date | None], list[tuple[DataFile, "pq.FileMetaData"]]]
"""By shard and month, the files that replace what a table has for them."""

BUILD: Final = "drawdown.build-id"
"""Property of a snapshot with the build that made it."""


def ensure_table(
    catalog: SqlCatalog, store: ObjectStore, table: Table, before: TableVersion | None, own: PartFiles
) -> IcebergTable:
    """The Iceberg table, with this version's columns, at the snapshot of the last build.

    What a commit left that died, or another program, is set back. Raises DrawdownError for a table whose columns have
    changed, unless `own` replaces every part of it.
    """
    from pyiceberg.exceptions import NoSuchTableError

    identifier = (table.layer, table.name)
    if before and before.layout != layout_of(table):
        if left := {file.partition for file in before.files} - own.keys():
            raise DrawdownError(
                f"{table.full_name} has other columns than in the last build, and {len(left)} of its parts were not "
                "computed again; `drawdown rebuild` computes all"
            )
        before = None
    catalog.create_namespace_if_not_exists(table.layer)
    try:
        stored = catalog.load_table(identifier)
    except NoSuchTableError:
        stored = None
    if before and (stored is None or stored.metadata.snapshot_by_id(before.snapshot_id or 0) is None) and before.files:
        # It was created anew, or removed: the last build's metadata still describe it.
        if stored is not None:
            catalog.drop_table(identifier)
        stored = catalog.register_table(identifier, before.metadata_location)
    if stored is not None and stored.metadata.properties.get(LAYOUT) != layout_of(table):
        catalog.drop_table(identifier)
        stored = None
    if stored is None:
        schema = iceberg_schema(table)
        return catalog.create_table(
            identifier,
            schema,
            location=store.location(table_folder(table)),
            partition_spec=partitioning(table, schema),
            properties=properties(table, schema),
        )
    _set_back(stored, before.snapshot_id if before else None)
    _document(stored, table)
    return stored


def _set_back(stored: IcebergTable, snapshot_id: int | None) -> None:
    """Make a snapshot the current one; None empties the table."""
    from pyiceberg.expressions import AlwaysTrue

    now = stored.metadata.current_snapshot_id
    if now == snapshot_id:
        return
    if snapshot_id is not None:
        stored.manage_snapshots().set_current_snapshot(snapshot_id).commit()
    else:
        with stored.transaction() as transaction:
            _delete(transaction, AlwaysTrue(), {})


def _document(stored: IcebergTable, table: Table) -> None:
    """Update the comments, if the definitions have others."""
    if stored.metadata.properties.get(DOCS) == docs_of(table):
        return
    with stored.transaction() as transaction:
        with transaction.update_schema() as update:
            for column in table.columns:
                update.update_column(column.name, doc=column_comment(column))
        transaction.set_properties({"comment": table_comment(table), DOCS: docs_of(table)})


def commit_table(
    stored: IcebergTable, store: ObjectStore, table: Table, before: TableVersion | None, own: PartFiles, build_id: str
) -> TableVersion:
    """Replace parts in one transaction, if there are any, and describe the result.

    Raises CommitFailedException or ValidationException if another program changed the table meanwhile.
    """
    had = before.files if before and before.layout == layout_of(table) else ()
    gone = [file for file in had if file.partition in own]
    added = [file for partition in own for file in own[partition]]
    if gone or added:
        about = {BUILD: build_id}
        with stored.transaction() as transaction:
            if gone:
                _delete(transaction, _rows_of(table, {file.partition for file in gone}), about)
            if added:
                with transaction.update_snapshot(snapshot_properties=about).merge_append() as append:
                    for file, metadata in added:
                        append.append_data_file(_described(stored, store, file, metadata))
    files = [*(file for file in had if file.partition not in own), *(file for file, _ in added)]
    files.sort(key=lambda file: (file.shard, file.month or date.min, file.key))
    version = TableVersion(
        layout=layout_of(table),
        metadata_location=stored.metadata_location,
        snapshot_id=stored.metadata.current_snapshot_id,
        files=tuple(files),
    )
    _check(stored, table, version)
    return version


def _delete(transaction: Transaction, rows: BooleanExpression, about: dict[str, str]) -> None:
    """Delete whole files. Raises DrawdownError if a file also has other rows, so that it would have to be rewritten."""
    with transaction.update_snapshot(snapshot_properties=about).delete() as delete:
        delete.delete_by_predicate(rows)
    if delete.rewrites_needed:
        raise DrawdownError(
            "another program has merged files of several parts of the lake's tables; delete current.json and rebuild"
        )


def _rows_of(table: Table, partitions: Iterable[tuple[int, date | None]]) -> BooleanExpression:
    """The condition for all rows of these shards and months."""
    from pyiceberg.expressions import And, GreaterThanOrEqual, In, LessThan, Or

    shards: dict[date | None, set[int]] = defaultdict(set)
    for shard, month in partitions:
        shards[month].add(shard)
    # Months with the same shards are one condition if they follow each other.
    conditions: list[BooleanExpression] = []
    if table.published_by is None:
        return In(SHARD, shards[None])
    months = sorted(filter(None, shards))
    while months:
        first = months.pop(0)
        own = In(SHARD, shards[first])
        end = next_month(first)
        while months and months[0] == end and shards[end] == shards[first]:
            end = next_month(months.pop(0))
        span = And(
            GreaterThanOrEqual(table.published_by, _start_of(table, first)),
            LessThan(table.published_by, _start_of(table, end)),
        )
        conditions.append(And(own, span))
    while len(conditions) > 1:
        # Balanced, because PyIceberg walks conditions by recursion.
        pairs = [conditions[place : place + 2] for place in range(0, len(conditions), 2)]
        conditions = [Or(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return conditions[0]


def _start_of(table: Table, month: date) -> str:
    kind = next(each.column.type for each in table.columns if each.name == table.published_by)
    return f"{month}T00:00:00+00:00" if kind is Type.INSTANT else str(month)


def _described(stored: IcebergTable, store: ObjectStore, file: DataFile, metadata: pq.FileMetaData) -> IcebergFile:
    """Iceberg's description of a Parquet file."""
    from pyiceberg.io.pyarrow import (
        compute_statistics_plan,
        data_file_statistics_from_parquet_metadata,
        parquet_path_to_id_mapping,
    )
    from pyiceberg.manifest import DataFile as IcebergFile
    from pyiceberg.manifest import DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    schema = stored.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=metadata,
        stats_columns=compute_statistics_plan(schema, stored.metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    values: list[int] = [file.shard]
    if file.month:
        values.append((file.month.year - 1970) * 12 + file.month.month - 1)
    return IcebergFile.from_args(
        content=DataFileContent.DATA,
        file_path=store.location(file.key),
        file_format=FileFormat.PARQUET,
        partition=Record(*values),
        file_size_in_bytes=file.size_bytes,
        sort_order_id=None,
        spec_id=stored.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _check(stored: IcebergTable, table: Table, version: TableVersion) -> None:
    """Raise DrawdownError if Iceberg counts other files or rows than the pointer will name."""
    snapshot = stored.metadata.current_snapshot()
    summary = snapshot.summary if snapshot else None
    counted = [int(summary[name] or 0) if summary else 0 for name in ("total-data-files", "total-records")]
    if counted != [len(version.files), version.rows]:
        raise DrawdownError(
            f"{table.full_name} has {counted[0]} files and {counted[1]} rows in its catalog, and should have "
            f"{len(version.files)} and {version.rows}; readers keep the previous build. Please report this"
        )
