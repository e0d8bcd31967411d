"""Dagster checks of a table: its contract, and the declarations in `checks.sql`."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from pipeline.models.checks import Check, Warned, checks_of
from pipeline.models.quarantine import Findings
from pipeline.schema.tables import Table
from pipeline.support.dagster_steps import asset_key, described

UNIQUE_KEYS = "has_unique_keys"


def check_specs(table: Table) -> Iterator[dg.AssetCheckSpec]:
    """Specifications of the checks in a table's `checks.sql`."""
    for check in checks_of(table):
        yield dg.AssetCheckSpec(
            check.name, asset=asset_key(table.full_name), blocking=check.is_blocking, description=check.doc
        )


def unique_keys_spec(table: Table) -> dg.AssetCheckSpec:
    """Specification of the unique-key check for a table that Python makes.

    Its constraints cover the rest of the contract.
    """
    return dg.AssetCheckSpec(
        UNIQUE_KEYS,
        asset=asset_key(table.full_name),
        blocking=True,
        description=f"No key ({', '.join(table.key)}) occurs more than once.",
    )


def unique_keys(table: Table, duplicates: int) -> dg.AssetCheckResult:
    """Result of the unique-key check, from the number of keys that occur more than once."""
    return dg.AssetCheckResult(
        check_name=UNIQUE_KEYS,
        asset_key=asset_key(table.full_name),
        passed=not duplicates,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"duplicate_keys": duplicates},
    )


def warnings(table: Table, found: Warned) -> Iterator[dg.AssetCheckResult]:
    """Results of the warnings of `checks.sql`, from what each found: one line a row, and the accounts they name."""
    for name, rows in found.items():
        yield dg.AssetCheckResult(
            check_name=name,
            asset_key=asset_key(table.full_name),
            passed=not rows,
            severity=dg.AssetCheckSeverity.WARN,
            description=described(f"{account_id}: {message}" for account_id, message in rows),
            metadata={"accounts": list(dict.fromkeys(account_id for account_id, _ in rows))},
        )


def blocking_result(table: Table, check: Check, found: Findings) -> dg.AssetCheckResult:
    """Result of a blocking check: rules broken without an account are errors, accounts that break one are warnings."""
    name = table.full_name
    lines = [
        *(f"{name}: does not hold: {rule}" for rule in found.rules),
        *(f"{name}: account {each.account_id}: does not hold: {each.rule}" for each in found.accounts),
    ]
    return dg.AssetCheckResult(
        check_name=check.name,
        asset_key=asset_key(name),
        passed=not lines,
        severity=dg.AssetCheckSeverity.ERROR if found.rules else dg.AssetCheckSeverity.WARN,
        description=described(lines),
        metadata={"broken_rules": len(lines)},
    )
