"""`drawdown serve` over real sockets: its answers, its clients, and its end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import httpx
import pytest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from pipeline.published.snapshot import publish
from pipeline.schema.tables import ALL
from pipeline.support.home import Home, private_folder
from tests.forked import run_forked
from tests.published.conftest import ROWS

COMMAND = [sys.executable, "-c", "from pipeline.cli import main; main()", "serve"]
Server = tuple[str, subprocess.Popen[str]]


def published_at(connection: duckdb.DuckDBPyConnection, home: Home, built_at: datetime) -> None:
    """Publish the made-up tables as a build of that instant."""
    with connection.cursor() as own:
        own.execute("SET TimeZone = 'UTC'")
        change = "UPDATE marts.build_info SET value = ? WHERE item = 'built_at_utc'"
        before = own.execute("SELECT value FROM marts.build_info WHERE item = 'built_at_utc'").fetchone()
        own.execute(change, [built_at.isoformat()])
        publish(own, home, [ALL[name] for name in ROWS])
        # The tables are shared by all tests.
        own.execute(change, before)


@contextmanager
def serving(home: Home, *arguments: str) -> Iterator[Server]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments],
        env={**os.environ, "DRAWDOWN_HOME": str(home.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        match = re.fullmatch(r"serving (http://\S+)/ until interrupted\n", line)
        assert match, process.communicate(timeout=10)
        yield match[1], process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, connection: duckdb.DuckDBPyConnection) -> Home:
    home = Home(tmp_path_factory.mktemp("serving"))
    published_at(connection, home, datetime.now(UTC) - timedelta(minutes=10))
    (home.published / "secret.txt").write_text("canary-file")
    return home


@pytest.fixture(scope="module")
def server(home: Home) -> Iterator[Server]:
    with serving(home) as running:
        yield running


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server[0]


def test_metrics_are_those_of_the_current_build_in_the_requested_format(url: str) -> None:
    plain = httpx.get(f"{url}/metrics")
    asked = httpx.get(
        f"{url}/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    )

    assert (plain.status_code, plain.headers["content-type"]) == (200, CONTENT_TYPE_PLAIN_0_0_4)
    assert asked.status_code == 200
    assert asked.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    families = {family.name: family for family in openmetrics(asked.text)}
    (build,) = families["drawdown_build_timestamp_seconds"].samples
    assert 500 < time.time() - build.value < 3600
    # Ages are those at the time of the request.
    (age,) = [
        s.value for s in families["drawdown_account_reading_age_seconds"].samples if s.labels["account"] == "main"
    ]
    assert age == pytest.approx(time.time() - datetime(2026, 10, 7, 8, 59, 30, tzinfo=UTC).timestamp(), abs=600)


def test_health_is_200_while_the_newest_build_is_young(url: str) -> None:
    answer = httpx.get(f"{url}/healthz")
    assert answer.status_code == 200
    assert re.fullmatch(r"ok: the newest build is of \S+Z, 1\d minutes ago\n", answer.text)


def test_without_a_report_the_page_names_the_command_and_with_one_it_is_shown(url: str, home: Home) -> None:
    page = httpx.get(url)
    assert page.status_code == 200
    assert "<code>drawdown report</code>" in page.text
    assert "the newest build is of" in page.text

    report = private_folder(home.published / "report") / "index.html"
    report.write_text("<!doctype html><title>é</title>", encoding="utf-8")
    page = httpx.get(url)
    report.unlink()
    assert page.text == "<!doctype html><title>é</title>"
    assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    ["/published", "/published/", "/secret.txt", "/../secret.txt", "/%2e%2e/secret.txt", "/report/index.html", "/current.duckdb",
     "//etc/passwd", "/metrics/..%2f..%2fsecret.txt", "/healthz/", "/docs", "/openapi.json"],
)  # fmt: skip
def test_no_other_path_leads_anywhere(url: str, path: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
    assert re.match(r"HTTP/1.1 (404|307) ", answer), answer
    assert "canary-file" not in answer
    assert "root:" not in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz"])
def test_it_only_reads(url: str, method: str, path: str) -> None:
    assert httpx.request(method, url + path).status_code == 405


def test_head_is_get_without_the_body(url: str) -> None:
    for path in ("/", "/metrics", "/healthz"):
        head = httpx.head(url + path)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 20


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8710", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8710", 200), ("10.1.2.3", 200),
        ("evil.example", 400), ("127.0.0.1.evil.example:8710", 400), ("localhost.evil.example", 400), ("", 400), ("[::1", 400),
        ("evil.example@127.0.0.1", 400),
    ],
)  # fmt: skip
def test_a_name_that_is_not_its_own_is_refused(url: str, host: str, code: int) -> None:
    for path in ("/", "/metrics", "/healthz"):
        answer = httpx.get(url + path, headers={"Host": host})
        assert answer.status_code == code
        assert code == 200 or "drawdown_" not in answer.text


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/nothing"])
def test_every_answer_carries_the_headers_that_keep_browsers_from_mischief(url: str, path: str) -> None:
    for headers in ({}, {"Host": "evil.example"}):
        sent = httpx.get(url + path, headers=headers).headers
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["x-frame-options"] == "DENY"
        assert sent["cache-control"] == "no-store"
        assert sent["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in sent["content-security-policy"]
        assert "connect-src" not in sent["content-security-policy"], "what default-src forbids is not allowed again"
        assert not {"server", "access-control-allow-origin", "set-cookie"} & set(sent)


def test_scrapes_never_fail_or_wait_while_builds_are_swapped(
    url: str, home: Home, connection: duckdb.DuckDBPyConnection
) -> None:
    ending = threading.Event()
    seen: list[float] = []
    problems: list[str] = []
    slowest = [0.0]

    def scrape() -> None:
        with httpx.Client() as client:
            while not ending.is_set():
                began = time.monotonic()
                try:
                    answer = client.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text"})
                    assert answer.status_code == 200, answer.text
                    (build,) = re.findall(r"^drawdown_build_timestamp_seconds (\S+)$", answer.text, re.MULTILINE)
                    seen.append(float(build))
                    healthy = client.get(f"{url}/healthz").status_code
                    if (answer.status_code, healthy, answer.text[-6:]) != (200, 200, "# EOF\n"):
                        problems.append(f"{answer.status_code} {healthy} {answer.text[-200:]}")
                except Exception as problem:
                    problems.append(repr(problem)[:300])
                slowest[0] = max(slowest[0], time.monotonic() - began)

    first = datetime.now(UTC) - timedelta(minutes=9)
    threads = [threading.Thread(target=scrape) for _ in range(2)]
    for thread in threads:
        thread.start()
    last = (first + timedelta(seconds=11)).timestamp()
    # Faster than a busy machine can scrape, so that builds are deleted during a scrape.
    for number in range(12):
        published_at(connection, home, first + timedelta(seconds=number))
        time.sleep(0.05)
    deadline = time.monotonic() + 60
    while not any(each == pytest.approx(last, abs=0.01) for each in seen) and time.monotonic() < deadline:
        time.sleep(0.05)
    ending.set()
    for thread in threads:
        thread.join()

    assert problems == []
    assert len(set(seen)) > 1
    assert max(seen) == pytest.approx(last, abs=0.01)
    assert slowest[0] < 10
    assert len(list((home.published / "versions").iterdir())) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_ends_well_at_a_signal_also_with_a_connection_open(home: Home, number: signal.Signals) -> None:
    with serving(home) as (url, process), httpx.Client() as client:
        assert client.get(f"{url}/healthz").status_code == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")


def test_with_an_old_build_or_none_health_is_503_with_the_reason(
    tmp_path: Path, connection: duckdb.DuckDBPyConnection
) -> None:
    home = Home(tmp_path)
    with serving(home, "--max-age", "30") as (url, _):
        answer = httpx.get(f"{url}/healthz")
        assert (answer.status_code, "nothing is published yet" in answer.text) == (503, True)
        assert httpx.get(f"{url}/metrics").status_code == 503
        assert httpx.get(url).status_code == 200

        published_at(connection, home, datetime.now(UTC) - timedelta(minutes=45))
        answer = httpx.get(f"{url}/healthz")
        assert answer.status_code == 503
        assert re.search(r"^too old: .* 45 minutes ago; the limit is 30 minutes$", answer.text.strip())
        assert httpx.get(f"{url}/metrics").status_code == 200

        home.current.resolve().write_bytes(b"damaged")
        answer = httpx.get(f"{url}/healthz")
        assert (answer.status_code, "cannot be opened" in answer.text) == (503, True)
        assert httpx.get(f"{url}/metrics").status_code == 503


def test_an_impossible_serve_is_one_line(url: str, home: Home) -> None:
    port = url.rpartition(":")[2]
    for arguments, code, words in (
        (["--port", port], 1, f"port {port} on 127.0.0.1 is not available: Address already in use"),
        (["--host", "0.0.0.0"], 2, "other machines reach it, and there is no login"),  # noqa: S104 - it is refused
        (["--host", "no.such.host.invalid"], 2, "this machine has no such address"),
        (["--name", "*"], 2, "is not a host name"),
    ):
        environment = {**os.environ, "DRAWDOWN_HOME": str(home.path)}
        done = run_forked(["serve", *arguments], environment=environment, folder=home.path)
        assert (done.returncode, done.stdout) == (code, "")
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith("drawdown: ")
        assert words in done.stderr


def test_other_machines_are_served_only_on_request_and_with_a_warning(home: Home) -> None:
    with serving(home, "--host", "0.0.0.0", "--public", "--name", "drawdown.example") as (url, process):  # noqa: S104
        port = url.rpartition(":")[2]
        for host, code in (
            ("drawdown.example", 200),
            (socket.gethostname(), 200),
            ("192.0.2.7", 200),
            ("evil.example", 400),
        ):
            assert httpx.get(f"http://127.0.0.1:{port}/healthz", headers={"Host": host}).status_code == code
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert "whoever reaches it reads every balance" in err
