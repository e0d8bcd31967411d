"""Iceberg's schema, partitioning and properties of a published table, generated from its definition.

A table has its columns in order, with their types, nullability and comments, and `shard`. It is partitioned by shard
and, if it is published by month (`Table.published_by`), by the month of that column.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from pipeline.schema.columns import Type
from pipeline.schema.render import column_comment, table_comment
from pipeline.schema.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.types import IcebergType

SHARD: Final = "shard"
"""Column with the number of the shard of accounts; 0 for rows about all of them."""
SHARD_TYPE: Final = "INTEGER"
_SHARD_DOC: Final = "Number of the shard of accounts that the row was computed in; 0 for rows about all accounts."
MONTH_FIELD: Final = "month"
"""Name of the partition by month."""

LAYOUT: Final = "drawdown.layout"
DOCS: Final = "drawdown.docs"

_DECIMAL: Final = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def iceberg_schema(table: Table) -> Schema:
    """Iceberg's schema of a table; ids count from 1. Raises ValueError for a type that it has no equal of."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import IntegerType, NestedField

    fields = [
        NestedField(
            number, column.name, _iceberg_type(column.column.type), doc=column_comment(column),
            required=not column.is_nullable,
        )
        for number, column in enumerate(table.columns, start=1)
    ]  # fmt: skip
    shard = NestedField(len(fields) + 1, SHARD, IntegerType(), doc=_SHARD_DOC, required=True)
    return Schema(*fields, shard)


def partitioning(table: Table, schema: Schema) -> PartitionSpec:
    """Iceberg's partitioning of a table: by shard, and by month if it is published by month."""
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform, MonthTransform

    fields = [PartitionField(schema.find_field(SHARD).field_id, 1000, IdentityTransform(), SHARD)]
    if table.published_by:
        source = schema.find_field(table.published_by).field_id
        fields.append(PartitionField(source, 1001, MonthTransform(), MONTH_FIELD))
    return PartitionSpec(*fields)


def properties(table: Table, schema: Schema) -> dict[str, str]:
    """Iceberg's properties of a table.

    Bounds are kept only for what rows are found by: keys, days and instants, and the shard. Those of amounts and floats
    serve no query, and engines disagree about them.
    """
    bounded = {column.name for column in table.columns if column.column.type in (Type.DATE, Type.INSTANT)}
    bounded |= {SHARD, *(set(table.key) & {each.name for each in table.columns if each.column.type is Type.TEXT})}
    return {
        "comment": table_comment(table),
        "format-version": "2",
        "schema.name-mapping.default": schema.name_mapping.model_dump_json(),  # files have names of columns, and no ids
        "write.metadata.metrics.default": "counts",
        **{f"write.metadata.metrics.column.{name}": "truncate(16)" for name in sorted(bounded)},
        "write.parquet.compression-codec": "zstd",
        "commit.manifest-merge.enabled": "true",
        LAYOUT: layout_of(table),
        DOCS: docs_of(table),
    }


def layout_of(table: Table) -> str:
    """Hash of what all files of a table have in common: columns, types, nullability and partitioning."""
    columns = [f"{each.name} {each.column.type} {each.is_nullable}" for each in table.columns]
    return _hash(["1", table.published_by or "", *columns])


def docs_of(table: Table) -> str:
    """Hash of a table's comments."""
    return _hash([table_comment(table), *map(column_comment, table.columns)])


def arrow_schema(table: Table) -> pa.Schema:
    """Arrow's schema of a part's Parquet file: the table's columns in order, and the shard."""
    import pyarrow as pa

    columns = [(each.name, _arrow_type(each.column.type)) for each in table.columns]
    return pa.schema([*columns, (SHARD, pa.int32())])


def _iceberg_type(column_type: str) -> IcebergType:
    from pyiceberg import types

    simple: dict[str, IcebergType] = {
        Type.TEXT: types.StringType(),
        Type.BOOLEAN: types.BooleanType(),
        Type.INTEGER: types.LongType(),
        Type.DATE: types.DateType(),
        Type.INSTANT: types.TimestamptzType(),
        Type.NUMBER: types.DoubleType(),
    }
    return simple[column_type] if column_type in simple else types.DecimalType(*_digits(column_type))


def _arrow_type(column_type: str) -> pa.DataType:
    import pyarrow as pa

    simple: dict[str, pa.DataType] = {
        Type.TEXT: pa.string(),
        Type.BOOLEAN: pa.bool_(),
        Type.INTEGER: pa.int64(),
        Type.DATE: pa.date32(),
        Type.INSTANT: pa.timestamp("us", "UTC"),
        Type.NUMBER: pa.float64(),
    }
    return simple[column_type] if column_type in simple else pa.decimal128(*_digits(column_type))


def _digits(column_type: str) -> tuple[int, int]:
    """Precision and scale of a decimal type."""
    found = _DECIMAL.fullmatch(column_type)
    if found is None:
        raise ValueError(f"Iceberg has no type that holds every {column_type}")
    return int(found[1]), int(found[2])


def _hash(parts: list[str]) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
