"""Which clock is trusted: this machine's, or the vendors'."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.http import HttpOutcome, HttpResult
from pipeline.landing.budget import Budget, Spending
from pipeline.landing.vendorclocks import VendorClocks
from pipeline.settings import AccountSettings
from pipeline.support.errors import DrawdownError
from pipeline.vendors import discover

HOUR = 3600.0


def _clocks(*hosts: str) -> VendorClocks:
    vendor = discover()["vpsbg"]
    return VendorClocks(
        AccountSettings(account_id=host, vendor=vendor, base_url=f"https://{host}/v1", secret_variables={})
        for host in hosts
    )


A, B, C, D = "a.example.com", "b.example.com", "c.example.com", "d.example.com"
HERE = "127.0.0.1:8000"


@pytest.mark.faults(48)
@pytest.mark.parametrize(
    ("skews", "is_refused", "is_doubtful"),
    [
        # The only origin, and the only one with a time.
        ({A: 0.0}, False, False),
        ({A: 1.9}, False, False),
        ({A: 2.1}, True, False),
        ({A: -30.0}, True, False),
        ({A: None}, False, False),
        ({A: 24.0, B: None}, True, False),
        # Several that agree with each other, against those that agree with the clock.
        ({A: 24.0, B: 24.5}, True, False),
        ({A: 24.0, B: 24.5, C: 0.0}, True, False),
        ({A: 24.0, B: 0.0}, False, False),
        ({A: 24.0, B: 24.0, C: 0.0, D: 0.1}, False, False),
        # Several that are off by different amounts prove nothing.
        ({A: 24.0, B: -24.0}, False, False),
        ({A: 24.0, B: 30.0, C: 40.0}, False, False),
        # Until all have answered, differing clocks are kept pending; the clock is trusted until then.
        ({A: 24.0, B: "unheard"}, False, True),
        ({A: 0.0, B: "unheard"}, False, False),
        ({A: 24.0, B: 24.0, C: "unheard"}, True, True),
        ({A: 24.0, B: 24.0, C: "unheard", D: "unheard"}, False, True),
        ({A: 24.0, B: 0.0, C: 0.0, D: "unheard"}, False, False),
        # A server on this machine has this machine's clock.
        ({A: 24.0, HERE: 0.0}, True, False),
        ({HERE: 24.0}, True, False),
    ],
)  # fmt: skip
def test_several_origins_or_the_only_one_outvote_the_clock(
    skews: dict[str, float | str | None], is_refused: bool, is_doubtful: bool
) -> None:
    clocks = _clocks(*skews)
    for host, hours in skews.items():
        if not isinstance(hours, str):
            clocks.hear(host, None if hours is None else hours * HOUR)
    assert (clocks.problem is not None, clocks.is_doubtful) == (is_refused, is_doubtful)
    if is_refused:
        with pytest.raises(DrawdownError, match="set the clock"):
            clocks.check()
    else:
        clocks.check()


def test_a_vendor_with_a_permanently_wrong_clock_is_excluded_by_a_setting() -> None:
    vendor = discover()["vpsbg"]

    def clocks(*, is_ignored: bool) -> VendorClocks:
        account = AccountSettings(
            account_id="a",
            vendor=vendor,
            base_url=f"https://{A}/v1",
            secret_variables={},
            ignore_date_header=is_ignored,
        )
        made = VendorClocks([account])
        made.hear(A, 24.0 * HOUR)
        return made

    with pytest.raises(DrawdownError, match="set ignore_date_header = true for its accounts"):
        clocks(is_ignored=False).check()
    clocks(is_ignored=True).check()
    assert not clocks(is_ignored=True).is_doubtful


def test_the_newest_answer_of_an_origin_counts() -> None:
    clocks = _clocks(A)
    clocks.hear(A, 9 * HOUR)
    assert clocks.problem is not None
    clocks.hear(A, 2.0)
    clocks.hear(A, 9 * HOUR)
    assert clocks.problem is None


def test_many_origins_are_named_in_part() -> None:
    hosts = [f"{letter}.example.com" for letter in "abcdef"]
    clocks = _clocks(*hosts)
    for host in hosts:
        clocks.hear(host, -5 * HOUR)
    assert clocks.problem is not None
    assert "a.example.com, b.example.com, c.example.com and 3 more say" in clocks.problem
    assert "5.0 hours later" in clocks.problem
    assert f"{datetime.now(UTC):%Y-%m}" in clocks.problem


@pytest.mark.faults(46)
def test_a_walks_time_stops_while_it_waits_behind_others() -> None:
    """Its budget is 0.2 s: an answer that was queued for 0.6 s is awaited, one that hangs as long is not."""
    queued = 0.0

    async def answer(seconds: float, *, is_queued: bool) -> HttpResult:
        nonlocal queued
        began, before = time.monotonic(), queued
        while time.monotonic() - began < seconds:
            await asyncio.sleep(0.01)
            if is_queued:
                queued = before + time.monotonic() - began
        return HttpResult(url="", outcome=HttpOutcome.ok, reason="")

    async def work() -> list[HttpOutcome]:
        spending = Spending(Budget(seconds=0.2), is_backfill=False, queued_seconds=lambda: queued)
        answers = [await spending.on(answer(0, is_queued=False)) for _ in range(2)]
        answers.append(await spending.on(answer(0.6, is_queued=True)))
        answers.append(await spending.on(answer(30, is_queued=False)))
        return [each.outcome for each in answers]

    assert asyncio.run(work()) == [HttpOutcome.ok, HttpOutcome.ok, HttpOutcome.ok, HttpOutcome.pagination]


def test_the_doctor_reports_that_no_run_lands_under_such_a_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.cli.doctor import examine
    from pipeline.support.home import Home
    from tests.http.fault_server import FaultServer, reply

    date = {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    with FaultServer(reply(200, b'{"current_balance": 5, "success": true}', date)) as server:
        (tmp_path / "accounts.toml").write_text(
            f'allow_http_loopback = true\n[accounts.main]\nvendor = "deepvue"\nclient_id_env = "KEY"\n'
            f'api_key_env = "KEY"\nbase_url = "{server.url}"\n'
        )
        monkeypatch.setenv("DRAWDOWN_ACCOUNTS", str(tmp_path / "accounts.toml"))
        monkeypatch.setenv("KEY", "a-key-of-the-doctor")
        [finding] = [each for each in examine(Home(tmp_path / "data")) if "2015-10-21 07:28" in str(each)]
    assert "no run lands before that" in str(finding)
