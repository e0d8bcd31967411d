"""One message when an account turns critical or goes stale: told once, tried again when it did not arrive."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.sandbox import Sandbox
from tests.bench import Bench
from tests.e2e.conftest import NOW

SECRET_PATH = "canary-hook-5512"


@pytest.fixture
def told(bench: Bench, httpserver: HTTPServer) -> list[dict[str, str]]:
    """Messages that arrived; while the list holds `None` first, the channel is down."""
    messages: list[dict[str, str]] = []

    def hear(request: Request) -> Response:
        if messages and messages[0] == {"channel": "down"}:
            return Response(status=503)
        messages.append({"title": request.json["title"], "message": request.json["message"]})
        return Response(status=200)

    httpserver.expect_request(f"/{SECRET_PATH}").respond_with_handler(hear)
    bench.keys = {**bench.keys, "TOLD_HERE": f"json://127.0.0.1:{httpserver.port}/{SECRET_PATH}", "CANARY": SECRET_PATH}
    bench.accounts.write_text('notify_url_env = "TOLD_HERE"\n' + bench.accounts_toml, encoding="utf-8")
    return messages


def test_a_critical_account_is_told_once(bench: Bench, told: list[dict[str, str]]) -> None:
    bench.run(NOW)
    bench.run(NOW + timedelta(hours=1))

    assert [message["title"] for message in told] == ["Drawdown: voxpria-campaign is critical"]
    assert "As likely as not dry by 2026-10-" in told[0]["message"]
    assert "Order " in told[0]["message"]


def test_a_stale_account_is_told_once_and_again_after_it_recovered(
    bench: Bench, sandbox: Sandbox, told: list[dict[str, str]]
) -> None:
    bench.run(NOW)
    told.clear()
    for hours, is_down in ((1, True), (2, True), (3, False), (4, True)):
        sandbox.clear_faults()
        if is_down:
            sandbox.put_fault("status", vendor="vpsbg", account="vpsbg-main", path="/balance", exact=True, code=503)
        sandbox.move_clock(NOW + timedelta(hours=hours))
        bench.run(NOW + timedelta(hours=hours))

    assert [message["title"] for message in told] == ["Drawdown: vpsbg-main is stale"] * 2
    assert "server_error" in told[0]["message"]


def test_a_message_that_did_not_arrive_is_a_line_without_the_url_and_is_sent_by_the_next_run(
    bench: Bench, told: list[dict[str, str]]
) -> None:
    told.append({"channel": "down"})

    outcome = bench.run(NOW)

    assert len(outcome.problems) == 1
    assert "TOLD_HERE" in outcome.problems[0]
    assert SECRET_PATH not in outcome.problems[0]
    told.clear()
    assert bench.run(NOW + timedelta(hours=1)).is_ok
    assert len(told) == 1


def test_an_account_that_was_never_read_is_no_alarm(bench: Bench, sandbox: Sandbox, told: list[dict[str, str]]) -> None:
    sandbox.put_fault("money_null", vendor="voxpria", account="voxpria-campaign", path="/api/v1/credits", exact=True)

    bench.run(NOW)

    assert told == []
