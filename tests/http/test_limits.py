"""Our own rate limits, within a run and across processes."""

import asyncio
import logging
import multiprocessing
import os
import sqlite3
import stat
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from pipeline.http import HttpOutcome, HttpResult, Network, RateLimit, RateLimits
from pipeline.http._limits import Limiter
from pipeline.support.secret import Secret
from tests.http.conftest import CANARY, Lab
from tests.http.fault_server import FaultServer, reply

FINE = reply(200, b"{}")


def _get_each(
    lab: Lab, server: FaultServer, limit: RateLimit, limits: RateLimits, accounts: dict[str, str]
) -> dict[str, list[HttpOutcome]]:
    """Three GETs for each account, concurrently; `accounts` maps an account to its key."""

    async def work() -> list[HttpResult]:
        async with Network() as network:
            clients = [
                lab.client(
                    network,
                    server.url,
                    account_id=account_id,
                    headers={"api_key": Secret(key, name="CANARY_API_KEY")},
                    rate_limit=limit,
                    rate_limits=limits,
                )
                for account_id, key in accounts.items()
            ]
            return await asyncio.gather(*(client.get("/balance") for client in clients for _ in range(3)))

    outcomes = [answer.outcome for answer in lab.run(work())]
    return {account_id: outcomes[3 * n : 3 * n + 3] for n, account_id in enumerate(accounts)}


@pytest.mark.parametrize(
    ("scope", "granted_count"),
    [("address", 4), ("key", 8), ("account", 9)],
)
@pytest.mark.parametrize("has_folder", [False, True])
def test_a_limit_counts_by_its_scope_and_refuses_without_sleeping(
    lab: Lab, tmp_path: Path, scope: str, granted_count: int, has_folder: bool
) -> None:
    limit = RateLimit(4, 600, scope)  # type: ignore[arg-type]
    accounts = {"one": CANARY, "two": CANARY, "three": CANARY + "!"}
    with RateLimits(tmp_path / "limits" if has_folder else None) as limits, FaultServer(FINE) as server:
        outcomes = _get_each(lab, server, limit, limits, accounts)
    granted = sum(outcome is HttpOutcome.ok for each in outcomes.values() for outcome in each)
    refused = sum(outcome is HttpOutcome.rate_limited for each in outcomes.values() for outcome in each)
    expected = 4 + 3 if scope == "key" else granted_count
    assert (granted, refused) == (expected, 9 - expected)
    assert len(server.requests) == granted
    for answer in lab.answers:
        if answer.outcome is HttpOutcome.rate_limited:
            assert answer.attempt_count == 0
            assert "our own limit of 4 requests in 600 s" in answer.reason
            assert answer.elapsed_seconds < 4  # the deadline is 8 s


@pytest.mark.parametrize("has_folder", [False, True])
def test_a_short_wait_for_our_own_limit_is_waited(lab: Lab, tmp_path: Path, has_folder: bool) -> None:
    limits = RateLimits(tmp_path if has_folder else None)
    with limits, FaultServer(FINE) as server:
        outcomes = _get_each(lab, server, RateLimit(2, 0.2, "account"), limits, {"one": CANARY})
    assert outcomes == {"one": [HttpOutcome.ok] * 3}


def _take_all(folder: str, wanted: int) -> int:
    async def work() -> int:
        with RateLimits(Path(folder)) as limits:
            limiter = limits.limiter("vpsbg", RateLimit(50, 600, "address"), "here")
            granted = 0
            for _ in range(wanted):
                # Ten seconds are enough for a busy file, but not for the limit.
                while 0 < (wait_seconds := limiter.take()) < 10:
                    await asyncio.sleep(wait_seconds)
                granted += not wait_seconds
            return granted

    return asyncio.run(work())


