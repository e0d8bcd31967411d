"""Wiring only: the assets of all layers, their resources, jobs, schedules and sensors."""

from collections.abc import Iterator
from functools import partial

import dagster as dg

from pipeline.alerts import alert_assets
from pipeline.distributed.engine import open_warehouse, spark_target
from pipeline.forecasts import forecast_assets
from pipeline.landing import landing_assets
from pipeline.landing.compact import compact
from pipeline.landing.fetching import FetchPolicy
from pipeline.orchestration.failed_runs import failed_runs
from pipeline.orchestration.lost_runs import lost_runs
from pipeline.orchestration.polling import POLL_SCHEDULES, poll_all, poll_balances
from pipeline.orchestration.sql_assets import sql_assets
from pipeline.orchestration.upgrade import rebuild_outdated
from pipeline.published import publishing_assets as published_assets
from pipeline.staging import staging_assets
from pipeline.support.clock import Clock, parse_instant
from pipeline.support.dagster_steps import readable_failures
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse


@dg.resource(description="The state folder that DRAWDOWN_HOME names.")
def home_resource(_: dg.InitResourceContext) -> Home:
    """The state folder."""
    return Home.from_environment()


@dg.resource(
    description="The writer's DuckDB file, locked from its first use to the end of the run.",
    required_resource_keys={"clock"},
)
def warehouse_resource(context: dg.InitResourceContext) -> Iterator[Warehouse]:
    """The warehouse, closed when the run ends."""
    warehouse = open_warehouse(Home.from_environment(), context.resources.clock, rebuild=rebuild_outdated)
    try:
        yield warehouse
        if warehouse.steps is not None:
            warehouse.steps.finish()
    finally:
        warehouse.close()


@dg.resource(
    config_schema={"as_of": dg.Field(str, is_required=False, description="A fixed instant: sandboxes only.")},
    description="The run's clock: the present, or one fixed instant.",
)
def clock_resource(context: dg.InitResourceContext) -> Clock:
    """The clock."""
    as_of = context.resource_config.get("as_of")
    return Clock(parse_instant(as_of) if as_of else None)


ASSETS: list[dg.AssetsDefinition] = [
    landing_assets.landing,
    staging_assets.staging,
    *sql_assets(),
    forecast_assets.forecasts,
    alert_assets.alerts,
    published_assets.snapshot,
    published_assets.parquet,
    published_assets.focus,
    published_assets.report,
    published_assets.metrics,
    published_assets.postgres,
    published_assets.messages,
]
"""All assets, in the order of the layers."""

_HOURLY = [key for key, (_, endpoint) in landing_assets.ENDPOINTS.items() if endpoint.refresh == "hourly"]

refresh_all = dg.define_asset_job(
    "refresh_all", description="Request every endpoint of every account, and update all tables."
)
refresh_balances = dg.define_asset_job(
    "refresh_balances",
    # Staging is always loaded completely, whatever was selected.
    selection=(dg.AssetSelection.assets(*_HOURLY) | dg.AssetSelection.groups("staging")).downstream(),
    description="Request balances and recent movements, and update all tables.",
)


@dg.op(description="Merge landing files of finished days into one for each day and endpoint.")
def compact_landing(
    context: dg.OpExecutionContext, home: dg.ResourceParam[Home], clock: dg.ResourceParam[Clock]
) -> None:
    """Merge landing files; other runs may continue."""
    with readable_failures():
        # Merged files would be uploaded beside those that they replace.
        if home.landing.is_dir() and spark_target() is None:
            done = compact(home.landing, clock.today())
            context.add_output_metadata({"files_before": done.files_before, "files_after": done.files_after})


@dg.job(description="Merge landing files of finished days. Rows do not change, and other runs may continue.")
def compaction() -> None:
    """Merge landing files, as `drawdown compact` does."""
    compact_landing()


_schedule = partial(dg.ScheduleDefinition, execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING)
"""Schedule of a job, in UTC, running by default."""

# On one machine, a second process for each step costs more than the step.
_EXECUTOR = dg.in_process_executor

defs = dg.Definitions(
    assets=ASSETS,
    jobs=[refresh_all, refresh_balances, poll_all, poll_balances, compaction],
    schedules=[
        _schedule(
            name="refresh_balances_hourly",
            job=refresh_balances,
            cron_schedule="5 * * * *",
            description="Five past every hour.",
        ),
        _schedule(
            name="refresh_all_daily",
            job=refresh_all,
            cron_schedule="35 4 * * *",
            description="Once a day at 04:35 UTC, between two hourly refreshes.",
        ),
        _schedule(
            name="compaction_daily",
            job=compaction,
            cron_schedule="45 3 * * *",
            description="Once a day at 03:45 UTC, between two hourly refreshes.",
        ),
        *POLL_SCHEDULES,
    ],
    resources={
        "home": home_resource,
        "warehouse": warehouse_resource,
        "clock": clock_resource,
        "fetch_policy": FetchPolicy(),
    },
    sensors=[lost_runs, failed_runs],
    executor=_EXECUTOR,
)
