"""Requests that are cancelled together, as Ctrl-C does, at any moment."""

import asyncio
import dataclasses
import gc
import ssl
import warnings

import pytest

from pipeline.http import HttpResult, Network
from tests.http.conftest import QUICK, Lab
from tests.http.fault_server import FaultServer, Wire, reply

_FINE = reply(200, b"{}")
_PATIENT = dataclasses.replace(QUICK, read_timeout_seconds=8.0)
_MOST_TURNS = 80
"""Turns of the event loop after which all requests have been sent."""


def _every_second_hangs(wire: Wire) -> bool | None:
    if wire.request.connection % 2:
        wire.stopping.wait(10)
        return None
    return _FINE(wire)


def test_cancelled_requests_end_the_run_and_nothing_else_and_close_every_connection(lab: Lab) -> None:
    """Twelve requests are cancelled after each number of turns: while they connect, are sent, hang or are answered."""

    async def ask(network: Network, url: str) -> list[HttpResult]:
        clients = [lab.client(network, url, patience=_PATIENT) for _ in range(12)]
        return await asyncio.gather(*(client.get("/balance") for client in clients))

    certificates = ssl.create_default_context()

    async def work(url: str) -> None:
        async with Network(verify=certificates) as network:
            await ask(network, url)

    async def interrupted(url: str, turns: int) -> None:
        task = asyncio.ensure_future(work(url))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with FaultServer(_every_second_hangs) as server, warnings.catch_warnings():
        # A socket that nobody has closed.
        warnings.simplefilter("error", ResourceWarning)
        for turns in range(_MOST_TURNS):
            lab.run(interrupted(server.url, turns))
        gc.collect()
