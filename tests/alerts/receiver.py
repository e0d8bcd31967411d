"""A receiver of messages over real HTTP, and the journal of their sender."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.alerts import delivery as delivering
from pipeline.alerts.delivery import deliver
from pipeline.alerts.journal import Delivery, Ledger, Transitions, fold, land, landed_entries
from pipeline.settings.alert_policy import Policy
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.support.secret import Secret
from tests.alerts.timelines import START, Timeline

CANARY = "canary-hook-5512"
PROCESS = """
import os, sys
from datetime import datetime
from pathlib import Path
from pipeline.alerts.delivery import deliver
from pipeline.alerts.journal import fold, landed_entries
from pipeline.settings.alert_policy import Policy
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.support.secret import Secret
home = Home(Path(sys.argv[1]))
clock = Clock(datetime.fromisoformat(sys.argv[2]))
url = Secret(os.environ["TOLD"], name="TOLD")
print(deliver(fold(landed_entries(home.landing)), Policy(), {"main": ("TOLD",)}, lambda _: url, home, clock, "r").problems)
"""


@dataclass
class Channel:
    """A receiver of messages, and the state folder of the sender."""

    home: Home
    url: str
    heard: list[dict[str, str]] = field(default_factory=list)
    before_answer: Callable[[], int] = lambda: 200
    """Called when a message has arrived, before the response; returns the status."""
    breaks_off: int = 0
    """Number of messages that are accepted before the connection is closed without a response."""
    policy: Policy = field(default_factory=Policy)
    recipients: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"main": ("TOLD",)})
    vendors: dict[str, str] = field(default_factory=dict)
    """Titles of vendors by account."""
    urls: dict[str, str] = field(default_factory=dict)
    """URLs of recipients other than `url`."""

    def hear(self, request: Request) -> Response:
        self.heard.append({name: request.json[name] for name in ("title", "message", "type")})
        if self.breaks_off:
            self.breaks_off -= 1
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return Response(status=self.before_answer())

    def land(self, timeline: Timeline, since: int = 0) -> None:
        """Land the events of a timeline, as a run does, without those that were landed before."""
        changed = tuple(timeline.states.values())
        for each in timeline.events[since:]:
            addressees = () if each.is_silent or not self.policy.is_sent(each.severity) else self.recipients["main"]
            addressed = msgspec.structs.replace(each, recipients=addressees)
            entry = Transitions(at=each.happened_at_utc, states=changed, events=(addressed,))
            land(self.home, Clock(each.happened_at_utc), "r", entry)

    def ledger(self) -> Ledger:
        return fold(landed_entries(self.home.landing))

    def ledger_for_tables(self) -> Ledger:
        return fold(landed_entries(self.home.landing), is_for_tables=True)

    def deliver(self, hours: int = 1) -> list[str]:
        """Deliver in this process, the given number of hours after the start."""
        return self.deliver_at(START + timedelta(hours=hours))

    def deliver_at(self, at: datetime) -> list[str]:
        def url_of(name: str) -> Secret:
            return Secret(self.urls.get(name, self.url), name=name)

        run_id = f"run-{at.isoformat()}"
        arguments = self.ledger(), self.policy, self.recipients, url_of, self.home, Clock(at), run_id
        return deliver(*arguments, self.vendors).problems

    def process(self) -> subprocess.Popen[str]:
        """Deliver in a separate process."""
        return subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(self.home.path), START.isoformat()],
            env={**os.environ, "TOLD": self.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def delivery(self, event: str = "main/runway/1") -> Delivery:
        return self.ledger().deliveries[event, "TOLD"]


@pytest.fixture
def channel(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Channel:
    monkeypatch.setattr(delivering, "_WAITS", (0.01, 0.01))
    made = Channel(Home(tmp_path / "data"), f"json://127.0.0.1:{httpserver.port}/{CANARY}")
    httpserver.expect_request(f"/{CANARY}").respond_with_handler(made.hear)
    return made


@pytest.fixture
def alerted(channel: Channel) -> Channel:
    """A channel with one pending message."""
    timeline = Timeline()
    timeline.play("fine dire")
    channel.land(timeline)
    return channel
