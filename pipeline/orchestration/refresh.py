"""A complete refresh in this process: the same assets that the schedules run, without a server."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg

from pipeline.distributed.engine import open_warehouse
from pipeline.landing.fetching import FetchPolicy, calls_for, check_world, every_endpoint
from pipeline.landing.landing_assets import ENDPOINTS, LandingConfig
from pipeline.landing.store import day_folders
from pipeline.models import quarantine
from pipeline.orchestration.definitions import ASSETS, defs
from pipeline.orchestration.failed_runs import failure_lines, note_failed_run
from pipeline.orchestration.temporary_instance import temporary_instance
from pipeline.orchestration.upgrade import rebuild_outdated
from pipeline.published.snapshot import write_build
from pipeline.schema.layers import SQL_LAYERS
from pipeline.schema.tables import published
from pipeline.settings import load
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError, UsageError, first_line
from pipeline.support.home import Home, private_folder
from pipeline.support.notices import collected, warn

_SELECTION_HINT = "try 'group:core' or 'key:\"marts/*\"'"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshResult:
    """Result of a refresh."""

    run_id: str
    problems: list[str] = field(default_factory=list)
    """One line for each failed vendor or broken rule; empty on success."""
    warnings: list[str] = field(default_factory=list)
    """One line for each fact that a person should know and that affects no number."""

    @property
    def is_ok(self) -> bool:
        """Whether nothing failed."""
        return not self.problems


class RunFailed(DrawdownError):
    """A refresh did not complete; readers keep the last build."""

    def __init__(self, run_id: str, lines: Sequence[str]) -> None:
        """`lines` has one line for each reason."""
        super().__init__("; ".join(lines))
        self.run_id = run_id
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRequest:
    """Parameters of a refresh."""

    home: Home
    selection: str | None = None
    """Asset selection in Dagster's syntax; None for all assets."""
    accounts: tuple[str, ...] = ()
    poller: int | None = None
    """Number of the poller whose accounts are requested; None for all of `accounts`."""
    clock: Clock = field(default_factory=Clock)
    from_date: str | None = None
    to_date: str | None = None
    policy: FetchPolicy = field(default_factory=FetchPolicy)
    on_step: Callable[[str], object] = lambda _: None
    """Called with the key path of each materialised asset."""
    warehouse_path: Path | None = None
    """File to use instead of the state folder's warehouse: it starts empty, and is removed unless it replaces the
    warehouse."""
    is_rebuild: bool = False
    """Fetch nothing; on success, replace the warehouse by the file above, while the lock is held."""
    known_at: datetime | None = None
    """Load nothing that arrived later."""
    target: Path | None = None
    """Fetch and publish nothing; on success, write the published tables to this file."""

    @property
    def is_replay(self) -> bool:
        """Whether tables are only made again from landing: such a refresh is not a run, and sends no message."""
        return self.is_rebuild or self.target is not None


def check_before(request: RefreshRequest) -> None:
    """Raise UsageError for problems that would only show later, before any request is made.

    A missing DAGSTER_HOME, unknown accounts, missing secrets, a fixed clock for a real vendor, and real accounts in a
    state folder with a sandbox's data.
    """
    _check_dagster_home()
    settings = load()
    accounts, _ = _landing(request).own_accounts(settings)
    check_world(settings, accounts, request.clock, request.home)
    calls_for(accounts, every_endpoint())
    settings.check_recipients()
    if settings.postgres is not None:
        settings.postgres.dsn()


def _landing(request: RefreshRequest) -> LandingConfig:
    return LandingConfig(
        accounts=list(request.accounts), poller=request.poller, from_date=request.from_date, to_date=request.to_date
    )


def step_count(request: RefreshRequest) -> int:
    """Number of steps that a refresh reports: the endpoints of each account, and the assets with a row count."""
    keys = _selected(request)
    wanted = {(vendor.name, endpoint.name) for key, (vendor, endpoint) in ENDPOINTS.items() if key in keys}
    calls = calls_for(_landing(request).own_accounts(load())[0], wanted) if wanted else []
    tables = [key for key in keys if key.path[0] in SQL_LAYERS]
    whole = {key.path[0] for key in keys} & {"staging", "forecasts", "alerts", "published"}
    return len(calls) + len(tables) + len(whole)


