"""Jobs that only request accounts and upload the answers: each has a partition for every poller.

A run requests the accounts of one poller, so Dagster's run launchers spread the requests over machines.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

import dagster as dg

from pipeline.distributed.engine import spark_target
from pipeline.landing.account_requests import request_accounts
from pipeline.landing.fetching import FetchPolicy, Visit, every_endpoint
from pipeline.landing.listing_walk import Span
from pipeline.landing.pollers import Poller
from pipeline.settings import load
from pipeline.support.clock import Clock
from pipeline.support.dagster_steps import note, readable_failures
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home


def _keys() -> list[str]:
    count = load().poller_count
    return [f"{number} of {count}" for number in range(1, count + 1)] if count > 1 else []


def partition_keys(_: datetime | None = None) -> Sequence[str]:
    """One key for each poller of accounts.toml, such as `3 of 8`; none if one run does everything."""
    # Dagster asks for them when it shows the job, and must be able to without accounts.toml. A run reports mistakes.
    with suppress(DrawdownError):
        return _keys()
    return []


def _config(endpoints: str, key: str) -> dict[str, Any]:
    number = int(key.partition(" ")[0])
    return {"ops": {"request_and_upload": {"config": {"poller": number, "endpoints": endpoints}}}}


_partitioned = dg.dynamic_partitioned_config(partition_keys)


@dg.op(
    description="Request the accounts of one poller, and upload the answers to the storage of [spark].",
    config_schema={
        "poller": dg.Field(int, description="Number of the poller, from 1 to spark.pollers."),
        "endpoints": dg.Field(str, description="`hourly` for those requested every hour, `all` for every one."),
    },
)
def request_and_upload(
    context: dg.OpExecutionContext,
    home: dg.ResourceParam[Home],
    clock: dg.ResourceParam[Clock],
    fetch_policy: dg.ResourceParam[FetchPolicy],
) -> None:
    """Request, land and upload; an account that fails is a warning, as in every run."""
    # Only where there is a storage.
    from pipeline.distributed.uploads import upload
    from pipeline.lake.open_store import open_store

    def warn(line: str) -> None:
        note(context, line, is_warning=True)
        fetch_policy.on_warning(line)

    with readable_failures():
        settings = load()
        target = spark_target()
        poller = Poller.of(settings, context.op_config["poller"])
        visits = request_accounts(
            settings,
            poller.accounts(settings.accounts.values()),
            every_endpoint("hourly" if context.op_config["endpoints"] == "hourly" else None),
            home=home,
            clock=clock,
            run_id=context.run_id,
            span=Span(),
            policy=fetch_policy,
            warn=warn,
        )
        files = upload(home, open_store(target.storage or "")) if target else 0
    for visit in visits:
        if visit.is_failed:
            warn(f"{visit.account_id}: {visit.endpoint}: {visit.reason}")
    context.add_output_metadata(_metadata(visits, files))


def _metadata(visits: list[Visit], files: int) -> dict[str, int]:
    return {
        "accounts": len({each.account_id for each in visits}),
        "failed_requests": sum(each.is_failed for each in visits),
        "fetches": sum(each.fetch_count for each in visits),
        "uploaded_files": files,
    }


@dg.job(
    config=_partitioned(partial(_config, "hourly")),
    description="Request balances and recent movements of one poller's accounts, and upload the answers.",
)
def poll_balances() -> None:
    """The hourly endpoints of one poller's accounts."""
    request_and_upload()


@dg.job(
    config=_partitioned(partial(_config, "all")),
    description="Request every endpoint of one poller's accounts, and upload the answers.",
)
def poll_all() -> None:
    """Every endpoint of one poller's accounts."""
    request_and_upload()


def _schedule(name: str, job: dg.JobDefinition, cron: str, description: str) -> dg.ScheduleDefinition:
    def requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        keys = _keys()
        if not keys:
            yield dg.SkipReason("spark.pollers is 1: the run that makes the tables requests the accounts")
        for key in keys:
            yield dg.RunRequest(partition_key=key, run_key=f"{context.scheduled_execution_time.isoformat()} {key}")

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_fn=requests,
        execution_timezone="UTC",
        description=description,
        default_status=dg.DefaultScheduleStatus.RUNNING if partition_keys() else dg.DefaultScheduleStatus.STOPPED,
    )


POLL_SCHEDULES: Final = (
    _schedule("poll_balances_hourly", poll_balances, "50 * * * *", "Fifteen minutes before each hourly refresh."),
    _schedule("poll_all_daily", poll_all, "10 4 * * *", "Once a day at 04:10 UTC, before the daily refresh."),
)
"""Schedules that run if accounts.toml has spark.pollers when Dagster loads the definitions."""
