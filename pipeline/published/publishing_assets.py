"""Assets of the layer `published`: the snapshot that readers open, and exports made from it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from pipeline import settings
from pipeline.alerts.delivery import deliver, sole_deliverer
from pipeline.alerts.heartbeat import beat
from pipeline.alerts.journal import JournalCopy
from pipeline.alerts.run_failures import run_succeeded
from pipeline.models import quarantine
from pipeline.published.build_files import BuildFiles
from pipeline.published.build_record import ALL_ROWS
from pipeline.published.focus import publish_focus
from pipeline.published.metrics import publish_metrics
from pipeline.published.parquet_files import publish_parquet
from pipeline.published.postgres import load_postgres
from pipeline.published.report import publish_report
from pipeline.published.snapshot import Build, publish
from pipeline.schema.tables import published
from pipeline.staging.published_statuses import land_statuses
from pipeline.support.clock import Clock
from pipeline.support.dagster_steps import HOURLY, OWNERS, asset_key, described, readable_failures, say
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.last_run import LastRun
from pipeline.warehouse.writer import Warehouse

_SNAPSHOT = dg.AssetKey(["published", "snapshot"])


@dg.asset(
    key=_SNAPSHOT,
    deps=[asset_key(table.full_name) for table in published()],
    group_name="published",
    description="published/current.duckdb: the tables that readers get, in one file, swapped whole.",
    kinds={"duckdb"},
    owners=OWNERS,
    freshness_policy=HOURLY,
    check_specs=[
        dg.AssetCheckSpec(
            "is_whole",
            asset=_SNAPSHOT,
            description="No account is in quarantine: readers get rows of this build for all of them.",
        )
    ],
)
def snapshot(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], clock: dg.ResourceParam[Clock]
) -> dg.MaterializeResult:
    """Copy the published tables into a new file, switch the symlink to it, and land what it is the first to say."""
    with readable_failures():
        warehouse.checkpoint()
        steps = warehouse.steps
        build: Build = (
            steps.publish(context.run.run_id) if steps else publish(warehouse.connection, warehouse.home, published())
        )
        warehouse.has_published = True
        if not warehouse.is_replay:
            land_statuses(warehouse.connection, warehouse.home, clock, context.run.run_id)
        quarantined = quarantine.lines(warehouse.connection)
    say(f"published: {len(build.table_rows)} tables in {warehouse.home.current}, {_written(build)}")
    return dg.MaterializeResult(
        check_results=[_result("is_whole", quarantined, metadata={"accounts_in_quarantine": len(quarantined)})],
        metadata={
            "path": dg.MetadataValue.path(build.path),
            "size_bytes": build.size_bytes,
            "dagster/row_count": sum(build.table_rows.values()),
            "table_rows": dg.MetadataValue.json(build.table_rows),
            "rewritten": dg.MetadataValue.json(build.record.rewritten),
            "why_whole": build.why_whole,
        },
    )


def _written(build: Build) -> str:
    """What a build wrote, in number of tables: `14 rewritten, and of 6 others 2026-11`."""
    if build.why_whole:
        return f"all written: {build.why_whole}"
    parts = [months for months in build.record.rewritten.values() if months != ALL_ROWS]
    months = sorted({month for each in parts for month in each})
    whole = len(build.record.rewritten) - len(parts)
    if not months:
        return f"{whole} rewritten"
    span = months[0] if len(months) == 1 else f"{len(months)} months from {months[0]} to {months[-1]}"
    return f"{whole} rewritten, and of {len(parts)} others {span}"


def _of_snapshot(
    name: str,
    *,
    kinds: set[str],
    description: str,
    check: tuple[str, str] | None = None,
    after: Iterable[dg.AssetsDefinition] = (),
) -> Callable[[Callable[..., dg.MaterializeResult]], dg.AssetsDefinition]:
    """An asset that is made of the snapshot, with its check, if any: its name and what holds."""
    key = dg.AssetKey(["published", name])
    return dg.asset(
        key=key,
        deps=[_SNAPSHOT, *after],
        group_name="published",
        description=description,
        kinds=kinds,
        owners=OWNERS,
        check_specs=[dg.AssetCheckSpec(check[0], asset=key, description=check[1])] if check else None,
    )


def _result(
    name: str, problems: Sequence[str], *, otherwise: str | None = None, metadata: dict[str, Any] | None = None
) -> dg.AssetCheckResult:
    """What a check has found: an error that says all problems, or `otherwise` where there are none."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR,
        description=described(problems) or otherwise,
        metadata=metadata,
    )


