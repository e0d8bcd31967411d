"""`drawdown doctor` about refreshes, PostgreSQL and recipients: real builds, real servers, real messages."""

from __future__ import annotations

import json
import os
import shutil
import socket
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.cli.machine_checks import CheckResult
from pipeline.cli.service_checks import last_refresh
from pipeline.settings import load
from pipeline.support.home import Home
from pipeline.support.last_run import LastRun, write_last_run
from tests.cli.conftest import NOW, Desk

CANARY = "canary-hook-77c1"
PASSWORD = "canary-pg-9d20"
DELAY = timedelta(hours=2)


@pytest.fixture
def own_desk(desk: Desk, tmp_path: Path) -> Desk:
    """A copy of the published build, to be changed."""
    copy = Desk(tmp_path, desk.accounts_toml, desk.keys)
    shutil.copytree(desk.home, copy.home, symlinks=True)
    return copy


def _found(desk: Desk, *options: str, **environment: str) -> tuple[int, dict[str, tuple[str, str]], str]:
    """Exit code, state and finding by what they are about, and everything that was printed."""
    done = desk("doctor", "--json", *options, **environment)
    found = {each["about"]: (each["state"], each["finding"]) for each in json.loads(done.stdout)}
    return done.returncode, found, done.stdout + done.stderr


def _refresh(desk: Desk, at: datetime, monkeypatch: pytest.MonkeyPatch) -> CheckResult:
    monkeypatch.setenv("DRAWDOWN_ACCOUNTS", str(desk.accounts))
    return last_refresh(load(), Home(desk.home), at)


# -- refreshes ----------------------------------------------------------------------------------------------------


def test_before_the_first_run_there_is_no_refresh_to_be_late(empty_desk: Desk) -> None:
    assert _found(empty_desk)[1]["refreshes"] == ("ok", "none yet; `drawdown run` is the first")


def test_a_build_of_last_spring_is_warned_of(desk: Desk) -> None:
    code, found, _ = _found(desk)
    state, words = found["refreshes"]
    assert (code, state) == (0, "warn")
    assert words.startswith("the last good one is of 2026-03-18 13:37 UTC, ")
    assert words.endswith(" ago, and readings are stale after 1 day: check that the schedule runs")


