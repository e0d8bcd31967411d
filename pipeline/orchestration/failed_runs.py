"""The sensor that tells people of runs that failed under Dagster: their own process may be gone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import dagster as dg

from pipeline.alerts.run_failures import run_failed
from pipeline.published.metrics import publish_metrics
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.last_run import read_last_run


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends the alert of a run that failed, whatever became of its process; once for each run.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Note the run as failed, and tell of it and of what it left untold."""
    lines = [line for event in context.get_step_failure_events() for line in failure_lines(event)]
    if not lines and context.failure_event.message:
        lines = [context.failure_event.message]
    for line in note_failed_run(Home.from_environment(), Clock(), context.dagster_run.run_id, lines):
        context.log.warning(line)


def failure_lines(event: dg.DagsterEvent) -> list[str]:
    """Why a step failed: its own words where it has some, else those of the error that began it."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return [data.user_failure_data.description]
    if not data.error:
        return []
    cause = data.error
    while cause.cause:
        cause = cause.cause
    return [f"{event.step_key}: {cause.message.strip()}"]


def note_failed_run(home: Home, clock: Clock, run_id: str, lines: Sequence[str]) -> list[str]:
    """Send the alert of a run that failed, and say so in the metrics; returns a line for what could not be done."""
    problems = run_failed(home, clock, run_id, lines)
    # The build is the last one; what the file says of runs is new. Where nothing is published, there are no metrics.
    with suppress(DrawdownError, OSError):
        publish_metrics(home, clock.now(), read_last_run(home))
    return problems
