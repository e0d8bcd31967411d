"""A laboratory for every fault, which is searched for the key afterwards."""

import asyncio
import base64
import html
import io
import json
import logging
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

import pytest

from pipeline.http import Client, HttpResult, Network, Patience, RateLimit, RateLimits
from pipeline.support.secret import Secret
from tests.http.fault_server import FaultServer

T = TypeVar("T")

CANARY = 'canary-7f3b/Zq+9<&"k3y'
VARIABLE = "CANARY_API_KEY"
ACCOUNT_ID = "canary-main"
QUICK = Patience(
    deadline_seconds=8,
    connect_timeout_seconds=1,
    read_timeout_seconds=0.4,
    backoff_seconds=0.01,
    backoff_cap_seconds=0.05,
    body_cap_bytes=1024 * 1024,
)
# Far beyond every deadline here: only a client that ignores its own gets this far.
HANG_SECONDS = 20
PLENTY = RateLimit(10_000, 1, "account")

# Written out here, independently of the code under test.
DISGUISES = {
    CANARY,
    json.dumps(CANARY)[1:-1],
    quote(CANARY, safe=""),
    quote(CANARY),
    quote_plus(CANARY),
    html.escape(CANARY),
    base64.b64encode(CANARY.encode()).decode(),
    base64.b64encode(f"user:{CANARY}".encode()).decode()[8:-4],
    repr(CANARY)[1:-1],
    CANARY.lower(),
    CANARY[:12],
    CANARY[-12:],
}


class Lab:
    """Runs clients with the canary key, and keeps all results."""

    def __init__(self) -> None:
        self.answers: list[HttpResult] = []

    def client(self, network: Network, url: str, **changes: Any) -> Client:
        settings: dict[str, Any] = {
            "vendor": "vpsbg",
            "account_id": ACCOUNT_ID,
            "base_url": url,
            "headers": {
                "Authorization": Secret(CANARY, name=VARIABLE).with_prefix("Bearer "),
                "api_key": Secret(CANARY, name=VARIABLE),
            },
            "rate_limit": PLENTY,
            "rate_limits": RateLimits(),
            "patience": QUICK,
            "allow_http_loopback": True,
        }
        return Client(network, **settings | changes)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, and keep the answers of the result."""
        result = asyncio.run(asyncio.wait_for(work, HANG_SECONDS))
        found = result if isinstance(result, list) else [result]
        self.answers += [answer for answer in found if isinstance(answer, HttpResult)]
        return result

    def get(self, server: FaultServer, path: str = "/balance", **changes: Any) -> HttpResult:
        async def work() -> HttpResult:
            async with Network() as network:
                return await self.client(network, server.url, **changes).get(path)

        return self.run(work())

    def get_all(self, *servers: FaultServer, **changes: Any) -> list[HttpResult]:
        """Request one account of each server, concurrently."""

        async def work() -> list[HttpResult]:
            async with Network() as network:
                clients = [self.client(network, server.url, **changes) for server in servers]
                return await asyncio.gather(*(client.get("/balance") for client in clients))

        return self.run(work())

    def everything(self) -> str:
        return "\n".join(
            repr(part) if not isinstance(part, bytes) else part.decode("latin-1")
            for a in self.answers
            for part in (a, a.url, a.reason, a.content_type, a.body, a.payload)
        )


@pytest.fixture
def lab(capfd: pytest.CaptureFixture[str]) -> Iterator[Lab]:
    """A laboratory; after the test, no answer, log line of any level, or output may contain the canary."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    names = ["", "httpx", "httpcore", "httpcore.http11", "httpcore.connection", "pyrate_limiter", "asyncio"]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    laboratory = Lab()
    try:
        yield laboratory
    finally:
        logging.getLogger().removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    output = capfd.readouterr()
    haystacks = {
        "an answer": laboratory.everything(),
        "the log": lines.getvalue(),
        "stdout": output.out,
        "stderr": output.err,
    }
    for place, text in haystacks.items():
        for disguise in DISGUISES:
            assert disguise not in text, f"the canary is in {place}"
