"""Runs that Dagster considers started although their process is gone: after a power failure, or a kill of everything.

Dagster's run monitoring needs a launcher that can report the state of a run, and the single-machine launcher cannot.
Until its maximum run time has passed, such a run would block the queue, in which one run executes at a time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import dagster as dg

# A process that reuses the id started later than the run, by more than clocks and rounding explain.
_ROUNDING_SECONDS: Final = 2.0


@dg.sensor(
    name="lost_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs without a process as failed, because they would block the next one.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Check every started run, and mark those without a process as failed."""
    instance = context.instance
    started = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    lost = [record for record in started if _is_lost(instance, record)]
    for record in lost:
        instance.report_run_failed(
            record.dagster_run, "The process of this run is gone; the next run continues from there."
        )
    return dg.SkipReason(f"{len(started)} started runs, {len(lost)} of them without a process")


def _is_lost(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    process_id = _process_id(instance, record.dagster_run.run_id)
    began = record.start_time
    if process_id is None or began is None:
        # No process reported yet: the run is starting, or another executor runs it, which Dagster monitors.
        return False
    return not _is_alive(process_id, began)


def _process_id(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """Id of the last process that reported to execute the run's steps."""
    found = None
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        reported = event.engine_event_data.metadata.get("pid") if event else None
        if reported is not None:
            with suppress(TypeError, ValueError):
                found = int(str(reported.value))
    return found


def _is_alive(process_id: int, began: float) -> bool:
    """Whether the process that existed when a run began still does, and is not another one with its id."""
    import psutil

    try:
        process = psutil.Process(process_id)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= began + _ROUNDING_SECONDS)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
