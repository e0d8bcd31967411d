"""Assets of the layer `staging`: all record tables, quarantine and bookkeeping, loaded in one transaction."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import duckdb

from pipeline.landing.landing_assets import landing_key
from pipeline.models import quarantine
from pipeline.models.asset_metadata import table_metadata
from pipeline.models.discovery import discover as discover_models
from pipeline.models.lineage import record_lineage
from pipeline.models.quarantine import Broken
from pipeline.schema.tables import RECORDS, Table, of_layer, vendor_table
from pipeline.staging.load import load
from pipeline.staging.readable import look
from pipeline.support.dagster_steps import OWNERS, asset_key, described, note, readable_failures, say
from pipeline.vendors import discover
from pipeline.warehouse.writer import Warehouse

_VENDOR_TABLES: dict[dg.AssetKey, tuple[str, Table]] = {
    asset_key(table.full_name): (vendor.name, table)
    for vendor in discover().values()
    for table in (vendor_table(vendor.name, kind) for kind in vendor.kinds)
}
_LANDED = [landing_key(vendor.name, endpoint.name) for vendor in discover().values() for endpoint in vendor.endpoints]

_SHARED = tuple(table for table in of_layer("staging") if table.made_from and not table.is_bookkeeping)
"""Tables that models or people read."""


def _vendor_specs() -> Iterator[dg.AssetSpec]:
    for vendor in discover().values():
        for kind in vendor.kinds:
            table = vendor_table(vendor.name, kind)
            yield dg.AssetSpec(
                asset_key(table.full_name),
                deps=[
                    landing_key(vendor.name, endpoint.name)
                    for endpoint in vendor.endpoints
                    if any(records.kind == kind for records in endpoint.records)
                ],
                group_name="staging",
                description=f"{vendor.title}: {table.doc}",
                kinds={"python", "duckdb"},
                owners=OWNERS,
            )


def _view_spec(name: str, doc: str, deps: list[dg.AssetKey]) -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey(["staging", name]), deps=deps, group_name="staging", description=doc, kinds={"duckdb", "view"},
        owners=OWNERS,
    )  # fmt: skip


def _specs() -> Iterator[dg.AssetSpec]:
    yield from _vendor_specs()
    for table in _SHARED:
        yield dg.AssetSpec(
            asset_key(table.full_name),
            deps=_LANDED,
            group_name="staging",
            description=table.doc,
            kinds={"python", "duckdb"},
            owners=OWNERS,
        )
    for kind, record in RECORDS.items():
        deps = [key for key, (vendor, _) in _VENDOR_TABLES.items() if key.path[-1] == f"{vendor}_{kind}"]
        yield _view_spec(kind, f"{record.doc} All vendors' rows side by side.", deps)
    for model in discover_models().values():
        if model.table.layer == "staging":
            yield _view_spec(model.table.name, model.table.doc, [asset_key(name) for name in model.reads])
    facts = [dg.AssetKey(["staging", kind]) for kind in ("balances", "ledger_entries", "orders", "usage_days")]
    yield _view_spec("touched_months", "Dirty months of the tables that are recomputed by month.", facts)


@dg.multi_asset(
    name="staging",
    specs=list(_specs()),
    check_specs=[
        *(
            dg.AssetCheckSpec(
                "is_accounted_for",
                asset=key,
                blocking=True,
                description="received = accepted + rejected for every answer, every row comes from an answer with "
                "accepted rows, and no key occurs more than once.",
            )
            for key in _VENDOR_TABLES
        ),
        *(
            dg.AssetCheckSpec(
                "is_readable",
                asset=key,
                description="Every account's newest answers gave rows that could be read, the newest reading of a file "
                "among them.",
            )
            for key in _VENDOR_TABLES
        ),
    ],
)
def staging(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult[None]]:
    """Load every answer that landing has and the warehouse lacks."""
    with readable_failures():
        with warehouse.transaction() as connection:
            report = load(connection, warehouse.home.landing, warehouse.known_at)
            record_lineage(connection)
        connection = warehouse.connection
    done = (
        f"staging: {report.fetches} new fetches, {report.failed_fetches} of them failures; "
        f"{report.received} rows received = {report.accepted} accepted + {report.rejected} rejected"
    )
    note(context, done)
    say(done)
    if report.future_fetches:
        late = (
            f"staging: {report.future_fetches} answers in landing are stamped later than this run's clock, by a run "
            "whose clock was ahead: they are left out until their time has come. If it is this clock that is wrong, "
            "set it"
        )
        note(context, late, is_warning=True)
        say(late)
    for spec in _specs():
        full_name = ".".join(spec.key.path)
        metadata = table_metadata(context, connection, full_name)
        checks = []
        if spec.key in _VENDOR_TABLES:
            vendor, table = _VENDOR_TABLES[spec.key]
            metadata["accepted_rows"] = report.accepted_by_table.get(full_name, 0)
            checks = [
                _account_for(warehouse, vendor, table),
                _is_readable(connection, vendor, table, warehouse.home.landing),
            ]
        yield dg.MaterializeResult(asset_key=spec.key, metadata=metadata, check_results=checks)


def _account_for(warehouse: Warehouse, vendor: str, table: Table) -> dg.AssetCheckResult:
    result, broken = _is_accounted_for(warehouse.connection, vendor, table)
    with warehouse.transaction() as connection:
        quarantine.record(connection, table.full_name, broken)
    return result


def _kind(vendor: str, table: Table) -> str:
    return table.name.removeprefix(f"{vendor}_")


def _is_accounted_for(
    connection: duckdb.DuckDBPyConnection, vendor: str, table: Table
) -> tuple[dg.AssetCheckResult, list[Broken]]:
    """Recount everything that the newest load stored from the tables, independently of the load's own counts.

    Earlier rows have been counted, and only a load changes them; a rebuild counts everything. Accounts whose rows do
    not add up are quarantined, so that the others can be published.
    """
    kind = _kind(vendor, table)
    newest = "(SELECT max(loaded_at_utc) FROM staging.fetches)"
    unaccounted = connection.execute(
        f"""
        SELECT fetches.account_id, count(*) FROM staging.loads AS loads
        INNER JOIN staging.fetches AS fetches ON loads.fetch_id = fetches.fetch_id
        LEFT JOIN (
            SELECT fetch_id, count(DISTINCT (record_kind, row_number)) AS stored_rows FROM staging.rejects
            WHERE split_part(record_kind, ':', 1) = ? GROUP BY fetch_id
        ) AS stored ON loads.fetch_id = stored.fetch_id
        WHERE fetches.loaded_at_utc = {newest} AND fetches.vendor = ? AND loads.record_kind = ? AND (
            loads.received_rows <> loads.accepted_rows + loads.rejected_rows
            OR loads.rejected_rows <> coalesce(stored.stored_rows, 0)
        ) GROUP BY fetches.account_id
        """,
        [kind, vendor, kind],
    ).fetchall()
    unloaded = connection.execute(
        f"""
        SELECT stated.account_id, count(*) FROM {table.full_name} AS stated
        LEFT JOIN staging.loads AS loads ON stated.fetch_id = loads.fetch_id AND loads.record_kind = ?
        WHERE stated.loaded_at_utc = {newest} AND coalesce(loads.accepted_rows, 0) = 0 GROUP BY stated.account_id
        """,
        [kind],
    ).fetchall()
    key = ", ".join(table.key)
    loaded = f"({key}) IN (SELECT ({key}) FROM {table.full_name} WHERE loaded_at_utc = {newest})"
    duplicates = connection.execute(
        f"SELECT account_id, count(*) FROM (SELECT {key} FROM {table.full_name} WHERE {loaded} GROUP BY {key} "
        "HAVING count(*) > 1) GROUP BY account_id"
    ).fetchall()
    found = {
        "received is not accepted + rejected": unaccounted,
        f"a key ({key}) occurs more than once": duplicates,
        "rows of an answer without accepted rows": unloaded,
    }
    counts = [sum(count for _, count in rows) for rows in found.values()]
    names = ("answers_not_accounted_for", "duplicate_keys", "rows_without_a_load")
    return (
        dg.AssetCheckResult(
            asset_key=asset_key(table.full_name),
            check_name="is_accounted_for",
            passed=not any(counts),
            severity=dg.AssetCheckSeverity.WARN,
            metadata=dict(zip(names, counts, strict=True)),
        ),
        [Broken(account_id, rule) for rule, rows in found.items() for account_id, _ in rows],
    )


def _is_readable(
    connection: duckdb.DuckDBPyConnection, vendor: str, table: Table, landing: Path | None = None
) -> dg.AssetCheckResult:
    """Whether the newest answers could be read; a rejected older row of a file is a warning."""
    found = look(connection, vendor, _kind(vendor, table), table, landing)
    return dg.AssetCheckResult(
        asset_key=asset_key(table.full_name),
        check_name="is_readable",
        passed=not (found.errors or found.warnings),
        severity=dg.AssetCheckSeverity.ERROR if found.errors else dg.AssetCheckSeverity.WARN,
        description=described(found.errors or found.warnings),
        metadata={"unreadable_accounts": found.accounts},
    )
