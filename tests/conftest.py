"""What all tests share: no test sees the caller's settings, and telemetry stays off."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

pytest_plugins = ["tests.faults.summary", "tests.faults.aftermath"]

# A runner in the background of a script ignores interrupts, and its children would inherit that: the tests start
# processes which they end by a signal.
for _number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


# Speed is no test, and the machine may be busy with the other workers' tests.
settings.register_profile("drawdown", deadline=None)
settings.load_profile("drawdown")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test the environment as it was, without the caller's own Drawdown or Dagster."""
    before = dict(os.environ)
    for name in ("DRAWDOWN_HOME", "DRAWDOWN_ACCOUNTS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.clear()
    os.environ.update(before)
