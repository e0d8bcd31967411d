"""A full disk, and damaged files: a run fails with a clear message, readers are unaffected, and nothing is lost.

The state folder is on a small separate disk (tmpfs), which is really filled. If none may be mounted, a limit on the
process's file size makes the kernel refuse writes in the same places with another error. One world serves all tests,
each of which damages it or a copy of it.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.alerts.journal import ALERTS, fold, landed_entries
from pipeline.landing.store import iterate, read
from pipeline.orchestration.refresh import rebuild
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.last_run import read_last_run
from pipeline.warehouse.writer import Warehouse
from tests import sandbox_faults as sandboxes
from tests.bench import Bench
from tests.faults.aftermath import check
from tests.faults.forks import Forks
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)
_DISK = "128m"
_NO_ROOM = r"no room on the disk: .*(No space left on device|File too large).*make room and run again"
_LAND, _LOAD, _PUBLISH = "group:landing", "group:staging", 'key:"published/snapshot"'


@dataclass
class World:
    """A state folder on a small disk."""

    disk: Path
    sandbox: Sandbox
    copies: Path
    """Folder for damaged copies of the state folder, on another disk."""
    is_mounted: bool
    hours: int = 0
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        self.bench = Bench(self.disk, self.sandbox.accounts_toml(), self.sandbox.keys)

    @property
    def home(self) -> Home:
        return self.bench.home

    @property
    def keys(self) -> dict[str, str]:
        return dict(self.bench.keys)

    def run(self, selection: str | None = None) -> None:
        self.bench.run(NOW + timedelta(hours=self.hours), selection=selection)

    def tick(self) -> None:
        self.hours += 1
        self.sandbox.move_clock(NOW + timedelta(hours=self.hours))

    def fill(self, *, but: int = 0) -> None:
        """Leave a number of bytes free; without a separate disk, limit the size of files to it."""
        self.empty()
        if not self.is_mounted:
            self._limit(but)
            return
        left = shutil.disk_usage(self.disk).free - but
        with (self.disk / "filler").open("wb") as filler:
            while left > 0:
                left -= filler.write(b"\0" * min(left, 2**20))

    def load_without_room(self) -> None:
        """Load new answers with room for the log only, so that it is not written into the file."""
        self.tick()
        self.run(_LAND)
        self.fill(but=64 * 1024)
        self.run(_LOAD)

    def empty(self) -> None:
        """Free the space again."""
        if not self.is_mounted:
            self._limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        (self.disk / "filler").unlink(missing_ok=True)

    def _limit(self, file_bytes: int) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, most))

    def landed(self) -> set[str]:
        """Answers and records; the record of a failed run is loaded by the next one."""
        return {fetch_id for path in iterate(self.home.landing) if ALERTS not in path.parts for fetch_id in _ids(path)}

    def loaded(self) -> set[str]:
        """Those of them that a reopened warehouse has."""
        warehouse = Warehouse(self.home)
        query = f"SELECT fetch_id FROM staging.fetches WHERE endpoint <> '{ALERTS}'"
        try:
            return {row[0] for row in warehouse.connection.execute(query).fetchall()}
        finally:
            warehouse.close()

    def files(self) -> set[str]:
        return {str(path) for path in self.home.path.rglob("*") if path.is_file()}

    def copy(self, name: str) -> Bench:
        """Copy the state folder, to be damaged."""
        folder = self.copies / name
        shutil.copytree(self.home.path, folder / "data", symlinks=True)
        return Bench(folder, self.bench.accounts_toml, self.bench.keys)


def _ids(path: Path) -> list[str]:
    return [str(each) for each in read(path, ["fetch_id"]).column("fetch_id").to_pylist()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    disk = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=0700", "tmpfs", str(disk)]
    is_mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    before = dict(os.environ)
    try:
        with sandboxes.start(seed=3, days=60, now=NOW, vendors=["voxpria"]) as sandbox:
            world = World(disk, sandbox, tmp_path_factory.mktemp("copies"), is_mounted)
            world.run()
            yield world
    finally:
        os.environ.clear()
        os.environ.update(before)
        if is_mounted:
            subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture(autouse=True)
def _room_afterwards(world: World) -> Iterator[None]:
    yield
    world.empty()


@pytest.fixture(scope="module")
def logged(world: World) -> Path:
    """A copy whose newest answers are only in the log; to be copied again, because opening it would apply the log."""
    world.tick()
    world.run(_LAND)
    with Forks(world.bench.environment) as forks:
        # Killed, it cannot write its log into the file.
        forks.start((NOW + timedelta(hours=world.hours)).isoformat(), selection=_LOAD, dies_after_commit=1)
        assert forks.end() == -signal.SIGKILL
    bench = world.copy("logged")
    assert bench.home.warehouse.with_name("warehouse.duckdb.wal").stat().st_size > 0
    return bench.folder


@pytest.fixture
def reader(world: World) -> Iterator[Callable[[], int]]:
    """A reader with the published build open throughout, which counts its accounts repeatedly."""
    with duckdb.connect(world.home.current.resolve(), read_only=True) as connection:
        yield lambda: int(connection.execute("SELECT count(*) FROM marts.account_status").fetchall()[0][0])


@pytest.mark.faults(33)
def test_a_disk_that_fills_while_answers_are_landed_fails_the_run_and_leaves_nothing_half(
    world: World, reader: Callable[[], int]
) -> None:
    world.tick()
    before, landed = world.files(), world.landed()
    world.fill()

    with pytest.raises(DrawdownError, match=_NO_ROOM):
        world.run(_LAND)

    world.empty()
    assert world.files() == before
    assert (world.landed(), reader()) == (landed, 2)


@pytest.mark.faults(33)
def test_a_disk_that_fills_at_the_log_leaves_the_committed_rows(world: World, reader: Callable[[], int]) -> None:
    world.tick()
    world.run(_LAND)
    before = world.loaded()
    assert world.landed() > before
    world.fill()

    with pytest.raises(DrawdownError, match=_NO_ROOM):
        world.run(_LOAD)

    world.empty()
    assert (world.loaded(), reader()) == (before, 2)


@pytest.mark.faults(33)
def test_a_disk_that_fills_at_the_checkpoint_is_reported_and_the_log_keeps_committed_data(
    world: World, reader: Callable[[], int]
) -> None:
    world.load_without_room()
    log = world.home.warehouse.with_name("warehouse.duckdb.wal")
    assert log.stat().st_size > 0
    shown = world.home.current.resolve()

    with pytest.raises(DrawdownError, match=_NO_ROOM) as caught:
        world.run(_PUBLISH)

    world.empty()
    assert "published/" not in str(caught.value), "it was only reported because something else failed, too"
    assert world.home.current.resolve() == shown
    assert (world.loaded(), reader()) == (world.landed(), 2)


@pytest.mark.faults(33)
def test_a_disk_that_fills_while_publishing_leaves_the_build_that_readers_have(
    world: World, reader: Callable[[], int]
) -> None:
    shown, builds = world.home.current.resolve(), sorted((world.home.published / "versions").iterdir())
    world.fill(but=2 * 2**20)

    with pytest.raises(DrawdownError, match=_NO_ROOM):
        world.run(_PUBLISH)

    world.empty()
    assert world.home.current.resolve() == shown
    assert sorted((world.home.published / "versions").iterdir()) == builds
    assert reader() == 2
    # With free space the next run completes.
    world.tick()
    world.run()

    assert world.loaded() == world.landed()
    at = NOW + timedelta(hours=world.hours)
    assert world.bench.rows("SELECT DISTINCT observed_at_utc FROM marts.account_status") == [(at,)]


@pytest.mark.faults(51)
def test_a_full_disk_is_sent_once_though_nothing_can_be_landed_and_so_is_its_end(
    world: World, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if not world.is_mounted:
        pytest.skip("a limit of files lets nothing be written in place either")
    heard: list[str] = []

    def hear(got: Request) -> Response:
        heard.append(f"{got.json['title']}\n{got.json['message']}")
        return Response(status=200)

    httpserver.expect_request("/hook").respond_with_handler(hear)
    monkeypatch.setenv("TOLD", f"json://127.0.0.1:{httpserver.port}/hook")
    settings = world.bench.accounts.read_text(encoding="utf-8")
    quiet = '[alerts]\nseverities = { runway = "off", stale = "off", drift = "off", anomaly = "off" }\n'
    world.bench.accounts.write_text(f'notify_url_env = "TOLD"\n{settings}\n{quiet}', encoding="utf-8")
    request.addfinalizer(lambda: world.bench.accounts.write_text(settings, encoding="utf-8"))
    world.tick()
    world.fill()
    before = read_last_run(world.home)
    assert before is not None

    for _ in range(2):
        with pytest.raises(DrawdownError, match=_NO_ROOM):
            world.run(_LAND)

    [message] = heard
    assert message.startswith("Drawdown: the last run failed\nNothing new was published; readers keep the last build.")
    assert "No space left on device" in message
    last = read_last_run(world.home)
    assert last is not None
    assert (last.is_ok, last.failed_run_count) == (False, before.failed_run_count + 2)
    assert last.notified_recipients == ("TOLD",)

    world.empty()
    world.tick()
    world.run()
    assert [each.split("\n")[0] for each in heard[1:]] == ["Drawdown: runs succeed again"]
    last = read_last_run(world.home)
    assert last is not None
    assert last.is_ok
    # The journal now has the entries that could not be written then.
    deliveries = fold(landed_entries(world.home.landing)).deliveries
    assert all(each.delivered_at for (_, recipient), each in deliveries.items() if recipient == "TOLD")
    assert [event_id for event_id, recipient in deliveries if recipient == "TOLD"]


def _scribble(path: Path, *, every: int, first: int) -> None:
    """Overwrite many places of a file, as a failing disk does."""
    with path.open("r+b") as file:
        for at in range(first, path.stat().st_size, every):
            file.seek(at)
            file.write(b"\xa5" * 64)


_DAMAGES = {
    "blocks": lambda path: _scribble(path, every=65536, first=20_000),
    "header": lambda path: _scribble(path, every=4096, first=0),
    "nothing in it": lambda path: path.write_bytes(b""),
    "another file": lambda path: path.write_bytes(b"hello" * 5000),
}


@pytest.mark.faults(34)
@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_damaged_warehouse_is_refused_naming_the_command_and_stays_as_it_is(world: World, damage: str) -> None:
    bench = world.copy(f"damaged-{damage.replace(' ', '-')}")
    _DAMAGES[damage](bench.home.warehouse)
    before = bench.home.warehouse.read_bytes()

    with pytest.raises(DrawdownError, match="drawdown rebuild"):
        bench.run(NOW + timedelta(hours=world.hours), selection=_LOAD)

    assert bench.home.warehouse.read_bytes() == before
    assert bench.rows("SELECT count(*) FROM marts.account_status") == [(2,)]


@pytest.mark.faults(34)
def test_a_damaged_log_is_refused_naming_the_command_and_stays_as_it_is(world: World, logged: Path) -> None:
    bench = _twin(world, logged, world.copies / "damaged-log")
    log = bench.home.warehouse.with_name("warehouse.duckdb.wal")
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 2)
        file.write(b"\xa5" * 64)
    before = log.read_bytes(), bench.home.warehouse.read_bytes()

    with pytest.raises(DrawdownError, match=r"damaged: .*WAL.* run `drawdown rebuild`"):
        bench.run(NOW, selection=_LOAD)

    assert (log.read_bytes(), bench.home.warehouse.read_bytes()) == before


@pytest.mark.faults(34)
def test_the_suggested_command_repairs_it(world: World) -> None:
    """The published data, rebuilt from landing, is the same."""
    world.tick()
    world.run()
    bench = world.copy("rebuilt")
    _DAMAGES["blocks"](bench.home.warehouse)
    before = bench.rows("SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY ALL")

    assert rebuild(bench.home).is_ok

    assert bench.rows("SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY ALL") == before
    with duckdb.connect(bench.home.warehouse, read_only=True) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM staging.fetches").fetchall()
    assert count == len({each for path in iterate(bench.home.landing) for each in _ids(path)})
    check(bench.home, world.keys.values())


@pytest.mark.faults(34)
@pytest.mark.parametrize("damage", ["blocks", "another file"])
def test_a_damaged_build_is_refused_naming_the_command(world: World, damage: str) -> None:
    bench = world.copy(f"published-{damage.replace(' ', '-')}")
    _DAMAGES[damage](bench.home.current.resolve())

    done = bench.command("sql", "SELECT * FROM marts.account_status")

    assert done.returncode == 1
    assert "drawdown rebuild" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.faults(35)
@pytest.mark.parametrize("how", ["a log cut short", "an older copy put back"])
def test_a_warehouse_behind_landing_catches_up(world: World, logged: Path, how: str) -> None:
    bench = _twin(world, logged, world.copies / how.replace(" ", "-"))
    log = bench.home.warehouse.with_name("warehouse.duckdb.wal")
    if how == "a log cut short":
        # DuckDB opens it without reporting the lost tail.
        os.truncate(log, 200)
    else:
        log.unlink()

    def loaded() -> int:
        with duckdb.connect(bench.home.warehouse) as connection:
            return int(connection.execute("SELECT count(*) FROM staging.fetches").fetchall()[0][0])

    landed = sum(len(_ids(path)) for path in iterate(bench.home.landing))
    assert loaded() < landed
    bench.run(NOW + timedelta(hours=world.hours), selection=_LOAD)
    assert loaded() == landed
    check(bench.home, world.keys.values())


def _twin(world: World, logged: Path, folder: Path) -> Bench:
    shutil.copytree(logged, folder, symlinks=True)
    return Bench(folder, world.bench.accounts_toml, world.keys)
