"""The Dagster instance of a process without DAGSTER_HOME: nobody can read its records after the run, so it keeps none.

Dagster's own ephemeral instance stores each event in SQLite and reads the inputs' events back, which costs more than
most assets do. The results of a run come from the events themselves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.instance.types import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage

if TYPE_CHECKING:
    from dagster._core.events.log import EventLogEntry
    from dagster._core.storage.event_log.base import AssetRecord


class _DiscardingEventLog(InMemoryEventLogStorage):
    """An event log that is always empty."""

    def store_event(self, event: EventLogEntry) -> None:
        """Discard an event."""

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Discard events."""

    def get_asset_records(self, _asset_keys: Sequence[dg.AssetKey] | None = None) -> Sequence[AssetRecord]:
        """No records, without a query for each step."""
        return []

    @property
    def asset_records_have_last_observation(self) -> bool:
        """True, so that observations are not looked for elsewhere."""
        return True


@contextmanager
def temporary_instance() -> Iterator[dg.DagsterInstance]:
    """An instance that ends with the run and records no events."""
    with tempfile.TemporaryDirectory(prefix="drawdown-") as folder:
        parts: dict[str, Any] = {
            "instance_type": InstanceType.EPHEMERAL,
            "local_artifact_storage": LocalArtifactStorage(folder),
            "run_storage": InMemoryRunStorage(),
            "event_storage": _DiscardingEventLog(),
            "compute_log_manager": NoOpComputeLogManager(),
            "run_coordinator": DefaultRunCoordinator(),
            "run_launcher": SyncInMemoryRunLauncher(),
        }
        with dg.DagsterInstance(**parts) as instance:
            yield instance
