"""A build on a cluster: shards are computed by tasks, and the tables that need all accounts here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

import duckdb

from pipeline import __version__
from pipeline.alerts.account_facts import AccountFacts
from pipeline.distributed import fleet
from pipeline.distributed.build_state import BuildState, keep_published, read_state, remove_states, write_state
from pipeline.distributed.exports import export, lake_tables
from pipeline.distributed.landed_files import download_own, landed_keys
from pipeline.distributed.merging import merged_model, merged_staging, merged_state
from pipeline.distributed.shard_tasks import BuildTask, FirstResult, SecondResult
from pipeline.distributed.uploads import upload
from pipeline.lake.build_pointers import BuildPointer, DataFile, pointers
from pipeline.lake.lake_parts import Part
from pipeline.lake.lake_reading import write_view_file
from pipeline.lake.lake_tables import Lake
from pipeline.models.model import Model
from pipeline.models.recompute import row_count
from pipeline.models.table_state import TableState
from pipeline.models.unpublished import forget_build, published_build, record_build
from pipeline.published.build_record import BuildRecord, layout_hash, write_record
from pipeline.published.snapshot import Build, prune, turn
from pipeline.schema.tables import ALL, published
from pipeline.settings.spark_target import SparkTarget
from pipeline.staging.aliases import read_aliases
from pipeline.staging.refresh_staging import StagingResult
from pipeline.support.clock import Clock, FetchIds
from pipeline.support.home import BUILD_FILE, private_folder
from pipeline.warehouse.layout import layout_fingerprint
from pipeline.warehouse.model_refresh import Refreshed, refresh_model
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import polars as pl

_MIB: Final = 2**20

Place = tuple[str, int, object]
"""Table, shard and month."""


class Plan(Protocol):
    """What runs the tasks of a build; results are by shard."""

    def first_stages(
        self, task: BuildTask, keys: Sequence[str], kept: Mapping[int, str], shards: Iterable[int]
    ) -> dict[int, FirstResult | None]:
        """Run the first stage of shards with the rows of landed files; `kept` are the keys of their warehouses.

        A shard whose warehouse cannot be continued has None.
        """
        ...

    def second_stages(
        self, task: BuildTask, kept: Mapping[int, str], pool: pl.DataFrame | None
    ) -> dict[int, SecondResult]:
        """Run the second stage of shards, whose warehouses are kept under these keys."""
        ...


@dataclass(slots=True, kw_only=True)
class _Base:
    """The build that a build continues."""

    pointer: BuildPointer
    state: BuildState


@dataclass(kw_only=True)
class DistributedBuild:
    """One build, from landing to the lake. Its methods are called in order.

    `warehouse` is that of the fleet (`pipeline.distributed.fleet`). All methods raise DrawdownError if the storage or a
    task fails.
    """

    plan: Plan
    target: SparkTarget
    warehouse: Warehouse
    clock: Clock
    is_whole: bool = False
    """Compute everything from landing, whatever the last build kept."""
    build_id: str = field(default_factory=lambda: FetchIds().draw())
    _first: dict[int, FirstResult] = field(default_factory=dict)
    _second: dict[int, SecondResult] = field(default_factory=dict)
    _parts: dict[Place, Part] = field(default_factory=dict)
    _landed: list[str] = field(default_factory=list)
    _shown: dict[str, list[DataFile]] = field(default_factory=dict)
    """Files of the tables that the fleet has been shown."""
    _base: _Base | None = None
    _before: BuildPointer | None = None
    """The build that readers have."""
    _is_committed: bool = False

    @cached_property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(
            self.target.storage or "",
            self.warehouse.home.path,
            catalog_variable=self.target.catalog_variable,
            tables=lake_tables(),
        )

    def load(self, run_id: str) -> StagingResult:
        """Upload what this machine landed, and run the first stage of every shard."""
        home, store = self.warehouse.home, self.lake.store
        self.lake.begin(self.build_id)
        if home.landing.is_dir():
            upload(home, store, trusts_record=not self.is_whole)
        self._before = self.lake.current()
        self._landed = landed_keys(store)
        download_own(store, self._landed, home.landing)
        own = fleet.load_own(self.warehouse)
        self._base = None if self.is_whole or own.is_reloaded else self._continued()
        kept = self._base.state.warehouses if self._base else {}
        known = set(self._base.state.landed) if self._base else set()
        fresh = [key for key in self._landed if key not in known]
        task = self._task(run_id)
        found = self.plan.first_stages(task, fresh, kept, range(self.target.shards))
        stopped = sorted(shard for shard, result in found.items() if result is None)
        if stopped:
            found |= self.plan.first_stages(task, self._landed, {}, stopped)
        for shard, result in found.items():
            assert result is not None  # noqa: S101 - a shard that begins anew always has a result
            self._first[shard] = result
            self._take(result.parts, shard, is_from_scratch=result.is_whole)
        self._show(("staging", "core"))
        merged = merged_staging([self._first[shard].stage.staging for shard in sorted(self._first)])
        merged.report.fetches = own.fetches + sum(each.answers for each in self._first.values())
        return merged

    def forecast(self, run_id: str) -> int:
        """Learn from all accounts, run the second stage of every shard, and add up the running month.

        Returns the number of accounts for which today's issue was landed.
        """
        pool = fleet.learn(self.warehouse)
        keys = {shard: each.warehouse_key for shard, each in self._first.items()}
        self._second = self.plan.second_stages(self._task(run_id), keys, pool)
        for shard, result in self._second.items():
            self._take(result.parts, shard, is_from_scratch=result.is_whole)
        self._show(("staging", "forecasts", "marts"))
        outlooks = [self._second[shard].stage.outlooks for shard in sorted(self._second)]
        fleet.add_months(self.warehouse, self.clock, run_id, outlooks)
        return sum(each.stage.issued for each in self._second.values())

    def model(self, model: Model) -> Refreshed:
        """The update of a model's table: what the tasks did, or for a table of the fleet, its update here."""
        name = model.table.full_name
        if name == fleet.DICTIONARY:
            return Refreshed(rows=row_count(self.warehouse.connection, model.table))
        if model.table.partition == "fleet":
            return refresh_model(self.warehouse, model)
        results = self._first if model.table.layer == "core" else self._second
        return merged_model([results[shard].stage.models[name] for shard in sorted(results)])

    def table_state(self, name: str) -> TableState | None:
        """What the checks of a table of forecasts found in all shards; None for one of the fleet."""
        if ALL[name].partition == "fleet":
            return None
        return merged_state([self._second[shard].stage.forecasts[name] for shard in sorted(self._second)])

    def readings(self) -> list[AccountFacts]:
        """What the rules of alerts look at, in the order of accounts."""
        found = [each for result in self._second.values() for each in result.readings]
        return sorted(found, key=lambda each: each.account_id)

    def publish(self, run_id: str) -> Build:  # noqa: ARG002 - as the other steps
        """Commit the build to the lake, and switch this machine's readers to it."""
        home, store, connection = self.warehouse.home, self.lake.store, self.warehouse.connection
        if self._base is None or published_build(connection) != self._base.pointer.build_id:
            forget_build(connection)
        tables = [table for table in lake_tables() if table.partition == "fleet"]
        is_from_scratch = published_build(connection) is None
        parts = list(export(connection, tables, shard=0, build_id=self.build_id, store=store))
        self._take(parts, 0, is_from_scratch=is_from_scratch, names={table.full_name for table in tables})
        write_state(
            store,
            BuildState(
                build_id=self.build_id,
                layout=_layout(),
                count=self.target.shards,
                former_names=self._former_names(),
                warehouses={shard: each.warehouse_key for shard, each in self._second.items()},
                landed=self._landed,
            ),
        )
        pointer = self.lake.commit(
            self.build_id, list(self._parts.values()), follows=self._before.build_id if self._before else None
        )
        self._is_committed = True
        with self.warehouse.transaction():
            record_build(connection, self.build_id)
        versions = private_folder(home.published / "versions")
        path = private_folder(versions / self.build_id) / BUILD_FILE
        write_view_file(pointer, store, published(), path)
        keep_published(store, self.build_id, path)
        record = BuildRecord(layout=layout_hash(published()), whole_bytes=0)
        write_record(path, record)
        turn(home.current, path)
        prune(home, keep=path.parent)
        rows = {table.full_name: pointer.tables[table.full_name].rows for table in published()}
        size = sum(file.size_bytes for file in pointer.files)
        why_whole = "nothing was kept that could be continued" if self._base is None else None
        return Build(path, rows, size, record, why_whole)

    def finish(self) -> None:
        """Upload what this run landed; if it has published, delete what neither this build nor those before it need."""
        store = self.lake.store
        upload(self.warehouse.home, store)
        if not self._is_committed:
            self.lake.abandon(self.build_id)
            return
        self.lake.remove_unneeded()
        remove_states(store, {each.build_id for each in pointers(store)})

    def _former_names(self) -> dict[str, str]:
        return read_aliases(self.warehouse.connection).names

    def _task(self, run_id: str) -> BuildTask:
        return BuildTask(
            storage=self.lake.store.url,
            build_id=self.build_id,
            run_id=run_id,
            count=self.target.shards,
            former_names=self._former_names(),
            known_at=self.warehouse.known_at,
            is_replay=self.warehouse.is_replay,
            fixed_now=self.clock.as_of,
            follows=self._before.build_id if self._before else None,
            memory_bytes=self.target.task_memory_mb * _MIB,
        )

    def _continued(self) -> _Base | None:
        """The current build, if its shards can be continued."""
        pointer = self._before
        state = read_state(self.lake.store, pointer.build_id) if pointer else None
        if pointer is None or state is None:
            return None
        is_alike = (
            state.layout == _layout()
            and state.count == self.target.shards
            and state.former_names == self._former_names()
        )
        return _Base(pointer=pointer, state=state) if is_alike else None

    def _take(self, parts: Iterable[Part], shard: int, *, is_from_scratch: bool, names: set[str] | None = None) -> None:
        """Add parts of a shard; if it was computed from scratch, they are all that it has."""
        for part in parts:
            self._parts[part.table, part.shard, part.month] = part
        pointer = self._before if is_from_scratch else None
        if pointer is None:
            return
        mine = names if names is not None else {name for name in pointer.tables if ALL[name].partition == "account"}
        for name in mine & pointer.tables.keys():
            for file in pointer.tables[name].files:
                place = (name, file.shard, file.month)
                if file.shard == shard or (names is None and file.shard >= self.target.shards):
                    self._parts.setdefault(place, Part(name, file.shard, file.month, (), 0))

    def _show(self, layers: Sequence[str]) -> None:
        """Show the fleet the tables of these layers as they will be published."""
        store = self.lake.store
        names = [table.full_name for table in lake_tables() if table.layer in layers and table.partition == "account"]
        for name in names:
            kept = self._base.pointer.tables.get(name) if self._base else None
            files = [file for file in (kept.files if kept else ()) if (name, file.shard, file.month) not in self._parts]
            for part in self._parts.values():
                if part.table == name:
                    keys = [store.key_of(path) for path in part.paths]
                    files += [DataFile(key, part.shard, part.month, part.rows, store.size(key)) for key in keys]
            self._shown[name] = files
        fleet.show_files(self.warehouse, store, self._shown, names)


def _layout() -> str:
    """What decides whether a shard's warehouse can be continued."""
    return f"{__version__} {duckdb.__version__} {layout_fingerprint()}"
