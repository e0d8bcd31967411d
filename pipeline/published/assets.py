"""Publishing's assets: the snapshot that readers open, its Parquet twins, and the FOCUS exports."""

from pathlib import Path

import dagster as dg

from pipeline.assetkit import FRESHNESS, OWNERS, asset_key, clear_failures, say
from pipeline.published.focus import publish_focus
from pipeline.published.snapshot import publish, publish_parquet
from pipeline.schema.tables import published
from pipeline.warehouse import Warehouse

_SNAPSHOT = dg.AssetKey(["published", "snapshot"])


@dg.asset(
    key=_SNAPSHOT,
    deps=[asset_key(table.full_name) for table in published()],
    group_name="published",
    description="published/current.duckdb: the tables that readers get, in one file, swapped whole.",
    kinds={"duckdb"},
    owners=OWNERS,
    freshness_policy=FRESHNESS,
)
def snapshot(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Copy what readers get into a new file and turn the symlink to it."""
    with clear_failures():
        warehouse.checkpoint()
        build = publish(warehouse.connection, warehouse.home, published())
    say(f"published: {len(build.table_rows)} tables in {warehouse.home.current}")
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(build.path),
            "size_bytes": build.size_bytes,
            "dagster/row_count": sum(build.table_rows.values()),
            "table_rows": dg.MetadataValue.json(build.table_rows),
        }
    )


@dg.asset(
    key=dg.AssetKey(["published", "parquet"]),
    deps=[_SNAPSHOT],
    group_name="published",
    description="published/parquet/<schema>.<table>.parquet: the same tables for tools that read files.",
    kinds={"parquet"},
    owners=OWNERS,
)
def parquet(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Write each table of the current snapshot as a Parquet file."""
    with clear_failures():
        return _files(publish_parquet(warehouse.home.current.resolve(), warehouse.home, published()))


@dg.asset(
    key=dg.AssetKey(["published", "focus"]),
    deps=[_SNAPSHOT],
    group_name="published",
    description="published/focus/: charges in FOCUS 1.4 as CSV and Parquet, as reported and with estimates.",
    kinds={"csv", "parquet"},
    owners=OWNERS,
)
def focus(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Write the FOCUS exports of the current snapshot."""
    with clear_failures():
        return _files(publish_focus(warehouse.home.current.resolve(), warehouse.home))


def _files(written: list[Path]) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"files": len(written), "size_bytes": sum(path.stat().st_size for path in written)}
    )
