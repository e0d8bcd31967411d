"""Access to web servers of this machine: by known host names, and by no page of another site."""

from __future__ import annotations

import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.orchestration.web_interface import NAMES_VARIABLE, names
from pipeline.support.errors import UsageError
from pipeline.support.web_hosts import LOOPBACK_NAMES, LiteralHosts, SameOrigin


async def _accept(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("balances")
    await socket.close()


APP = Starlette(
    routes=[
        Route("/graphql", lambda _: PlainTextResponse("balances"), methods=["GET", "POST"]),
        WebSocketRoute("/graphql", _accept),
    ]
)
CLIENT = TestClient(LiteralHosts(SameOrigin(APP), [*LOOPBACK_NAMES, "drawdown.example"]))
ASKED = [
    ({"Host": "127.0.0.1:3000"}, 200),
    ({"Host": "localhost:3000"}, 200),
    ({"Host": "[::1]:3000"}, 200),
    ({"Host": "10.0.0.7:3000"}, 200),
    ({"Host": "drawdown.example"}, 200),
    ({"Host": "page.example:3000"}, 400),
    ({"Host": "127.0.0.1.page.example:3000"}, 400),
    ({"Host": "localhost.page.example"}, 400),
    ({"Host": "127.0.0.1:3000", "Origin": "http://127.0.0.1:3000"}, 200),
    ({"Host": "drawdown.example", "Origin": "https://drawdown.example"}, 200),
    ({"Host": "127.0.0.1:3000", "Origin": "https://page.example"}, 403),
    ({"Host": "127.0.0.1:3000", "Origin": "http://127.0.0.1:8000"}, 403),
    ({"Host": "127.0.0.1:3000", "Origin": "null"}, 403),
]


@pytest.mark.parametrize(("headers", "code"), ASKED)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_its_own_names_and_its_own_pages_are_answered(method: str, headers: dict[str, str], code: int) -> None:
    answer = CLIENT.request(method, "/graphql", headers=headers)
    assert (answer.status_code, answer.text == "balances") == (code, code == 200)


@pytest.mark.parametrize(("headers", "code"), ASKED)
def test_the_same_goes_for_websockets(headers: dict[str, str], code: int) -> None:
    if code == 200:
        with CLIENT.websocket_connect("/graphql", headers=headers) as socket:
            assert socket.receive_text() == "balances"
        return
    with pytest.raises((WebSocketDisconnect, RuntimeError)), CLIENT.websocket_connect("/graphql", headers=headers):
        pass


def test_further_names_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMES_VARIABLE, " drawdown.example, other.example ")
    assert names() == [*LOOPBACK_NAMES, "drawdown.example", "other.example"]
    for wrong in ("*", "*.example", "a b", "http://a"):
        monkeypatch.setenv(NAMES_VARIABLE, wrong)
        with pytest.raises(UsageError, match=NAMES_VARIABLE):
            names()


def test_an_invalid_name_is_one_line_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMES_VARIABLE, "*")
    for arguments in ([], ["dev"]):
        command = [sys.executable, "-m", "pipeline.orchestration.web_interface", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"drawdown: {NAMES_VARIABLE}: '*' is not a host name\n"
