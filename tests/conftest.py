"""Common setup of all tests: they do not see the caller's settings, and telemetry stays off."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

# No test may reach the internet: requests to other computers go to a proxy that does not exist.
for _name in ("http_proxy", "https_proxy"):
    os.environ[_name] = os.environ[_name.upper()] = "http://127.0.0.1:9"
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"

pytest_plugins = ["tests.faults.summary", "tests.faults.aftermath"]

# A runner in the background of a script ignores interrupts, and its children would inherit that: the tests end
# processes by signals.
for _number in (signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)


# The files that take longest: begun last, one of them would run alone at the end.
_FIRST = (
    "tests/faults/test_scheduler.py",
    "tests/staging/test_months.py",
    "tests/e2e/test_upgrade.py",
    "tests/e2e/test_alerts.py",
    "tests/faults/test_disk.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(_FIRST)))


# Speed is not tested, and the machine may be busy with other workers' tests.
settings.register_profile("drawdown", deadline=None)
settings.load_profile("drawdown")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test the original environment, without the caller's own Drawdown or Dagster settings."""
    before = dict(os.environ)
    for name in ("DRAWDOWN_HOME", "DRAWDOWN_ACCOUNTS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.clear()
    os.environ.update(before)