def _selected(request: RefreshRequest) -> set[dg.AssetKey]:
    """Assets that a request materialises. Raises UsageError if there is none."""
    try:
        keys = set(_selection(request).resolve(defs.resolve_asset_graph()))
    except dg.DagsterInvalidSubsetError:
        keys = set()
    if not keys:
        raise UsageError(f"--select {request.selection!r} matches no asset; {_SELECTION_HINT}")
    return keys


def _selection(request: RefreshRequest) -> dg.AssetSelection:
    """Parse the selection of a request. Raises UsageError if it is invalid."""
    try:
        with warnings.catch_warnings():
            # Dagster warns that selecting groups is beta; users cannot act on that.
            warnings.simplefilter("ignore", dg.BetaWarning)
            selection = (
                dg.AssetSelection.from_string(request.selection) if request.selection else dg.AssetSelection.all()
            )
    except dg.DagsterError as problem:
        words = first_line(problem)
        raise UsageError(f"--select {request.selection!r} cannot be read: {words}; {_SELECTION_HINT}") from None
    if request.is_replay:
        selection = selection - dg.AssetSelection.groups("landing")
    if request.target:
        selection = selection - dg.AssetSelection.groups("published")
    # Tables of one step are made together, even if only one was selected.
    return selection.required_multi_asset_neighbors()


def materialize(request: RefreshRequest) -> RefreshResult:
    """Materialise the selected assets in this process.

    Raises RunFailed with a step's own message if it failed; vendors' failures are in the result instead. Messages about
    a failed run are sent before it is raised, except in a rebuild.
    """
    with collected() as noticed:
        try:
            return _materialize(request, noticed)
        except UsageError:
            raise
        except Exception as problem:
            if not request.is_replay:
                run_id, lines = ending(problem)
                for line in note_failed_run(request.home, request.clock, run_id or str(uuid4()), lines):
                    warn(line)
            raise


def ending(problem: BaseException) -> tuple[str | None, tuple[str, ...]]:
    """Id of the failed run, if one had begun, and the reasons as lines."""
    if isinstance(problem, RunFailed):
        return problem.run_id, problem.lines
    if isinstance(problem, KeyboardInterrupt):
        return None, ("interrupted",)
    return None, tuple(str(problem).splitlines()) or (type(problem).__name__,)


def _materialize(request: RefreshRequest, noticed: list[str]) -> RefreshResult:
    selection = _selection(request)
    run_config: dict[str, Any] = dict(_QUIET)
    keys = _selected(request)
    if any(key.path[0] == "landing" for key in keys):
        run_config["ops"] = {"landing": {"config": _landing(request).model_dump(exclude_none=True)}}
    warehouse = open_warehouse(
        request.home,
        request.clock,
        path=request.warehouse_path,
        known_at=request.known_at,
        is_replay=request.is_replay,
        is_whole=request.is_replay,
        rebuild=rebuild_outdated,
    )
    private_folder(request.home.path)
    with ExitStack() as stack:
        instance = stack.enter_context(_instance())
        stack.callback(warehouse.close)
        stack.enter_context(_following(request.on_step))
        result = dg.materialize(
            ASSETS,
            selection=selection,
            instance=instance,
            resources={
                "home": request.home,
                "warehouse": warehouse,
                "clock": request.clock,
                "fetch_policy": request.policy,
            },
            run_config=run_config,
            raise_on_error=False,
        )
        # A step that failed may have left a connection that no longer works.
        held = quarantine.lines(warehouse.connection) if result.success and warehouse.is_open else []
        if result.success and request.target:
            write_build(warehouse.connection, request.target, published())
        if result.success and warehouse.steps is not None:
            warehouse.steps.finish()
        elif result.success and request.is_rebuild:
            warehouse.replace_main_file()
    problems = [
        line
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
        for line in _check_lines(check)
    ]
    skipped = [str(event.step_key) for event in result.all_events if event.is_step_skipped]
    if result.success and skipped:
        line = f"steps were skipped without a failure, so nothing was published: {', '.join(skipped)}. Try again"
        raise RunFailed(result.run_id, [line])
    if any(_is_interruption(event) for event in result.get_step_failure_events()):
        raise KeyboardInterrupt
    if not result.success:
        raise RunFailed(result.run_id, [*_failures(result), *problems] or ["the run failed"])
    return RefreshResult(run_id=result.run_id, problems=list(dict.fromkeys([*problems, *held])), warnings=noticed)


