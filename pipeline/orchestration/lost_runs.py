"""Runs that Dagster takes for started, though their process is gone: a power cut, a kill of everything at once.

Dagster's own watch over runs asks launchers that can tell, and the one on a single machine cannot. Until the longest
time that a run may take, such a run would hold up the queue, in which one run goes ahead at a time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import dagster as dg

# A process that reuses its number began later than the run by more than clocks and rounding explain.
_ROUNDING_SECONDS: Final = 2.0


@dg.sensor(
    name="lost_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process is gone, so that they do not hold up the next one.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look at every run that is started, and end those that nobody runs any more."""
    instance = context.instance
    started = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    lost = [record for record in started if _is_lost(instance, record)]
    for record in lost:
        instance.report_run_failed(
            record.dagster_run, "The process of this run is gone; the next run continues from there."
        )
    return dg.SkipReason(f"{len(started)} runs are started, {len(lost)} of them were lost")


def _is_lost(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    process_id = _process_id(instance, record.dagster_run.run_id)
    began = record.start_time
    if process_id is None or began is None:
        # It has told no process: it is beginning, or another executor runs it, which Dagster watches.
        return False
    return not _is_alive(process_id, began)


def _process_id(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that has told last that it executes a run's steps."""
    found = None
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        told = event.engine_event_data.metadata.get("pid") if event else None
        if told is not None:
            with suppress(TypeError, ValueError):
                found = int(str(told.value))
    return found


def _is_alive(process_id: int, began: float) -> bool:
    """Whether the process that was there when a run began is there still, and not another one of its number."""
    import psutil

    try:
        process = psutil.Process(process_id)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= began + _ROUNDING_SECONDS)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
