"""Alerts end to end: read over HTTP, sent over HTTP, landed, replayed, acknowledged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.landing.store import OWN
from pipeline.orchestration.refresh import RunFailed, rebuild, rebuild_as_of
from pipeline.support.home import Home
from tests import sandbox_faults as sandboxes
from tests.bench import Bench, only
from tests.e2e.conftest import NOW
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

CANARY = "canary-hook-5512"
ALERTS = 'group:alerts or key:"published/snapshot" or key:"published/messages"'
"""Assets that follow from existing readings."""
REFRESH = '+key:"alerts/events" or key:"published/snapshot" or key:"published/messages"'
_EVENTS = "SELECT * FROM alerts.events ORDER BY ALL"
_STATES = "SELECT * FROM alerts.states ORDER BY ALL"


@dataclass
class NotifiedBench:
    """A bench whose messages go to a receiver on loopback."""

    bench: Bench
    heard: list[dict[str, str]] = field(default_factory=list)
    before_answer: Callable[[], int] = lambda: 200

    @property
    def home(self) -> Home:
        return self.bench.home

    @property
    def keys(self) -> Mapping[str, str]:
        """Keys of vendors: the receiver's own log contains the requested path."""
        return {name: key for name, key in self.bench.keys.items() if CANARY not in key}

    def hear(self, request: Request) -> Response:
        self.heard.append({"title": request.json["title"], "message": request.json["message"]})
        return Response(status=self.before_answer())

    def titles(self) -> list[str]:
        return [message["title"].removeprefix("Drawdown: ") for message in self.heard]

    def landed(self) -> int:
        return len(list((self.bench.home.landing / OWN / "alerts").rglob("*.parquet")))

    def run_alerts(self, hours: int = 0) -> list[str]:
        return self.bench.run(NOW + timedelta(hours=hours), selection=ALERTS).problems


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Sandbox]]:
    """One refresh of two accounts, one of them critical, without recipients."""
    with sandboxes.start(seed=3, days=120, now=NOW, vendors=["vpsbg", "voxpria"]) as world:
        accounts = only(world.accounts_toml(), "vpsbg-main", "voxpria-campaign")
        bench = Bench(tmp_path_factory.mktemp("built"), accounts, world.keys)
        before = dict(os.environ)
        assert bench.run(NOW).is_ok
        os.environ.clear()
        os.environ.update(before)
        yield bench, world


def listen(bench: Bench, server: HTTPServer) -> NotifiedBench:
    notified = NotifiedBench(bench)
    server.expect_request(f"/{CANARY}").respond_with_handler(notified.hear)
    bench.keys = {**bench.keys, "TOLD_HERE": f"json://127.0.0.1:{server.port}/{CANARY}", "CANARY": CANARY}
    bench.accounts.write_text('notify_url_env = "TOLD_HERE"\n' + bench.accounts_toml, encoding="utf-8")
    return notified


@pytest.fixture
def notified(built: tuple[Bench, Sandbox], tmp_path: Path, httpserver: HTTPServer) -> Iterator[NotifiedBench]:
    """A copy of the build, now with a recipient; it must not contain a key afterwards."""
    bench = Bench(tmp_path, built[0].accounts_toml, built[0].keys)
    shutil.copytree(built[0].home.path, bench.home.path, symlinks=True)
    made = listen(bench, httpserver)
    yield made
    assert bench.leaks() == []


def test_a_critical_account_is_sent_once_and_a_rebuild_sends_nothing(notified: NotifiedBench) -> None:
    for hours in (0, 0, 1):
        assert notified.run_alerts(hours) == []

    assert notified.titles() == ["voxpria-campaign is critical"]
    message = notified.heard[0]["message"]
    assert "Expected to run dry by 2026-10-" in message
    assert "The chance of running dry within 7 days is over 99.9 %." in message
    assert "Order " in message
    assert "drawdown explain voxpria-campaign" in message
    assert str(notified.bench.home.published / "report" / "index.html") in message
    assert notified.bench.rows(
        "SELECT event, severity, delivery_state, recipients, delivery_attempt_count, is_possibly_repeated, "
        "delivered_at_utc IS NOT NULL, balance_amount > 0, unit_code FROM alerts.events"
    ) == [("opened", "critical", "delivered", "TOLD_HERE", 1, False, True, True, "voxpria-credit")]

    events, states, landed = notified.bench.rows(_EVENTS), notified.bench.rows(_STATES), notified.landed()
    notified.bench.home.warehouse.unlink()
    rebuild(notified.bench.home)
    assert (notified.bench.rows(_EVENTS), notified.bench.rows(_STATES)) == (events, states)
    assert (len(notified.heard), notified.landed()) == (1, landed)