def rebuild(
    home: Home, *, on_step: Callable[[str], object] = lambda _: None, is_published: bool = True
) -> RefreshResult:
    """Rebuild the warehouse from landing alone, publish it, and replace the old one.

    The old warehouse is kept until the new one is complete. Raises DrawdownError if landing is missing or damaged.
    """
    _need_landing(home)
    return materialize(
        RefreshRequest(
            home=home,
            selection=None if is_published else "not group:published",
            on_step=on_step,
            is_rebuild=True,
            warehouse_path=home.path / "warehouse.rebuilding.duckdb",
        )
    )


def rebuild_as_of(
    home: Home, known_at: datetime, target: Path, *, on_step: Callable[[str], object] = lambda _: None
) -> RefreshResult:
    """Write the published tables, as they were known at an instant, to a new file.

    Landing records when each answer arrived; later answers, restatements and late entries among them, are left out. The
    warehouse and the published build do not change. Raises UsageError if the file exists or nothing had arrived yet,
    DrawdownError if landing is missing or damaged.
    """
    _need_landing(home)
    if target.exists():
        raise UsageError(f"{target} exists already; name another file, or remove it first")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is not a folder; create it first")
    first = min((date(*map(int, folder.parts[-3:])) for folder in day_folders(home.landing)), default=None)
    if first is None or known_at.date() < first:
        raise UsageError(
            f"nothing had arrived by {known_at:%Y-%m-%dT%H:%M:%SZ}; the first answers are from {first}: "
            "give a later --as-of"
        )
    fresh = home.path / "warehouse.as-of.duckdb"
    return materialize(
        RefreshRequest(home=home, on_step=on_step, warehouse_path=fresh, known_at=known_at, target=target)
    )


def _need_landing(home: Home) -> None:
    if not home.landing.is_dir():
        raise DrawdownError(
            f"{home.landing} does not exist: there is nothing to rebuild from. `drawdown run` begins it, or set "
            "DRAWDOWN_HOME to the folder that has it"
        )


def _check_lines(check: dg.AssetCheckEvaluation) -> list[str]:
    if check.description:
        return check.description.splitlines()
    counts = ", ".join(f"{name} = {value.value}" for name, value in check.metadata.items())
    return [f"{check.asset_key.to_user_string()}: {check.check_name} does not hold: {counts}"]


def _is_interruption(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


def _failures(result: dg.ExecuteInProcessResult) -> list[str]:
    return [line for event in result.get_step_failure_events() for line in failure_lines(event)]


def _check_dagster_home() -> None:
    """Raise UsageError if `DAGSTER_HOME` names no folder, which Dagster answers with a traceback."""
    folder = os.environ.get("DAGSTER_HOME")
    if folder and not Path(folder).is_dir():
        raise UsageError(
            f"DAGSTER_HOME is {folder}, which is no folder: `drawdown init --dagster` makes it; or unset it"
        )


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of DAGSTER_HOME, or else a temporary one."""
    if os.environ.get("DAGSTER_HOME"):
        _check_dagster_home()
        with dg.DagsterInstance.get() as instance:
            yield instance
    else:
        with temporary_instance() as instance:
            yield instance


class _StepHandler(logging.Handler):
    def __init__(self, on_step: Callable[[str], object]) -> None:
        super().__init__(logging.DEBUG)
        self._on_step = on_step

    def emit(self, record: logging.LogRecord) -> None:
        self._on_step(record.getMessage())


@contextmanager
def _following(on_step: Callable[[str], object]) -> Iterator[None]:
    handler = _StepHandler(on_step)
    logger = logging.getLogger("pipeline.steps")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
