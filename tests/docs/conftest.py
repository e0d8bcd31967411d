"""One published build for all pages, with a rejected row and a vendor that is down."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import sandbox_faults as sandbox
from tests.bench import Bench

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A build, read-only."""
    with (
        pytest.MonkeyPatch.context() as patch,
        sandbox.start(seed=3, days=120, now=NOW, vendors=["vpsbg", "voxpria"]) as world,
    ):
        for name in ("DRAWDOWN_HOME", "DRAWDOWN_ACCOUNTS", "DAGSTER_HOME", *world.keys):
            patch.delenv(name, raising=False)
        bench = Bench(tmp_path_factory.mktemp("published"), world.accounts_toml(), world.keys)
        for name, value in bench.environment.items():
            patch.setenv(name, value)
        assert bench.run(NOW).is_ok
        for hours, fault, endpoint in (
            (23, "money_dollars", "voxpria-campaign /api/v1/credits"),
            (24, "status", "vpsbg-agency /balance"),
        ):
            account, path = endpoint.split()
            world.move_clock(NOW + timedelta(hours=hours))
            world.put_fault(fault, account=account, path=path, exact=True, times=2)
            assert not bench.run(NOW + timedelta(hours=hours)).is_ok
            world.clear_faults()
    return bench


@pytest.fixture
def published_home(published: Bench) -> Path:
    """Its state folder."""
    return published.home.path


@pytest.fixture
def state(published: Bench, tmp_path: Path) -> Path:
    """A folder with a copy of the build's state in its `data`."""
    shutil.copytree(published.home.path, tmp_path / "data", symlinks=True)
    return tmp_path
