"""Sensor that reports runs that failed under Dagster, because their own process may be gone."""

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
    description="Sends the alert of a failed run, once, also if its process is gone.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Record the run as failed, and send its alert and any messages that it left unsent."""
    lines = [line for event in context.get_step_failure_events() for line in failure_lines(event)]
    if not lines and context.failure_event.message:
        lines = [context.failure_event.message]
    for line in note_failed_run(Home.from_environment(), Clock(), context.dagster_run.run_id, lines):
        context.log.warning(line)


def failure_lines(event: dg.DagsterEvent) -> list[str]:
    """Reasons why a step failed: the messages of Drawdown's errors, or else that of the original error."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description.splitlines()
    if not data.error:
        return []
    cause = data.error
    while cause.cause:
        cause = cause.cause
    return [f"{event.step_key}: {cause.message.strip()}"]


def note_failed_run(home: Home, clock: Clock, run_id: str, lines: Sequence[str]) -> list[str]:
    """Send the alert of a failed run, and update the metrics; returns one line for each step that failed."""
    problems = run_failed(home, clock, run_id, lines)
    # The build is the last one; only the last-run file has changed. Without a build, there are no metrics.
    with suppress(DrawdownError, OSError):
        publish_metrics(home, clock.now(), read_last_run(home))
    return problems
