"""Update of staging: load what landing has and the warehouse lacks, count it again, and look at what cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pipeline.models import quarantine
from pipeline.models.lineage import record_lineage
from pipeline.schema.tables import Table, vendor_table
from pipeline.staging.accounting import Recount, recount
from pipeline.staging.load import LoadReport, load
from pipeline.staging.readable import Found, look
from pipeline.vendors import discover
from pipeline.warehouse.writer import Warehouse

VENDOR_TABLES: Final[dict[str, tuple[str, Table]]] = {
    table.full_name: (vendor.name, table)
    for vendor in discover().values()
    for table in (vendor_table(vendor.name, kind) for kind in vendor.kinds)
}
"""Vendor and table of every vendor's records, by the table's full name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingResult:
    """Result of an update of staging; the last two are by the full name of a vendor's table."""

    report: LoadReport
    recounts: dict[str, Recount]
    found: dict[str, Found]


def refresh_staging(warehouse: Warehouse) -> StagingResult:
    """Load every answer that landing has and the warehouse lacks; accounts whose rows do not add up are quarantined.

    Raises DrawdownError for a damaged landing file, ValueError for a body that no longer decodes, and duckdb.Error.
    """
    with warehouse.transaction() as connection:
        report = load(connection, warehouse.home.landing, warehouse.known_at)
        record_lineage(connection)
    recounts = recount(warehouse.connection, VENDOR_TABLES)
    with warehouse.transaction() as connection:
        for name, counted in recounts.items():
            quarantine.record(connection, name, counted.broken)
    found = look(warehouse.connection, VENDOR_TABLES, warehouse.home.landing)
    return StagingResult(report=report, recounts=recounts, found=found)