def test_each_run_that_published_sends_a_heartbeat_and_a_failed_or_repeated_one_sends_none(
    notified: NotifiedBench, httpserver: HTTPServer
) -> None:
    bench = notified.bench
    bench.keys = {**bench.keys, "BEAT_HERE": f"http://127.0.0.1:{httpserver.port}/beat-{CANARY}"}
    bench.accounts.write_text(f'heartbeat_url_env = "BEAT_HERE"\n{bench.accounts.read_text()}', encoding="utf-8")
    httpserver.expect_request(f"/beat-{CANARY}", method="GET").respond_with_data("", status=204)

    def beats() -> int:
        return sum(request.path == f"/beat-{CANARY}" for request, _ in httpserver.log)

    assert notified.run_alerts() == []
    assert beats() == 1
    rebuild(bench.home)
    assert beats() == 1
    bench.home.warehouse.write_bytes(b"hello" * 5000)
    with pytest.raises(RunFailed):
        notified.run_alerts(1)
    assert beats() == 1


def test_a_message_that_did_not_arrive_is_a_line_without_the_url_and_is_sent_by_the_next_run(
    notified: NotifiedBench,
) -> None:
    notified.before_answer = lambda: 503
    [problem] = notified.run_alerts()
    assert "TOLD_HERE" in problem
    assert CANARY not in problem
    notified.heard.clear()
    notified.before_answer = lambda: 200
    assert notified.run_alerts(1) == []
    assert len(notified.heard) == 1
    # A build has the outcomes of earlier runs' messages: its own are sent after publishing.
    assert notified.bench.rows("SELECT delivery_state, delivery_attempt_count FROM alerts.events") == [("pending", 3)]
    assert notified.run_alerts(2) == []
    assert notified.bench.rows(
        "SELECT delivery_state, delivery_attempt_count, is_possibly_repeated FROM alerts.events"
    ) == [("delivered", 4, False)]


