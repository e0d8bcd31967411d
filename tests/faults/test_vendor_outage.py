"""A vendor that is down during whole runs of the command: one message that names it, and one when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.sandbox.world import Life, World, vpsbg_world
from tests.bench import Bench
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)
ACCOUNTS = 30
_BY_HAND = '\n[accounts.till]\nvendor = "manual"\npath = "till.csv"\n'


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Thirty accounts of one vendor whose balances last."""
    world = World(days=30, now=NOW, vendors=[])
    life = Life(world.seed, world.opened_at, world.initial_now, world.ends_at)
    names = [f"vpsbg-{number:02}" for number in range(ACCOUNTS)]
    world.accounts = {name: vpsbg_world.idle(name, life) for name in names}
    with Sandbox(world) as started:
        yield started


@pytest.fixture
def heard(httpserver: HTTPServer) -> list[tuple[str, str]]:
    """Messages at `/told`: title and text."""
    messages: list[tuple[str, str]] = []

    def hear(request: Request) -> Response:
        messages.append((request.json["title"], request.json["message"]))
        return Response(status=200)

    httpserver.expect_request("/told").respond_with_handler(hear)
    return messages


@pytest.mark.faults(59)
def test_a_vendor_with_thirty_accounts_that_is_down_for_runs_is_one_message_and_one_when_it_is_back(
    tmp_path: Path, sandbox: Sandbox, httpserver: HTTPServer, heard: list[tuple[str, str]]
) -> None:
    (tmp_path / "till.csv").write_text(
        "observed_at_utc,balance_amount,unit_code\n2026-10-01,90,EUR\n2026-10-06,90,EUR\n", encoding="utf-8"
    )
    bench = Bench(
        tmp_path,
        f'notify_url_env = "TOLD"\n{sandbox.accounts_toml()}{_BY_HAND}',
        {**sandbox.keys, "TOLD": f"json://127.0.0.1:{httpserver.port}/told"},
    )

    def run(hours: int) -> tuple[int, int]:
        """Exit code of a run, and the number of messages that it sent."""
        known = len(heard)
        sandbox.move_clock(NOW + timedelta(hours=hours))
        done = bench.command("run", "--as-of", (NOW + timedelta(hours=hours)).isoformat())
        return done.returncode, len(heard) - known

    assert run(0) == (0, 0)
    sandbox.put_fault("status", vendor="vpsbg", code=503)
    # Three failed requests in a row are an outage, and it is reported once, however long it lasts.
    assert [run(hours) for hours in (1, 2, 3, 4)] == [(1, 0), (1, 0), (1, 1), (1, 0)]
    assert bench.rows(
        "SELECT vendor, reading_state, count(*) FROM marts.account_status GROUP BY ALL ORDER BY vendor"
    ) == [("manual", "fresh", 1), ("vpsbg", "stale", ACCOUNTS)]
    [(title, text)] = heard
    assert title == "Drawdown: VPSBG: 30 accounts have no fresh reading"
    first, names, *_ = text.splitlines()
    assert first == "VPSBG: 30 accounts have no fresh reading (stale alerts opened 2026-10-07 12:00 UTC)."
    assert names.startswith("vpsbg-00, vpsbg-01, ")
    assert names.endswith(" and 20 more.")
    assert "503" in text
    assert "till" not in title + text

    sandbox.clear_faults()
    heard.clear()
    # Two good readings end it.
    assert [run(hours) for hours in (5, 6, 7)] == [(0, 0), (0, 1), (0, 0)]
    [(title, text)] = heard
    assert title == "Drawdown: VPSBG: 30 accounts have fresh readings again"
    assert text.startswith(f"{title.removeprefix('Drawdown: ')} (stale alerts recovered 2026-10-07 15:00 UTC).")
    assert bench.rows(
        "SELECT event, count(*), count(DISTINCT account_id) FROM alerts.events WHERE rule = 'stale' GROUP BY event "
        "ORDER BY event"
    ) == [("opened", ACCOUNTS, ACCOUNTS), ("recovered", ACCOUNTS, ACCOUNTS)]
    assert bench.leaks() == []
