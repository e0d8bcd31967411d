"""Sharing of a run's connections: fair, and never counted against the vendor."""

import asyncio
import dataclasses
import random
import time
from collections import Counter

import pytest

from pipeline.http import HttpOutcome, HttpResult, Network, RateLimit, RateLimits
from pipeline.http import _permits as permits_module
from pipeline.http._permits import MOST_AT_ONCE, MOST_AT_ORIGIN, RESERVED, Permits
from tests.http.conftest import QUICK, Lab
from tests.http.fault_server import FaultServer, Script, Wire, drip, hang, reply

FINE = reply(200, b"{}")
DRIPS = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")


def _slowly(seconds: float) -> Script:
    def play(wire: Wire) -> bool | None:
        wire.stopping.wait(seconds)
        return FINE(wire)

    return play


@pytest.mark.faults(46)
def test_waiting_for_a_permit_is_not_on_the_vendors_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of them would exceed its deadline if it were counted from the beginning of its wait."""
    monkeypatch.setattr(permits_module, "MOST_AT_ORIGIN", 2)
    at_once, most = 0, 0

    def play(wire: Wire) -> bool | None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        wire.stopping.wait(0.2)
        at_once -= 1
        return FINE(wire)

    patience = dataclasses.replace(QUICK, deadline_seconds=1.0, read_timeout_seconds=1.0, attempts=1)

    async def work() -> list[HttpResult]:
        async with Network() as network:
            clients = [lab.client(network, server.url, patience=patience) for _ in range(16)]
            answers = await asyncio.gather(*(client.get("/balance") for client in clients))
            queued.extend(client.queued_seconds for client in clients)
            return answers

    queued: list[float] = []
    with FaultServer(play) as server:
        answers = lab.run(work())
    assert Counter(answer.outcome for answer in answers) == {HttpOutcome.ok: 16}
    assert max(answer.elapsed_seconds for answer in answers) < 1.0 < max(queued)
    assert most == 2


@pytest.mark.faults(46)
def test_waiting_for_our_own_limit_is_not_on_the_vendors_time(lab: Lab) -> None:
    patience = dataclasses.replace(QUICK, deadline_seconds=0.8, attempts=1)

    async def work() -> list[HttpResult]:
        async with Network() as network:
            with RateLimits() as limits:
                limit = RateLimit(2, 0.5, "account")
                client = lab.client(network, server.url, patience=patience, rate_limit=limit, rate_limits=limits)
                return await asyncio.gather(*(client.get("/balance") for _ in range(7)))

    with FaultServer(FINE) as server:
        answers = lab.run(work())
    assert Counter(answer.outcome for answer in answers) == {HttpOutcome.ok: 7}
    assert max(answer.elapsed_seconds for answer in answers) < 0.8
    received = [request.received_seconds for request in server.requests]
    assert received[-1] - received[0] > 1.0


@pytest.mark.faults(46)
@pytest.mark.parametrize("vendor", ["deepvue", "vpsbg"])
def test_a_vendor_or_an_origin_that_drips_delays_no_other(lab: Lab, vendor: str) -> None:
    """Eighty accounts of one origin drip for ever; one of another vendor, or of another origin, is answered at once."""
    patience = dataclasses.replace(QUICK, deadline_seconds=20, read_timeout_seconds=20, attempts=1)
    most = MOST_AT_ORIGIN - RESERVED if vendor == "vpsbg" else MOST_AT_ORIGIN

    async def work() -> tuple[HttpResult, int]:
        async with Network() as network:
            network.expect(vendor, fine.url)
            dripping = [
                asyncio.ensure_future(lab.client(network, slow.url, vendor="vpsbg", patience=patience).get("/balance"))
                for _ in range(80)
            ]
            while len(slow.requests) < most:
                await asyncio.sleep(0.01)
            answer = await lab.client(network, fine.url, vendor=vendor, patience=patience).get("/balance")
            ended = sum(each.done() for each in dripping)
            for each in dripping:
                each.cancel()
            await asyncio.gather(*dripping, return_exceptions=True)
            return answer, ended

    with FaultServer(DRIPS) as slow, FaultServer(FINE) as fine:
        answer, ended = lab.run(work())
    assert (answer.outcome, ended) == (HttpOutcome.ok, 0)
    assert len(slow.requests) == most


@pytest.mark.faults(46)
def test_an_origin_that_never_answers_is_given_up_and_one_that_answers_now_and_then_is_not(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits_module, "GIVEN_UP_AFTER", 3)
    patience = dataclasses.replace(QUICK, read_timeout_seconds=0.2, attempts=1)

    async def work(server: FaultServer) -> list[HttpResult]:
        async with Network() as network:
            clients = [lab.client(network, server.url, patience=patience) for _ in range(6)]
            return [await client.get("/balance") for client in clients]

    with FaultServer(hang()) as dead, FaultServer(hang(), hang(), FINE, hang(), hang(), FINE) as moody:
        answers, mixed = lab.run(work(dead)), lab.run(work(moody))
    assert [answer.attempt_count for answer in answers] == [1, 1, 1, 0, 0, 0]
    assert len(dead.requests) == 3
    assert {answer.outcome for answer in answers[3:]} == {HttpOutcome.connection}
    assert "was not sent, because the last" in answers[-1].reason
    assert [answer.outcome for answer in mixed] == [HttpOutcome.timeout, HttpOutcome.timeout, HttpOutcome.ok] * 2


def test_a_permit_is_free_while_a_retry_waits(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permits_module, "MOST_AT_ORIGIN", 1)

    async def work() -> tuple[list[HttpResult], float]:
        async with Network() as network:
            patient, other = (lab.client(network, server.url) for _ in range(2))
            waiting = asyncio.ensure_future(patient.get("/balance"))
            while not server.requests:
                await asyncio.sleep(0.01)
            answer = await other.get("/balance")
            answered = time.monotonic()
            return [answer, await waiting], answered

    with FaultServer(reply(429, headers={"Retry-After": "1"}), FINE) as server:
        answers, answered = lab.run(work())
    assert [answer.outcome for answer in answers] == [HttpOutcome.ok, HttpOutcome.ok]
    assert answered < server.requests[-1].received_seconds


@pytest.mark.parametrize("seed", range(20))
def test_permits_are_never_too_many_never_lost_and_every_origin_gets_its_own(seed: int) -> None:
    """Random holders that arrive, wait, are cancelled and leave, at origins of several vendors."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    permits, held = Permits(), Counter[tuple[str, int]]()
    shape = {f"vendor-{place}": chance.choice([1, 2, 5, 70]) for place in range(chance.choice([1, 2, 9]))}
    origins = [(vendor, number) for vendor, count in shape.items() for number in range(count)]
    for vendor, number in origins:
        permits.origin(vendor, number)
    served = 0

    async def hold(vendor: str, number: int) -> None:
        nonlocal served
        origin = permits.origin(vendor, number)
        await origin.acquire()
        held[vendor, number] += 1
        try:
            of_vendor = sum(count for (name, _), count in held.items() if name == vendor)
            assert held[vendor, number] <= MOST_AT_ORIGIN
            assert of_vendor <= max(MOST_AT_ORIGIN, shape[vendor])
            assert held.total() <= MOST_AT_ONCE
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            served += 1
        finally:
            held[vendor, number] -= 1
            origin.release()

    async def work() -> int:
        tasks = [asyncio.ensure_future(hold(*chance.choice(origins))) for _ in range(600)]
        cancelled = 0
        for task in chance.sample(tasks, 100):
            await asyncio.sleep(0)
            cancelled += task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [each for each in ended if isinstance(each, Exception)]
        return cancelled

    cancelled = asyncio.run(work())
    assert served >= 600 - cancelled
    assert held.total() == 0
    for vendor, number in origins:
        assert permits.origin(vendor, number).held == 0


def test_reserved_permits_are_available_to_their_origin() -> None:
    async def work() -> None:
        permits = Permits()
        one, two = permits.origin("vpsbg", 1), permits.origin("vpsbg", 2)
        greedy = [asyncio.ensure_future(one.acquire()) for _ in range(100)]
        await asyncio.sleep(0)
        assert one.held == MOST_AT_ORIGIN - RESERVED
        for _ in range(RESERVED):
            await asyncio.wait_for(two.acquire(), timeout=0.1)
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)

    asyncio.run(work())