def test_a_run_killed_while_sending_sends_once_more_and_marks_it(notified: NotifiedBench) -> None:
    command = ["run", "--as-of", NOW.isoformat(), "--select", ALERTS]
    process = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.cli import main; main()", *command],
        env={**os.environ, **notified.bench.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def die() -> int:
        process.kill()
        process.wait()
        return 200

    notified.before_answer = die
    process.wait(timeout=120)
    assert process.returncode == -signal.SIGKILL
    notified.before_answer = lambda: 200
    assert notified.run_alerts() == []
    assert notified.run_alerts(1) == []

    assert notified.titles() == ["voxpria-campaign is critical"] * 2
    assert notified.bench.rows(
        "SELECT delivery_state, is_possibly_repeated, delivery_attempt_count FROM alerts.events"
    ) == [("delivered", True, 2)]


def test_alerts_are_shown_acknowledged_and_tried_from_the_command_line(notified: NotifiedBench) -> None:
    bench = notified.bench
    bench.accounts.write_text(
        bench.accounts.read_text().replace("[accounts.vpsbg-main]", '[accounts.vpsbg-main]\nnotify_url_env = "TEAM"')
    )
    tried = bench.command("alerts", "--test", TEAM="json://127.0.0.1:9/")
    assert tried.returncode == 1
    assert tried.stdout.startswith(
        "ok    TOLD_HERE  accepted a test message about vpsbg-main, voxpria-campaign\nfail  TEAM"
    )
    assert notified.titles() == ["a test"]

    shown = bench.command("alerts")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "voxpria-campaign  runway  critical  open   2026-10-07 09:00  no" in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    done = bench.command("alerts", "--acknowledge", "voxpria-campaign", "--rule", "runway", "--note", "ordered")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("acknowledged: voxpria-campaign, runway (critical)\n")
    # At once, without a run.
    [alert] = json.loads(bench.command("alerts", "--json").stdout)
    assert (alert["alert_state"], alert["acknowledgement_note"]) == ("acknowledged", "ordered")
    for arguments, words in {
        ("--acknowledge", "voxpria-campaign"): "there is no open alert",
        ("--acknowledge", "vpsbg-main"): "there is no open alert",
        ("--acknowledge", "voxpria-campaign", "--rule", "runways"): "known rules are runway, amount",
        ("--rule", "runway"): "need --acknowledge",
        ("--test", "--acknowledge", "voxpria-campaign"): "cannot be combined",
    }.items():
        refused = bench.command("alerts", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr

    bench.keys = {**bench.keys, "TEAM": "json://127.0.0.1:9/"}
    notified.run_alerts(1)
    assert bench.rows("SELECT alert_state, acknowledgement_note FROM alerts.states") == [("acknowledged", "ordered")]
    assert bench.rows("SELECT event, delivery_state FROM alerts.events ORDER BY event_id") == [
        ("opened", "no_recipient"),
        ("acknowledged", "no_recipient"),
    ]
    # A recipient added now gets no alerts that were already acknowledged.
    assert notified.titles() == ["a test"]


def test_a_timeline_read_over_http_gives_exactly_this_log(
    built: tuple[Bench, Sandbox], tmp_path: Path, httpserver: HTTPServer
) -> None:
    world = built[1]
    bench = Bench(tmp_path, only(world.accounts_toml(), "voxpria-campaign"), world.keys)
    notified = listen(bench, httpserver)
    where = {"vendor": "voxpria", "account": "voxpria-campaign", "path": "/api/v1/credits", "exact": True}
    read: tuple[tuple[str | None, dict[str, object]], ...] = (
        (None, {}),
        ("money_null", {}),
        ("status", {"code": 500}),
        ("money_sentinel", {}),
        ("slow", {"seconds": 0.3}),
        (None, {}),
        ("money_is", {"value": "90000"}),
        ("money_is", {"value": "90000"}),
    )
    for hour, (fault, more) in enumerate(read):
        world.clear_faults()
        world.move_clock(NOW + timedelta(hours=hour))
        if fault:
            world.put_fault(fault, **where, **more)
        bench.run(NOW + timedelta(hours=hour), selection=REFRESH)
    world.clear_faults()

    assert notified.titles() == [
        "voxpria-campaign is critical",
        "voxpria-campaign has no fresh reading",
        "voxpria-campaign has fresh readings again",
        "voxpria-campaign has enough days left again",
    ]
    log = bench.rows(
        "SELECT rule, event, severity, happened_at_utc, delivery_state FROM alerts.events "
        "WHERE rule IN ('runway', 'stale') ORDER BY happened_at_utc"
    )
    assert log == [
        ("runway", "opened", "critical", NOW, "delivered"),
        # The third failed request in a row.
        ("stale", "opened", "warning", NOW + timedelta(hours=3), "delivered"),
        ("stale", "recovered", "warning", NOW + timedelta(hours=5), "delivered"),
        # Sent when this build was published.
        ("runway", "recovered", "critical", NOW + timedelta(hours=7), "pending"),
    ]
    # As it was known before the top-up.
    then = tmp_path / "then.duckdb"
    rebuild_as_of(bench.home, NOW + timedelta(hours=5), then)
    with duckdb.connect(then, read_only=True) as connection:
        states = connection.sql(
            "SELECT rule, alert_state FROM alerts.states WHERE rule IN ('runway', 'stale') ORDER BY 1"
        )
        assert states.fetchall() == [("runway", "open"), ("stale", "recovered")]
    assert len(notified.heard) == 4


def test_unexplained_money_is_over_when_the_vendor_restates_its_usage(
    built: tuple[Bench, Sandbox], tmp_path: Path, httpserver: HTTPServer
) -> None:
    world = built[1]
    bench = Bench(tmp_path, only(world.accounts_toml(), "voxpria-main"), world.keys)
    notified = listen(bench, httpserver)
    # Read at midnight of the fifth and the sixth, so that the fifth's usage lies completely between two balances.
    for hours, is_understated in ((-57, False), (-33, True), (-8, True), (0, False), (1, False)):
        world.clear_faults()
        world.move_clock(NOW + timedelta(hours=hours))
        if is_understated:
            world.put_fault("money_is", vendor="voxpria", path="/api/v1/credits/usage", value="1")
        assert bench.run(NOW + timedelta(hours=hours), selection=REFRESH).is_ok
    world.clear_faults()

    assert notified.titles() == [
        "voxpria-main has unexplained balance changes",
        "voxpria-main has no unexplained balance changes any more",
    ]
    assert "146.00 voxpria-credit (14.60 USD) of the last 7 days cannot be explained" in notified.heard[0]["message"]
    # At midnight nothing is missing yet, because usage may still be booked. One good reading is no recovery.
    assert bench.rows("SELECT rule, event, happened_at_utc FROM alerts.events ORDER BY happened_at_utc") == [
        ("unexplained", "opened", NOW - timedelta(hours=8)),
        ("unexplained", "recovered", NOW + timedelta(hours=1)),
    ]
