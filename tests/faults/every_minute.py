"""The definitions with a schedule that ticks every minute, at the instant in the file EVERY_MINUTE_CLOCK.

For the daemon of tests/faults/test_scheduler.py, which cannot wait for the hour.
"""

import os
from pathlib import Path

import dagster as dg

from pipeline.orchestration import definitions


@dg.schedule(
    job=definitions.refresh_balances, cron_schedule="* * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
def every_minute(_: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    as_of = Path(os.environ["EVERY_MINUTE_CLOCK"]).read_text()
    return dg.RunRequest(run_config={"resources": {"clock": {"config": {"as_of": as_of}}}}, tags={"as_of": as_of})


defs = dg.Definitions(
    assets=definitions.defs.assets,
    jobs=definitions.defs.jobs,
    schedules=[every_minute],
    sensors=definitions.defs.sensors,
    resources=definitions.defs.resources,
    executor=definitions.defs.executor,
)
