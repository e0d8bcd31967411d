"""One published world for all tests of the report: days of polling, a backtest, a rejected row and a vendor that is
down."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest

from pipeline.cli.backtesting import run_backtest
from pipeline.landing.fetching import Fetcher, calls_for, every_endpoint
from pipeline.settings import load
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests import sandbox_faults as sandbox
from tests.bench import HURRIED, Bench
from tests.report.chromium import FOUND, Tab, browser

# The locked package's exchange rates extend to this day.
NOW = datetime(2026, 9, 30, 9, 0, tzinfo=UTC)
DAYS = 9
"""Polled days: the first week's forecasts have come due by then."""

HOSTILE = "<script>window.broken=1</script>\"'&"

_OWN = {
    "voxpria-campaign": 'team = "growth"\n',
    "vpsbg-main": 'tax_rate = "0.21"\nteam = "web"\ntags = { note = "<script>window.broken=1</script>" }\n',
}


def _accounts(world: sandbox.Sandbox) -> str:
    text = world.accounts_toml()
    for account_id, more in _OWN.items():
        head = f"[accounts.{account_id}]\n"
        assert head in text
        text = text.replace(head, head + more)
    # An account whose credits have no known price.
    before, head, after = text.partition("[accounts.voxpria-main]\n")
    return before + head + re.sub(r"credit_price_\w+ = .*\n", "", after, count=2)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A state folder, read-only."""
    first = NOW - timedelta(days=DAYS - 1)
    with pytest.MonkeyPatch.context() as patch, sandbox.start(seed=3, days=150, now=first) as world:
        for name in ("DRAWDOWN_HOME", "DRAWDOWN_ACCOUNTS", "DAGSTER_HOME", *world.keys):
            patch.delenv(name, raising=False)
        bench = Bench(tmp_path_factory.mktemp("report"), _accounts(world), world.keys)
        for name, value in bench.environment.items():
            patch.setenv(name, value)
        bench.run(first)
        settings = load()
        record = msgspec.json.encode(settings.to_record(), order="sorted")
        calls = calls_for(list(settings.accounts.values()), every_endpoint("hourly"))
        for day in range(1, DAYS - 1):
            # Like the landed hours between two refreshes, at a tenth of the cost of a refresh.
            world.move_clock(first + timedelta(days=day))
            fetcher = Fetcher(
                home=bench.home,
                clock=Clock(first + timedelta(days=day)),
                run_id=f"polled-{day}",
                allow_http_loopback=True,
                policy=HURRIED,
            )
            fetcher.fetch(calls, record)
        run_backtest(bench.home, [], as_json=False)
        world.move_clock(NOW)
        world.put_fault("money_dollars", account="voxpria-main", path="/api/v1/credits", exact=True, times=2)
        world.put_fault("status", account="vpsbg-agency", path="/balance", exact=True, times=2)
        bench.run(NOW)
    return bench


@pytest.fixture(scope="session")
def page(published: Bench) -> Path:
    """The report that the last run published."""
    return published.home.published / "report" / "index.html"


@pytest.fixture
def build(published: Bench) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published build of the report."""
    with duckdb.connect(published.home.current.resolve(), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def altered(published: Bench, tmp_path: Path) -> Callable[..., Home]:
    """A state folder with a copy of the build, changed by statements."""

    def altered(*statements: str) -> Home:
        home = Home(tmp_path / "altered")
        (home.published / "versions").mkdir(parents=True)
        copy = home.published / "versions" / "00000000000000aa.duckdb"
        shutil.copy(published.home.current.resolve(), copy)
        with duckdb.connect(copy) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for statement in statements:
                connection.execute(statement)
        home.current.symlink_to(copy)
        return home

    return altered


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab of a real Chromium."""
    if not FOUND:
        pytest.skip("no chromium is installed")
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
