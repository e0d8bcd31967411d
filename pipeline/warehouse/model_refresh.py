"""One SQL model brought up to date, with every account that breaks one of its rules put into quarantine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.models import quarantine
from pipeline.models.discovery import ancestors
from pipeline.models.model import Model
from pipeline.models.months import touch_everything
from pipeline.models.quarantine import Broken, Findings
from pipeline.models.recompute import owe_what_changed, recompute
from pipeline.schema.render import duplicate_keys
from pipeline.schema.tables import Table
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What bringing a table up to date came to."""

    rows: int
    broken: list[Broken] = field(default_factory=list)
    """Rules that accounts break; these accounts are in quarantine."""
    kept: int = 0
    """Accounts whose last published rows are in the table."""
    duplicate_keys: int = 0
    """Keys of no account that occur more than once: a fault of our own."""
    findings: dict[str, Findings] = field(default_factory=dict)
    """What each blocking check finds, by its name."""
    months_owed: int = 0
    """Months that the table owes, although nothing of it is in quarantine: a fault of our own."""


def refresh_model(warehouse: Warehouse, model: Model) -> Refreshed:
    """Bring a model's table up to date, without the rows of accounts that break its rules.

    Raises DrawdownError or duckdb.Error for what is no account's fault.
    """
    connection, table = warehouse.connection, model.table
    inherited = quarantine.upstream(connection, table.full_name)
    own: set[Broken] = set()
    done = None
    # Committed before, so that an account at fault is looked for in all the months that are owed.
    with warehouse.transaction():
        owe_what_changed(connection, model)
    while done is None:
        left_out = inherited | {each.account_id for each in own}
        try:
            with warehouse.transaction():
                done = recompute(
                    connection, model, quarantine.without_accounts(model.select, left_out) if left_out else None
                )
        except quarantine.DATA_ERRORS as problem:
            # It names an account that was not left out yet, or raises.
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
        rows=int(connection.sql(f"SELECT count(*) FROM {table.full_name}").fetchall()[0][0]),
        broken=sorted(own),
        kept=len(kept),
        duplicate_keys=duplicates,
        findings=findings,
        months_owed=0 if kept else _months_owed(connection, table.full_name),
    )


def _keep(warehouse: Warehouse, table: Table, accounts: set[str], own: set[Broken]) -> None:
    """Note who is in quarantine, and let these accounts have their last published rows."""
    connection, name = warehouse.connection, table.full_name
    if not (accounts or own or quarantine.quarantined(connection, {name})):
        return
    with quarantine.last_published(connection, _current(warehouse)) as last, warehouse.transaction():
        quarantine.record(connection, name, own)
        if accounts and not table.is_view:
            quarantine.keep_last(connection, table, accounts, last)
            if table.month_column:
                # Once they are out of quarantine, all of their months are to be made.
                touch_everything(connection, [name])
        if name == quarantine.STATUS and accounts:
            why = quarantine.quarantined(connection, ancestors(name))
            quarantine.mark_status(connection, why)


def _current(warehouse: Warehouse) -> Path | None:
    """The build that readers have; none where the past is made once more, for it is of today."""
    return None if warehouse.known_at is not None else warehouse.home.current


def _months_owed(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    return int(
        connection.execute("SELECT count(*) FROM staging.touched_months WHERE table_name = ?", [name]).fetchall()[0][0]
    )
