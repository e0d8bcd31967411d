"""Assets of core and marts: one for each SQL model, with dependencies, columns and checks; one step for each layer.

A step for each model would cost more than most models do.
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from pipeline.models.asset_checks import blocking_result, check_specs, warnings
from pipeline.models.asset_metadata import table_metadata
from pipeline.models.discovery import in_order, made_after
from pipeline.models.model import Model
from pipeline.schema.layers import SQL_LAYERS
from pipeline.schema.tables import Table
from pipeline.support.dagster_steps import FRESHNESS, OWNERS, asset_key, described, readable_failures, say
from pipeline.support.printable import printable_lines
from pipeline.warehouse.model_refresh import Refreshed, refresh_model
from pipeline.warehouse.writer import Warehouse


def sql_assets() -> list[dg.AssetsDefinition]:
    """One step for each of these layers."""
    return [_layer_step(layer) for layer in SQL_LAYERS]


def _layer_step(layer: str) -> dg.AssetsDefinition:
    models = {asset_key(each.table.full_name): each for each in in_order() if each.table.layer == layer}

    @dg.multi_asset(
        name=layer,
        specs=[_spec(model) for model in models.values()],
        check_specs=[spec for model in models.values() for spec in _check_specs(model.table)],
        can_subset=True,
    )
    def sql_layer(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        failures: dict[str, Exception] = {}
        blocked: set[str] = set()
        # Dagster can select checks without their table.
        selected_checks = context.selected_asset_check_keys
        selected = context.selected_asset_keys | {check.asset_key for check in selected_checks}
        for key, model in models.items():
            if key not in selected:
                continue
            name = model.table.full_name
            if not blocked.isdisjoint(made_after(model)):
                blocked.add(name)
                continue
            try:
                result = _materialized(context, warehouse, model)
            except Exception as problem:
                failures[name] = problem
                blocked.add(name)
                continue
            if any(not each.passed and each.severity is dg.AssetCheckSeverity.ERROR for each in result.check_results):
                blocked.add(name)
            if key in context.selected_asset_keys:
                yield result
            else:
                names = {check.name for check in selected_checks if check.asset_key == key}
                yield from (each for each in result.check_results if each.check_name in names)
        if failures:
            raise _failure(failures)

    return sql_layer


def _spec(model: Model) -> dg.AssetSpec:
    table = model.table
    return dg.AssetSpec(
        asset_key(table.full_name),
        deps=[asset_key(name) for name in made_after(model)],
        group_name=table.layer,
        description=f"{table.doc}\n\n{table.grain_sentence} Made by {model.path}:\n```sql\n{model.sql.strip()}\n```",
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        freshness_policy=FRESHNESS[table.freshness] if table.freshness else None,
    )


def _check_specs(table: Table) -> Iterator[dg.AssetCheckSpec]:
    yield dg.AssetCheckSpec(
        "has_valid_rows",
        asset=asset_key(table.full_name),
        blocking=True,
        description="Columns and types are as declared, "
        + ("constraints hold where a build stores the view, " if table.is_view else "every constraint holds, ")
        + f"no key ({', '.join(table.key)}) occurs more than once, and no month is left to be computed.",
    )
    yield from check_specs(table)


def _materialized(context: dg.AssetExecutionContext, warehouse: Warehouse, model: Model) -> dg.MaterializeResult[None]:
    """Update a model's table; result with its row count and columns, and the results of its checks."""
    table = model.table
    with readable_failures():
        done: Refreshed = warehouse.steps.model(model) if warehouse.steps else refresh_model(warehouse, model)
        connection = warehouse.connection
    say(f"{table.full_name}: {done.rows} rows")
    return dg.MaterializeResult(
        asset_key=asset_key(table.full_name),
        metadata=table_metadata(context, connection, table.full_name),
        check_results=[
            _has_valid_rows(table, done),
            *(blocking_result(table, check, done.findings[check.name]) for check in model.blocking_checks),
            *warnings(table, done.warned),
        ],
    )


def _failure(failures: Mapping[str, Exception]) -> dg.Failure:
    """The failure of a step in which the models of these tables failed."""
    lines = []
    for name, problem in failures.items():
        if isinstance(problem, dg.Failure) and problem.description:
            lines += problem.description.splitlines()
        else:
            kind = type(problem)
            lines += f"{name}: {kind.__module__}.{kind.__qualname__}: {problem}".splitlines()
    failure = dg.Failure(printable_lines(dict.fromkeys(lines)), allow_retries=False)
    # Dagster shows the tracebacks of the cause.
    failure.__cause__ = ExceptionGroup("models that failed", list(failures.values()))
    return failure


def _has_valid_rows(table: Table, done: Refreshed) -> dg.AssetCheckResult:
    """Result of the contract check: an error of our own blocks, an account's broken rule is only a warning here.

    At publishing, the broken rule is an error. An error of an asset blocks everything downstream, for all accounts.
    Wrong column types raise before there is any row.
    """
    is_ours = bool(done.duplicate_keys or done.dirty_month_count)
    return dg.AssetCheckResult(
        asset_key=asset_key(table.full_name),
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
