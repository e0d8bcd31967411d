"""The heartbeat, over real HTTP: counted only if it was accepted, and its address is shown nowhere."""

from __future__ import annotations

import logging
import socket

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from pipeline.alerts import heartbeat
from pipeline.alerts.heartbeat import beat
from pipeline.support.secret import Secret

CANARY = "canary-beat-8812-aaaa"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_WAITS", (0.01, 0.01))


def _url(server: HTTPServer) -> Secret:
    return Secret(f"http://127.0.0.1:{server.port}/{CANARY}", name="BEAT")


def _answer(server: HTTPServer, *statuses: int) -> None:
    for status in statuses:
        server.expect_ordered_request(f"/{CANARY}", method="GET").respond_with_response(
            Response(status=status, headers={"Location": f"/{CANARY}"} if status == 302 else {})
        )


@pytest.mark.parametrize("statuses", [(200,), (204,), (500, 200), (503, 302, 200)])
def test_an_accepted_request_is_a_heartbeat(httpserver: HTTPServer, statuses: tuple[int, ...]) -> None:
    _answer(httpserver, *statuses)
    assert beat(_url(httpserver)) is None
    assert len(httpserver.log) == len(statuses)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "was answered with 500"),
        (404, "was answered with 404"),
        (302, "was answered with 302; redirects are not followed: use the address that it leads to"),
    ],
)
def test_any_other_answer_is_a_problem_after_three_attempts(httpserver: HTTPServer, status: int, words: str) -> None:
    _answer(httpserver, status, status, status)
    assert beat(_url(httpserver)) == f"the heartbeat to the address in BEAT {words}"
    assert len(httpserver.log) == 3


def test_an_address_without_a_server_is_a_problem_in_which_nothing_of_it_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = Secret(f"http://127.0.0.1:{unused.getsockname()[1]}/{CANARY}", name="BEAT")
    with caplog.at_level(logging.DEBUG):
        assert beat(url) == "the heartbeat to the address in BEAT failed: ConnectError"
    assert CANARY not in caplog.text


@pytest.mark.parametrize("address", ["ftp://example.com/x-y-z", "no address at all", "http://[::1/x"])
def test_what_is_no_address_is_a_problem(address: str) -> None:
    problem = beat(Secret(address, name="BEAT"))
    assert problem is not None
    assert problem.startswith("the heartbeat to the address in BEAT failed: ")
    assert address not in problem


def test_libraries_that_log_everything_do_not_log_the_address(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    _answer(httpserver, 200)
    with caplog.at_level(logging.DEBUG):
        assert beat(_url(httpserver)) is None
    assert caplog.records
    assert CANARY not in caplog.text