@_of_snapshot(
    "parquet",
    kinds={"parquet"},
    description="published/parquet/<schema>.<table>.parquet: the same tables for tools that read files; a folder of "
    "months for those that are published by month.",
)
def parquet(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Write each table of the current snapshot as a Parquet file; the tables of a lake are such files already."""
    if warehouse.steps is not None:
        return dg.MaterializeResult(metadata={"files_written": 0})
    with readable_failures():
        return _files_of_build(publish_parquet(warehouse.home.current.resolve(), warehouse.home, published()))


@_of_snapshot(
    "focus",
    kinds={"csv", "parquet"},
    description="published/focus/: charges in FOCUS 1.4 by billing period as CSV and Parquet, as reported and with "
    "estimates.",
)
def focus(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Write the FOCUS exports of the current snapshot."""
    with readable_failures():
        return _files_of_build(publish_focus(warehouse.home.current.resolve(), warehouse.home))


@_of_snapshot(
    "report",
    kinds={"html"},
    description="published/report/index.html: one page of the snapshot, for people who open no database.",
)
def report(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Write the report of the current snapshot."""
    with readable_failures():
        path = publish_report(warehouse.home.current, warehouse.home)
    return dg.MaterializeResult(
        metadata={"path": dg.MetadataValue.path(path), "url": path.as_uri(), "size_bytes": path.stat().st_size}
    )


@_of_snapshot(
    "metrics",
    kinds={"prometheus"},
    description="published/metrics/drawdown.prom: the accounts as metrics, for Prometheus and node_exporter.",
)
def metrics(
    context: dg.AssetExecutionContext, home: dg.ResourceParam[Home], clock: dg.ResourceParam[Clock]
) -> dg.MaterializeResult:
    """Write the metrics of the current snapshot."""
    # Any failure after this makes the run a failed one, and writes them again.
    this_run = LastRun(run_id=context.run.run_id, ended_at_utc=clock.now(), is_ok=True)
    with readable_failures():
        return _files([publish_metrics(home, clock.now(), this_run)])


@_of_snapshot(
    "postgres",
    kinds={"postgres"},
    description="The same tables in the PostgreSQL database that accounts.toml names under publish.postgres, swapped "
    "whole; skipped if it names none.",
    check=("is_loaded", "PostgreSQL has the newest build, if it is configured; the next run tries again."),
)
def postgres(home: dg.ResourceParam[Home]) -> dg.MaterializeResult:
    """Copy the current snapshot into PostgreSQL; a failure is a failed check, and everything else is kept."""
    problem = loaded = target = None
    try:
        # A rebuild needs no accounts.toml.
        target = settings.load().postgres if settings.accounts_path().exists() else None
        if target is not None:
            loaded = load_postgres(home.current, target)
    except DrawdownError as failure:
        problem = str(failure)
    if loaded:
        say(f"postgres: {len(loaded.table_rows)} tables, build {loaded.build}")
    elif problem:
        say("postgres: not loaded")
    return dg.MaterializeResult(
        metadata={
            "is_configured": target is not None,
            **(
                {
                    "build": loaded.build,
                    "dagster/row_count": sum(loaded.table_rows.values()),
                    "table_rows": dg.MetadataValue.json(loaded.table_rows),
                }
                if loaded
                else {}
            ),
        },
        check_results=[
            _result(
                "is_loaded",
                [problem] if problem else [],
                otherwise=None if target else "accounts.toml names no publish.postgres: nothing to do.",
            )
        ],
    )


@_of_snapshot(
    "messages",
    kinds={"python"},
    description="Messages about changed alerts, sent after everything else is published.",
    check=("is_delivered", "Every recipient was notified; undelivered messages are tried again."),
    after=[parquet, focus, report, metrics, postgres],
)
def messages(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    home: dg.ResourceParam[Home],
    clock: dg.ResourceParam[Clock],
) -> dg.MaterializeResult:
    """Unlock the warehouse, record that the run has published, and send messages; a replay sends none."""
    problems: list[str] = []
    if not warehouse.is_replay:
        with readable_failures():
            problems = _send_messages(warehouse, home, clock, context.run.run_id)
    return dg.MaterializeResult(check_results=[_result("is_delivered", problems)])


def _send_messages(warehouse: Warehouse, home: Home, clock: Clock, run_id: str) -> list[str]:
    own = settings.load()
    journal = JournalCopy.of(warehouse.connection)
    # Recipients may be slow, and other writers should not wait for them.
    warehouse.close()
    with sole_deliverer(home) as is_sole:
        if not is_sole:
            return ["alerts: another process is sending messages; the next run sends what is left"]
        ledger = journal.ledger(home.landing)
        if warehouse.has_published:
            run_succeeded(ledger, own, home, clock, run_id)
            ledger = journal.ledger(home.landing)
        problems = deliver(
            ledger, own.alerts, own.alert_recipients(), own.notify_url, home, clock, run_id, own.vendor_titles()
        ).problems
    return [*problems, *_beat(own)] if warehouse.has_published else problems


def _beat(own: settings.Settings) -> list[str]:
    """Send the heartbeat, if there is one, after everything else of the run; returns the problem as a line."""
    url = own.heartbeat_url()
    problem = beat(url) if url else None
    return [f"alerts: {problem}"] if problem else []


def _files(written: list[Path]) -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"files": len(written), "size_bytes": sum(path.stat().st_size for path in written)}
    )


def _files_of_build(files: BuildFiles | None) -> dg.MaterializeResult:
    """Metadata of the files that were made for a build; without any if they were there already."""
    written, linked = (files.written, files.linked) if files else ([], [])
    return dg.MaterializeResult(metadata={"files_written": len(written), "files_without_changes": len(linked)})
