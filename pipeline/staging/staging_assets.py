"""Assets of the layer `staging`: all record tables, quarantine and bookkeeping, loaded in one transaction."""

from collections.abc import Iterator, Mapping

import dagster as dg

from pipeline.landing.landing_assets import landing_key
from pipeline.models import quarantine
from pipeline.models.asset_metadata import table_metadata
from pipeline.models.discovery import discover as discover_models
from pipeline.models.lineage import record_lineage
from pipeline.schema.tables import RECORDS, Table, of_layer, vendor_table
from pipeline.staging.accounting import Recount, kind_of, recount
from pipeline.staging.load import load
from pipeline.staging.readable import Found, look
from pipeline.support.dagster_steps import OWNERS, asset_key, described, note, readable_failures, say
from pipeline.vendors import discover
from pipeline.warehouse.writer import Warehouse

_VENDOR_TABLES: dict[str, tuple[str, Table]] = {
    table.full_name: (vendor.name, table)
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
        deps = [asset_key(name) for name, (vendor, table) in _VENDOR_TABLES.items() if kind_of(vendor, table) == kind]
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
            for name in _VENDOR_TABLES
        ),
        *(
            dg.AssetCheckSpec(
                "is_readable",
                asset=asset_key(name),
                description="Every account's newest answers gave rows that could be read, the newest reading of a file "
                "among them.",
            )
            for name in _VENDOR_TABLES
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
    recounts = recount(connection, _VENDOR_TABLES)
    _quarantine(warehouse, recounts)
    found = look(connection, _VENDOR_TABLES, warehouse.home.landing)
    for spec in _specs():
        full_name = ".".join(spec.key.path)
        metadata = table_metadata(context, connection, full_name)
        checks = []
        if full_name in _VENDOR_TABLES:
            metadata["accepted_rows"] = report.accepted_by_table.get(full_name, 0)
            checks = [is_accounted_for(full_name, recounts[full_name]), is_readable(full_name, found[full_name])]
        yield dg.MaterializeResult(asset_key=spec.key, metadata=metadata, check_results=checks)


def _quarantine(warehouse: Warehouse, recounts: Mapping[str, Recount]) -> None:
    """Quarantine accounts whose rows do not add up, so that the others can be published."""
    with warehouse.transaction() as connection:
        for name, found in recounts.items():
            quarantine.record(connection, name, found.broken)


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
