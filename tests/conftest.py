"""What all tests share: no test sees the caller's settings, and telemetry stays off."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test the environment as it was, without the caller's own Drawdown or Dagster."""
    before = dict(os.environ)
    for name in ("DRAWDOWN_HOME", "DRAWDOWN_ACCOUNTS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.clear()
    os.environ.update(before)
