"""A refresh without a Dagster run around it: the bodies of the same assets, called in order.

A run's events cost ten times the work on a small world; these tests concern the assets' work, checks included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from types import SimpleNamespace
from typing import Any

import dagster as dg

from pipeline.orchestration.definitions import ASSETS
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError, first_line
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

TABLES = ("staging", "core", "forecasts", "marts", "alerts")
"""Layers of the warehouse's tables."""


@dataclass
class Refresh:
    """Result of a refresh."""

    problems: list[str] = field(default_factory=list)
    """One line for each check that failed with an error."""
    failure: str | None = None
    """Why it was aborted: an asset that raised, or a blocking check; None if it completed."""


@cache
def _in_order() -> tuple[dg.AssetsDefinition, ...]:
    made = [each for each in ASSETS if isinstance(each, dg.AssetsDefinition) and each.is_executable]
    by_key = {key: each for each in made for key in each.keys}
    graph = {
        each: {by_key[dep] for deps in each.asset_deps.values() for dep in deps if dep in by_key} - {each}
        for each in made
    }
    return tuple(TopologicalSorter(graph).static_order())


def _results(made: dg.AssetsDefinition, resources: dict[str, Any]) -> Iterator[dg.MaterializeResult[Any]]:
    body: Any = made.op.compute_fn
    done = body.decorated_fn(**{name: resources[name] for name in _arguments(made)})
    yield from [done] if isinstance(done, dg.MaterializeResult) else done


@cache
def _arguments(made: dg.AssetsDefinition) -> tuple[str, ...]:
    body: Any = made.op.compute_fn
    code = body.decorated_fn.__code__
    return tuple(code.co_varnames[: code.co_argcount])


def refresh(
    home: Home,
    clock: Clock,
    run_id: str,
    *,
    layers: Iterable[str] = TABLES,
    warehouse: Warehouse | None = None,
    only: Iterable[str] = ("published/snapshot",),
    without: Iterable[str] = (),
) -> Refresh:
    """Load, recompute, forecast, alert and publish, as `drawdown run` does once everything is landed.

    `layers` are recomputed completely; `only` selects further assets by key path. A warehouse that is passed in stays
    open. Tables in `without` are left unchanged.
    """
    done = Refresh()
    wanted, names = set(layers), set(only)
    own = warehouse or Warehouse(home)
    resources = {
        "context": SimpleNamespace(
            run=SimpleNamespace(run_id=run_id),
            run_id=run_id,
            log=_Quiet(),
            instance=SimpleNamespace(is_persistent=False),
            selected_asset_keys=set(),
            selected_asset_check_keys=set(),
        ),
        "warehouse": own,
        "home": home,
        "clock": clock,
    }
    _refresh_all(resources, wanted, names, {name.replace(".", "/") for name in without}, done)
    if warehouse is None:
        own.close()
    return done


def _refresh_all(
    resources: dict[str, Any], wanted: set[str], names: set[str], left_out: set[str], done: Refresh
) -> None:
    for made in _in_order():
        selected = {key for key in made.keys if key.to_user_string() not in left_out}
        if not selected or (selected != made.keys and not made.can_subset):
            continue
        layer = next(iter(made.keys)).path[0]
        if layer in wanted or not names.isdisjoint(key.to_user_string() for key in made.keys):
            resources["context"].selected_asset_keys = selected
            _run(made, resources, done)
        if done.failure:
            return


def _run(made: dg.AssetsDefinition, resources: dict[str, Any], done: Refresh) -> None:
    blocking = {(spec.asset_key, spec.name) for spec in made.check_specs if spec.blocking}
    try:
        for result in _results(made, resources):
            for check in result.check_results or []:
                if check.passed or check.severity is not dg.AssetCheckSeverity.ERROR:
                    continue
                key = check.asset_key or next(iter(made.keys))
                counts = ", ".join(f"{name} = {value.value}" for name, value in check.metadata.items())
                words = check.description or f"{key.to_user_string()}: {check.check_name} does not hold: {counts}"
                done.problems += words.splitlines()
                if (key, check.check_name) in blocking:
                    done.failure = words
    except (DrawdownError, dg.Failure) as problem:
        done.failure = f"{made.node_def.name}: {getattr(problem, 'description', None) or problem}"
    except Exception as problem:
        # Any exception of an asset ends the run.
        done.failure = f"{made.node_def.name}: {type(problem).__name__}: {first_line(problem)}"


class _Quiet:
    def info(self, *_: object) -> None:
        pass