def test_how_late_a_refresh_is_depends_on_its_schedule(own_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert _refresh(own_desk, NOW + timedelta(hours=26), monkeypatch).state == "ok"
    assert _refresh(own_desk, NOW + timedelta(hours=26, seconds=1), monkeypatch).state == "warn"
    own_desk("init", "--dagster")
    assert _refresh(own_desk, NOW + timedelta(hours=3), monkeypatch) == CheckResult(
        "ok", "refreshes", "the last good one is of 2026-03-18 13:37 UTC, 3 hours ago"
    )
    assert _refresh(own_desk, NOW + timedelta(hours=4), monkeypatch) == CheckResult(
        "warn",
        "refreshes",
        "the last good one is of 2026-03-18 13:37 UTC, 4 hours ago, and one of Dagster's hourly schedules is late after 3 "
        "hours: check that the schedule runs",
    )


def test_runs_that_fail_are_warned_of_before_they_are_late(own_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = LastRun(
        run_id="r", ended_at_utc=NOW + DELAY, is_ok=False, problems=("No space left on device",),
        failed_since_utc=NOW + timedelta(hours=1), failed_run_count=2,
    )  # fmt: skip
    write_last_run(Home(own_desk.home), failed)
    assert _refresh(own_desk, NOW + DELAY, monkeypatch) == CheckResult(
        "warn",
        "refreshes",
        "the last good one is of 2026-03-18 13:37 UTC, 2 hours ago, and runs fail since 2026-03-18 14:37 UTC: the last "
        "run failed: No space left on device",
    )


# -- recipients ---------------------------------------------------------------------------------------------------


def test_each_recipient_gets_a_test_message_only_if_asked_and_no_url_is_printed(
    own_desk: Desk, httpserver: HTTPServer
) -> None:
    heard: list[str] = []

    def hear(request: Request) -> Response:
        heard.append(request.json["message"])
        return Response(status=200)

    httpserver.expect_request(f"/{CANARY}").respond_with_handler(hear)
    own_desk.accounts.write_text(
        'notify_url_env = "TOLD"\n'
        + own_desk.accounts_toml.replace("[accounts.vpsbg-main]", '[accounts.vpsbg-main]\nnotify_url_env = "TEAM"')
    )
    urls = {"TOLD": f"json://127.0.0.1:{httpserver.port}/{CANARY}", "TEAM": f"json://127.0.0.1:9/{CANARY}"}
    assert _found(own_desk, **urls)[0] == 0
    assert heard == []

    code, found, printed = _found(own_desk, "--deliver", **urls)

    assert code == 1
    assert found["TOLD"][0] == "ok"
    assert found["TOLD"][1].startswith("accepted a test message about vpsbg-main, ")
    assert found["TEAM"][0] == "fail"
    assert "the message through TEAM was not delivered: " in found["TEAM"][1]
    [message] = heard
    assert message.startswith("This is a test. Messages about vpsbg-main, ")
    assert CANARY not in printed


def test_without_recipients_there_is_nothing_to_deliver_to(desk: Desk) -> None:
    code, found, _ = _found(desk, "--deliver")
    assert (code, found["alerts"][0]) == (0, "warn")
    assert found["alerts"][1].endswith("no recipient is configured: set notify_url_env")


# -- PostgreSQL ---------------------------------------------------------------------------------------------------


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_postgresql_that_does_not_answer_fails_without_its_password(own_desk: Desk) -> None:
    pytest.importorskip("psycopg2", reason="the extra drawdown[postgres] is not installed")
    own_desk.accounts.write_text(f'publish.postgres = {{ dsn_env = "PG_COPY" }}\n{own_desk.accounts_toml}')
    (own_desk.home / "dagster").mkdir()
    (own_desk.home / "dagster" / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_url:\n      env: PG_OWN\n"
    )
    where = f"drawdown:{PASSWORD}@127.0.0.1:{_closed_port()}/x"

    code, found, printed = _found(own_desk, PG_COPY=f"postgresql://{where}", PG_OWN=f"postgresql+psycopg2://{where}")

    assert code == 1
    for about, variable in (("publish.postgres", "PG_COPY"), ("dagster.yaml", "PG_OWN")):
        state, words = found[about]
        assert state == "fail"
        assert f"{variable}: connection to server at" in words
        assert "check its host, port and database, and that the server runs" in words
    assert PASSWORD not in printed
    code, found, _ = _found(own_desk, PG_OWN=f"postgresql+psycopg2://{where}")
    assert "the environment variable PG_COPY is not set" in found["publish.postgres"][1]


def test_a_postgresql_that_answers_is_named_with_its_version(own_desk: Desk) -> None:
    psycopg2 = pytest.importorskip("psycopg2", reason="the extra drawdown[postgres] is not installed")
    user = os.environ.get("PGUSER", "postgres")
    try:
        psycopg2.connect(host="127.0.0.1", user=user, dbname="postgres", connect_timeout=3).close()
    except psycopg2.OperationalError as problem:
        pytest.skip(f"no PostgreSQL on 127.0.0.1:5432 lets {user} in: {problem}")
    own_desk.accounts.write_text(f'publish.postgres = {{ dsn_env = "PG_COPY" }}\n{own_desk.accounts_toml}')
    (own_desk.home / "dagster").mkdir()
    (own_desk.home / "dagster" / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_db:\n      username: "
        f"{user}\n      password: {PASSWORD}\n      hostname: 127.0.0.1\n      db_name: {{env: PG_DATABASE}}\n      port: 5432\n"
    )
    code, found, _ = _found(own_desk, PG_COPY=f"postgresql://{user}@127.0.0.1:5432/postgres", PG_DATABASE="postgres")
    assert code == 0
    for about, end in (("publish.postgres", ""), ("dagster.yaml", ", for Dagster's records")):
        state, words = found[about]
        assert (state, words.startswith("PostgreSQL ")) == ("ok", True)
        assert words.endswith(f", database postgres can be reached{end}")


def test_without_postgresql_nothing_is_said_of_it(desk: Desk) -> None:
    assert not {"publish.postgres", "dagster.yaml"} & _found(desk)[1].keys()
