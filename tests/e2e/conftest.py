"""The sandbox as the vendors' world, and a state folder for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import sandbox_faults as sandboxes
from tests.bench import Bench, FirstRun
from tests.staging.workshops import new_workshop, template

__all__ = ["new_workshop", "template"]

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def one_sandbox() -> Iterator[sandboxes.Sandbox]:
    with sandboxes.start(seed=3, days=120, now=NOW, vendors=["vpsbg", "voxpria"]) as world:
        yield world


@pytest.fixture
def sandbox(one_sandbox: sandboxes.Sandbox) -> Iterator[sandboxes.Sandbox]:
    """The world at NOW, without a fault."""
    yield one_sandbox
    one_sandbox.clear_faults()
    one_sandbox.move_clock(NOW)


@pytest.fixture
def bench(tmp_path: Path, sandbox: sandboxes.Sandbox) -> Iterator[Bench]:
    """A state folder for the sandbox; after any test, it must not contain a key."""
    made = Bench(tmp_path, sandbox.accounts_toml(), sandbox.keys)
    yield made
    assert made.leaks() == []


@pytest.fixture(scope="session")
def first_run(one_sandbox: sandboxes.Sandbox, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """`first_run(bench)` is `bench.run(NOW)`, for a test that does not concern the first run."""
    made = Bench(tmp_path_factory.mktemp("first"), one_sandbox.accounts_toml(), one_sandbox.keys)
    return FirstRun(made, NOW)
