"""The sandbox's web application: its vendors and the ECB's rates under their prefixes, and the controls under
`/_sandbox`.

| control | does |
|---|---|
| `GET /_sandbox/state` | returns the clock and the accounts with their balances |
| `POST /_sandbox/clock` `{"now"}` | moves the clock to an ISO 8601 instant with an offset |
| `GET /_sandbox/requests` | lists the vendors' requests so far, without keys |

The controls need no credentials: the server listens on the loopback interface only.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from pipeline.sandbox.api._api_base import Api, ApiRequest, ApiResponse, Credentials
from pipeline.sandbox.api.declared_api import DeclaredApi
from pipeline.sandbox.api.deepvue_api import DeepvueApi
from pipeline.sandbox.api.hyperstack_api import HyperstackApi
from pipeline.sandbox.api.voxpria_api import VoxpriaApi
from pipeline.sandbox.api.vpsbg_api import VpsbgApi
from pipeline.sandbox.encoding import Tree, encode
from pipeline.sandbox.exchange import Exchange
from pipeline.sandbox.rates_app import PREFIX, RatesApp
from pipeline.sandbox.world import World
from pipeline.sandbox.world.declared_world import declared_vendors

APIS: tuple[type[Api[Any]], ...] = (VpsbgApi, HyperstackApi, VoxpriaApi, DeepvueApi)

# Enough for any test; a sandbox left running for days must not fill the memory.
_REQUESTS_KEPT = 100_000
_RECENT_KEPT = 2_000


class InjectedFault(Protocol):
    """Action that a test performs on an exchange instead of answering it."""

    name: str

    async def __call__(self, exchange: Exchange) -> None:
        """Apply the fault to one exchange."""


Spoil = Callable[[str, str | None, str], InjectedFault | None]
"""Returns the fault for the vendor, account and path of a request, if any."""


@dataclass(slots=True)
class Received:
    """One request to a vendor. `at_seconds` is monotonic; `status` is None if none was sent."""

    number: int
    at_seconds: float
    vendor: str
    account: str | None
    method: str
    path: str
    query: str
    fault: str | None
    status: int | None = None


class Vendors:
    """The ASGI application of the vendors over one world."""

    def __init__(self, world: World, credentials: Mapping[str, Credentials]) -> None:
        self.world = world
        self.spoil: Spoil = lambda *_: None
        self.received: deque[Received] = deque(maxlen=_REQUESTS_KEPT)
        self._secrets = {secret for pair in credentials.values() for secret in asdict(pair).values() if secret}
        self._recent: dict[str, deque[float]] = {}
        self._count = 0
        self._open: set[Exchange] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

        def of(vendor: str) -> dict[str, Any]:
            return {key: value for key, value in world.accounts.items() if value.vendor == vendor}

        self.apis: list[Api[Any]] = [api(of(api.vendor), credentials) for api in APIS]
        self.apis += [
            DeclaredApi(declared, accounts, credentials)
            for declared in declared_vendors().values()
            if declared.name not in {api.vendor for api in APIS} and (accounts := of(declared.name))
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of any method."""
        path = scope["path"]
        api = next((api for api in self.apis if path == api.prefix or path.startswith(f"{api.prefix}/")), None)
        if api is None:
            await Response("No vendor lives here.", 404)(scope, receive, send)
            return
        headers = Headers(scope=scope)
        query = dict(QueryParams(scope["query_string"]))
        now = self.world.now
        account = api.identify(headers, now, query)
        account_id = None if account is None else account.account_id
        url = f"{scope['scheme']}://{headers.get('host', '')}{path}"
        request = ApiRequest(path.removeprefix(api.prefix), url, query, now)

        def answer(asked: ApiRequest) -> ApiResponse:
            return api.answer(scope["method"], account, headers, asked)

        fault = self.spoil(api.vendor, account_id, request.path)
        received = self._receive(api.vendor, account_id, scope, request.path, fault)
        found = answer(request)
        recent = self._recent.setdefault(f"{api.vendor}/{account_id}", deque(maxlen=_RECENT_KEPT))
        recent.append(time.time())
        found.headers.update(api.rate_limit_headers(recent))
        presented = api.presented(headers, query)
        exchange = Exchange(
            vendor=api.vendor,
            path=request.path,
            url=url,
            query=query,
            key="" if presented is None else presented.key,
            answer=found,
            again=lambda other: answer(replace(request, query=other)),
            error=api.error,
            receive=receive,
            send=send,
        )
        self._loop = asyncio.get_running_loop()
        self._open.add(exchange)
        try:
            await (exchange.give(found) if fault is None else fault(exchange))
        finally:
            self._open.discard(exchange)
            received.status = exchange.status

    def cut_off(self) -> None:
        """Reset every connection that still waits for an answer; may be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut_off)

    def _cut_off(self) -> None:
        for exchange in self._open:
            exchange.cut_off()

    def _receive(
        self, vendor: str, account: str | None, scope: Scope, path: str, fault: InjectedFault | None
    ) -> Received:
        query = scope["query_string"].decode("latin-1")
        for secret in self._secrets:
            query, path = query.replace(secret, "[key]"), path.replace(secret, "[key]")
        self._count += 1
        received = Received(
            number=self._count,
            at_seconds=time.monotonic(),
            vendor=vendor,
            account=account,
            method=scope["method"],
            path=path,
            query=query,
            fault=None if fault is None else fault.name,
        )
        self.received.append(received)
        return received


def create(world: World, credentials: Mapping[str, Credentials]) -> tuple[Starlette, Vendors, RatesApp]:
    """Return the application, and the vendors and the rates in it for a caller in the same process."""
    vendors, rates = Vendors(world, credentials), RatesApp(world)

    async def state(_: HttpRequest) -> Response:
        now = world.now
        return _json(
            {
                "now": now.isoformat(),
                "initial_now": world.initial_now.isoformat(),
                "opened_at": world.opened_at.isoformat(),
                "ends_at": world.ends_at.isoformat(),
                "seed": world.seed,
                "days": world.days,
                "accounts": [
                    {
                        "id": account.account_id,
                        "vendor": account.vendor,
                        "unit": account.unit,
                        "balance": account.balance_at(now),
                    }
                    for account in world.accounts.values()
                ],
                "requests": len(vendors.received),
            }
        )

    async def clock(request: HttpRequest) -> Response:
        try:
            world.move_clock(datetime.fromisoformat((await request.json())["now"]))
        except (KeyError, TypeError, ValueError) as refused:
            return _json({"message": f"not a clock: {refused}"}, 422)
        return _json({"now": world.now.isoformat()})

    async def requests(_: HttpRequest) -> Response:
        return _json({"requests": [asdict(received) for received in vendors.received]})

    routes = [
        Route("/_sandbox/state", state),
        Route("/_sandbox/clock", clock, methods=["POST"]),
        Route("/_sandbox/requests", requests),
        Route(f"{PREFIX}/{{name}}", rates),
        Mount("/", app=vendors),
    ]
    return Starlette(routes=routes), vendors, rates


def _json(tree: Tree, status: int = 200) -> Response:
    return Response(encode(tree), status, media_type="application/json")
