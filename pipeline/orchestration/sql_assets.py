"""Assets of core and marts: one for each SQL model, with dependencies, columns and checks."""

import dagster as dg

from pipeline.models.asset_checks import blocking_result, check_specs, warnings
from pipeline.models.asset_metadata import table_metadata
from pipeline.models.discovery import discover
from pipeline.models.model import Model
from pipeline.schema.layers import SQL_LAYERS
from pipeline.schema.tables import Table
from pipeline.support.dagster_steps import FRESHNESS, OWNERS, asset_key, described, readable_failures, say
from pipeline.warehouse.model_refresh import Refreshed, refresh_model
from pipeline.warehouse.writer import Warehouse


def sql_assets() -> list[dg.AssetsDefinition]:
    """One asset for each model of these layers."""
    return [_asset(model) for model in discover().values() if model.table.layer in SQL_LAYERS]


def _deps(model: Model) -> list[dg.AssetKey]:
    """Inputs of the SELECT and of its blocking checks.

    Warnings add none: they only read inputs of the table, which a test ensures.
    """
    names = [*model.reads, *model.check_reads]
    if model.table.after_all:
        names += [
            name for name, other in discover().items() if other.table.layer in SQL_LAYERS and not other.table.after_all
        ]
    return [asset_key(name) for name in dict.fromkeys(names)]


def _asset(model: Model) -> dg.AssetsDefinition:
    table = model.table
    key = asset_key(table.full_name)

    @dg.asset(
        key=key,
        deps=_deps(model),
        group_name=table.layer,
        description=f"{table.doc}\n\n{table.grain_sentence} Made by {model.path}:\n```sql\n{model.sql.strip()}\n```",
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        freshness_policy=FRESHNESS[table.freshness] if table.freshness else None,
        check_specs=[
            dg.AssetCheckSpec(
                "has_valid_rows",
                asset=key,
                blocking=True,
                description="Columns and types are as declared, "
                + ("constraints hold where a build stores the view, " if table.is_view else "every constraint holds, ")
                + f"no key ({', '.join(table.key)}) occurs more than once, and no month is left to be computed.",
            ),
            *check_specs(table),
        ],
    )
    def sql_model(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        with readable_failures():
            done = refresh_model(warehouse, model)
            connection = warehouse.connection
        say(f"{table.full_name}: {done.rows} rows")
        return dg.MaterializeResult(
            metadata=table_metadata(connection, table.full_name),
            check_results=[
                _has_valid_rows(table, done),
                *(blocking_result(table, check, done.findings[check.name]) for check in model.blocking_checks),
                *warnings(connection, table),
            ],
        )

    return sql_model


def _has_valid_rows(table: Table, done: Refreshed) -> dg.AssetCheckResult:
    """Result of the contract check: an error of our own blocks, an account's broken rule is only a warning here.

    At publishing, the broken rule is an error. An error of an asset blocks everything downstream, for all accounts.
    Wrong column types raise before there is any row.
    """
    is_ours = bool(done.duplicate_keys or done.dirty_month_count)
    return dg.AssetCheckResult(
        check_name="has_valid_rows",
        passed=not (is_ours or done.broken),
        severity=dg.AssetCheckSeverity.ERROR if is_ours else dg.AssetCheckSeverity.WARN,
        description=described(f"account {each.account_id}: {table.full_name}: {each.rule}" for each in done.broken),
        metadata={
            "duplicate_keys": done.duplicate_keys,
            "dirty_month_count": done.dirty_month_count,
            "accounts_in_quarantine": len({each.account_id for each in done.broken}),
            "accounts_as_last_published": done.kept,
        },
    )
