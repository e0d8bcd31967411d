"""The sandbox as the vendors' world, and a state folder over it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline import sandbox as sandboxes
from tests.bench import Bench

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[sandboxes.Sandbox]:
    with sandboxes.start(seed=3, days=120, now=NOW, vendors=["vpsbg", "voxpria"]) as world:
        yield world


@pytest.fixture
def bench(tmp_path: Path, sandbox: sandboxes.Sandbox) -> Iterator[Bench]:
    """A state folder over the sandbox; whatever a test does, no key may stand in it afterwards."""
    made = Bench(tmp_path, sandbox.accounts_toml(), sandbox.keys)
    yield made
    assert made.leaks() == []