def test_a_limit_applies_across_processes(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        granted = pool.map(_take_all, [str(tmp_path)] * 3, [40] * 3)
        assert sum(granted) == 50


def test_the_files_are_private_and_contain_no_key(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "limits"
    before = os.umask(0)
    try:
        with RateLimits(folder) as limits, FaultServer(FINE) as server:
            _get_each(lab, server, RateLimit(100, 600, "key"), limits, {"one": CANARY})
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert files
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert b"canary" not in file.read_bytes()
        assert "canary" not in file.name


def test_a_clock_that_was_set_back_does_not_block_a_limit(tmp_path: Path) -> None:
    assert _take_all(str(tmp_path), 60) == 50
    (file,) = tmp_path.glob("*.sqlite")
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE rate_bucket SET item_timestamp = ?", (int(time.time() * 1000) + 86_400_000,))
    connection.close()
    assert _take_all(str(tmp_path), 60) == 50


def test_a_broken_file_costs_a_warning_and_not_the_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert _take_all(str(tmp_path), 1) == 1
    (file,) = tmp_path.glob("*.sqlite")
    file.write_bytes(b"not a database" * 1000)
    with caplog.at_level(logging.WARNING):
        assert _take_all(str(tmp_path), 60) == 50
    assert "applies within this process only" in caplog.text


def test_a_folder_that_cannot_be_made_costs_a_warning_and_not_the_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    assert _take_all(str(tmp_path / "file" / "limits"), 60) == 50
    assert "applies within this process only" in caplog.text


def _grants(limiter: Limiter, wanted: int, longest_wait_seconds: float) -> list[float]:
    """Take slots and wait for them, up to a wait that is too long; returns the seconds from the start of each grant."""

    async def work() -> list[float]:
        began, granted = time.monotonic(), []
        while len(granted) < wanted:
            wait_seconds = limiter.take()
            if not wait_seconds:
                granted.append(time.monotonic() - began)
            elif wait_seconds > longest_wait_seconds:
                break
            else:
                await asyncio.sleep(wait_seconds)
        return granted

    return asyncio.run(work())


@pytest.mark.parametrize("has_folder", [False, True])
def test_all_windows_of_a_limit_hold_at_the_same_time(tmp_path: Path, has_folder: bool) -> None:
    limit = RateLimit(2, 0.3, "key", also=((5, 1.5), (8, 600)))
    with RateLimits(tmp_path if has_folder else None) as limits:
        granted = _grants(limits.limiter("deepvue", limit, "here"), 9, longest_wait_seconds=10)
    # The eight of the longest window, at most two in any 0.3 s, and at most five in any 1.5 s.
    assert len(granted) == 8
    slack = 0.02
    assert all(later - earlier > 0.3 - slack for earlier, later in zip(granted, granted[2:], strict=False))
    assert all(later - earlier > 1.5 - slack for earlier, later in zip(granted, granted[5:], strict=False))


def test_all_windows_of_a_limit_are_remembered_across_processes(tmp_path: Path) -> None:
    limit = RateLimit(2, 0.05, "key", also=((3, 600),))
    for wanted, expected in ((2, 2), (2, 1)):
        with RateLimits(tmp_path) as limits:
            assert len(_grants(limits.limiter("deepvue", limit, "here"), wanted, longest_wait_seconds=10)) == expected


@pytest.mark.parametrize("also", [((5, 1),), ((2, 60),), ((2000, 60),), ((30, 60), (20, 600))])
def test_a_window_that_could_never_matter_is_refused(also: tuple[tuple[int, float], ...]) -> None:
    with pytest.raises(ValueError, match="each longer window"):
        RateLimit(5, 1, "key", also=also)


def test_a_limit_is_written_with_all_its_windows() -> None:
    assert str(RateLimit(1, 1, "key", also=((30, 60), (1000, 86400)))) == (
        "1 request in 1 s, 30 in 60 s and 1,000 in 86,400 s"
    )
    assert str(RateLimit(500, 60, "address")) == "500 requests in 60 s"


@pytest.mark.parametrize("has_folder", [False, True])
@pytest.mark.parametrize("is_stated", [False, True])
@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"X-RateLimit-Limit": "2"}, 2),
        ({"X-RateLimit-Limit": "2, 50;w=3600"}, 2),
        ({"RateLimit-Limit": "3"}, 3),
        ({"X-RateLimit-Limit": "400"}, 5),
        ({"X-RateLimit-Limit": "0"}, 5),
        ({"X-RateLimit-Limit": "-1"}, 5),
        ({"X-RateLimit-Limit": "unlimited"}, 5),
        ({}, 5),
    ],
)
def test_a_smaller_limit_that_an_answer_states_is_kept_where_the_vendor_documents_it(
    lab: Lab, tmp_path: Path, headers: dict[str, str], kept: int, is_stated: bool, has_folder: bool
) -> None:
    limit = RateLimit(5, 600, "account", is_stated=is_stated)
    expected = kept if is_stated else 5

    async def work(network_limits: RateLimits, url: str) -> list[HttpResult]:
        async with Network() as network:
            client = lab.client(network, url, rate_limit=limit, rate_limits=network_limits)
            return [await client.get("/balance") for _ in range(6)]

    with FaultServer(reply(200, b"{}", headers=headers)) as server:
        with RateLimits(tmp_path if has_folder else None) as limits:
            answers = lab.run(work(limits, server.url))
        assert [each.outcome for each in answers].count(HttpOutcome.ok) == len(server.requests) == expected
        assert f"our own limit of {expected} requests in 600 s" in answers[-1].reason
    if has_folder:
        # The next process knows it before its first answer.
        with RateLimits(tmp_path) as limits:
            limiter = limits.limiter("vpsbg", limit, "canary-main")
            assert limiter.take() > 10
            assert limiter.limit.requests == expected


def test_a_stated_limit_that_grows_again_is_used_up_to_the_declared_one() -> None:
    limiter = RateLimits().limiter("vpsbg", RateLimit(5, 600, "key", is_stated=True), "here")
    kept = []
    for stated in (2, 4, None, 3, 90):
        limiter.heed(stated)
        kept.append(limiter.limit.requests)
    assert kept == [2, 4, 4, 3, 5]
    assert len(_grants(limiter, 9, longest_wait_seconds=10)) == 5
