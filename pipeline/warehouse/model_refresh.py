"""Update of one SQL model, in which accounts that break one of its rules are quarantined."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.models import quarantine
from pipeline.models.checks import Warned, warned
from pipeline.models.discovery import ancestors
from pipeline.models.model import Model
from pipeline.models.months import mark_all_dirty
from pipeline.models.quarantine import Broken, Findings
from pipeline.models.recompute import check_changed_model, recompute, row_count
from pipeline.models.unpublished import forget_build
from pipeline.schema.render import duplicate_keys
from pipeline.schema.tables import Table
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """Result of updating a table."""

    rows: int
    broken: list[Broken] = field(default_factory=list)
    """Rules that accounts broke; these accounts are quarantined."""
    kept: int = 0
    """Accounts whose last published rows are in the table."""
    duplicate_keys: int = 0
    """Keys without an account that occur more than once: an error in Drawdown."""
    findings: dict[str, Findings] = field(default_factory=dict)
    """Results of each blocking check, by name."""
    warned: Warned = field(default_factory=dict)
    dirty_month_count: int = 0
    """Months that are still dirty although nothing of the table is quarantined: an error in Drawdown."""


def refresh_model(warehouse: Warehouse, model: Model) -> Refreshed:
    """Update a model's table, without the rows of accounts that break its rules.

    Raises DrawdownError or duckdb.Error for an error that no account causes.
    """
    connection, table = warehouse.connection, model.table
    inherited = set() if table.includes_quarantined else quarantine.upstream(connection, table.full_name)
    own: set[Broken] = set()
    done = None
    # Committed before, so that the search for an account at fault covers all dirty months.
    with warehouse.transaction():
        check_changed_model(connection, model)
    while done is None:
        left_out = inherited | {each.account_id for each in own}
        try:
            with warehouse.transaction():
                done = recompute(
                    connection, model, quarantine.without_accounts(model.select, left_out) if left_out else None
                )
        except quarantine.DATA_ERRORS as problem:
            # Names at least one further account, or raises.
            own |= set(quarantine.at_fault(connection, model, left_out, problem))
    findings = {check.name: quarantine.findings(connection, check, inherited) for check in model.blocking_checks}
    own |= {each for found in findings.values() for each in found.accounts}
    duplicates = connection.sql(duplicate_keys(table, where=done.scope)).fetchall()[0][0]
    if duplicates:
        whose = quarantine.repeated_keys(connection, table, done.scope)
        own |= {each for each in whose if each.account_id not in inherited}
        duplicates = 0 if whose else duplicates
    kept = inherited | {each.account_id for each in own}
    _keep(warehouse, table, kept, own)
    return Refreshed(
        rows=row_count(connection, table) if kept else done.rows,
        broken=sorted(own),
        kept=len(kept),
        duplicate_keys=duplicates,
        findings=findings,
        warned=warned(connection, table),
        dirty_month_count=0 if kept else _dirty_month_count(connection, table.full_name),
    )


def _keep(warehouse: Warehouse, table: Table, accounts: set[str], own: set[Broken]) -> None:
    """Record the quarantined accounts, and put their last published rows into the table."""
    connection, name = warehouse.connection, table.full_name
    if not (accounts or own or quarantine.quarantined(connection, {name})):
        return
    with quarantine.last_published(connection, _current(warehouse)) as last, warehouse.transaction():
        quarantine.record(connection, name, own)
        forget_build(connection)
        if accounts and not table.is_view:
            quarantine.keep_last(connection, table, accounts, last)
            if table.month_column:
                # After their quarantine, all of their months must be recomputed.
                mark_all_dirty(connection, [name])
        if name == quarantine.STATUS and accounts:
            why = quarantine.quarantined(connection, ancestors(name))
            quarantine.mark_status(connection, why)


def _current(warehouse: Warehouse) -> Path | None:
    """The build that readers have; none if a past state is made, because the build is of today."""
    return None if warehouse.known_at is not None else warehouse.home.current


def _dirty_month_count(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    return int(
        connection.execute("SELECT count(*) FROM staging.dirty_months WHERE table_name = ?", [name]).fetchall()[0][0]
    )
