"""Assets of the layer `staging`: all record tables, quarantine and bookkeeping, loaded in one transaction."""

from collections.abc import Iterator

import dagster as dg

from pipeline.landing.landing_assets import landing_key
from pipeline.models.asset_metadata import table_metadata
from pipeline.models.discovery import discover as discover_models
from pipeline.schema.tables import RECORDS, of_layer, vendor_table
from pipeline.staging.accounting import Recount, kind_of
from pipeline.staging.readable import Found
from pipeline.staging.refresh_staging import VENDOR_TABLES, StagingResult, refresh_staging
from pipeline.support.dagster_steps import OWNERS, asset_key, described, note, readable_failures, say
from pipeline.vendors import discover
from pipeline.warehouse.writer import Warehouse

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


def _view_spec(name: str, doc: str, deps: list[dg.AssetKey], kind: str = "view") -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey(["staging", name]), deps=deps, group_name="staging", description=doc, kinds={"duckdb", kind},
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
        deps = [asset_key(name) for name, (vendor, table) in VENDOR_TABLES.items() if kind_of(vendor, table) == kind]
        yield _view_spec(kind, f"{record.doc} All vendors' rows side by side.", deps)
    for model in discover_models().values():
        if model.table.layer == "staging":
            kind = "view" if model.table.is_view else "sql"
            yield _view_spec(model.table.name, model.table.doc, [asset_key(name) for name in model.reads], kind)
    facts = [dg.AssetKey(["staging", kind]) for kind in ("balances", "ledger_entries", "orders", "usage_days")]
    yield _view_spec("dirty_months", "Dirty months of the tables that are recomputed by month.", facts)


@dg.multi_asset(
    name="staging",
    specs=list(_specs()),
    check_specs=[
        *(
            dg.AssetCheckSpec(
                "is_accounted_for",
                asset=asset_key(name),
                blocking=True,
                description="received = accepted + rejected for every answer, every row comes from an answer with "
                "accepted rows, and no key occurs more than once.",
            )
            for name in VENDOR_TABLES
        ),
        *(
            dg.AssetCheckSpec(
                "is_readable",
                asset=asset_key(name),
                description="Every account's newest answers gave rows that could be read, the newest reading of a file "
                "among them.",
            )
            for name in VENDOR_TABLES
        ),
    ],
)
def staging(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult[None]]:
    """Load every answer that landing has and the warehouse lacks."""
    with readable_failures():
        steps = warehouse.steps
        result: StagingResult = steps.load(context.run.run_id) if steps else refresh_staging(warehouse)
        connection = warehouse.connection
    report = result.report
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
        if full_name in VENDOR_TABLES:
            metadata["accepted_rows"] = report.accepted_by_table.get(full_name, 0)
            checks = [
                is_accounted_for(full_name, result.recounts[full_name]),
                is_readable(full_name, result.found[full_name]),
            ]
        yield dg.MaterializeResult(asset_key=spec.key, metadata=metadata, check_results=checks)


def is_accounted_for(name: str, found: Recount) -> dg.AssetCheckResult:
    """Result of the recount of a vendor's record table, by its full name."""
    counts = {
        "answers_not_accounted_for": found.answers_not_accounted_for,
        "duplicate_keys": found.duplicate_keys,
        "rows_without_a_load": found.rows_without_a_load,
    }
    return dg.AssetCheckResult(
        asset_key=asset_key(name),
        check_name="is_accounted_for",
        passed=not any(counts.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=counts,
    )


def is_readable(name: str, found: Found) -> dg.AssetCheckResult:
    """Whether a table's newest answers could be read; a rejected older row of a file is a warning."""
    return dg.AssetCheckResult(
        asset_key=asset_key(name),
        check_name="is_readable",
        passed=not (found.errors or found.warnings),
        severity=dg.AssetCheckSeverity.ERROR if found.errors else dg.AssetCheckSeverity.WARN,
        description=described(found.errors or found.warnings),
        metadata={"unreadable_accounts": found.accounts},
    )
