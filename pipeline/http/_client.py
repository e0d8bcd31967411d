"""The network of a run, and the client of one account."""

import hashlib
import logging
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

import pipeline
from pipeline.http._address import carry_params, check_base_url, check_path, origin_of, resolve_link
from pipeline.http._answer import HttpOutcome, HttpResult
from pipeline.http._get import REFUSED_LOCATION, Caller, Get
from pipeline.http._limits import Limiter, RateLimit, RateLimits
from pipeline.http._permits import Admission, Permits, QueueTime
from pipeline.http._waits import Patience
from pipeline.support.secret import Redactor, Secret

# What servers send (header lists, the words after a status) reaches these loggers' messages as it is, and a
# vendor may echo a key there. An Answer says more than they do.
_TALKATIVE_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


# Connections that are kept open for the next request of their origin: open files, beside those of the permits.
_MOST_IDLE = 128


def _drop(_: logging.LogRecord) -> bool:
    return False


async def _hide_location(response: httpx.Response) -> None:
    """Leave httpx nothing to redirect to: it would build the next request, and fail on a bad address."""
    if "location" in response.headers:
        response.headers[REFUSED_LOCATION] = response.headers.pop("location")


class Network:
    """The connections of one run, for all its accounts; an async context manager.

    `verify` replaces the trusted certificates, for a private authority; it cannot switch verification off.
    A proxy is taken from the environment for https to other computers, and for nothing else: http is spoken
    on loopback only.

    Errors: `ValueError` when `verify` does not check certificates and host names.
    """

    def __init__(self, *, verify: ssl.SSLContext | None = None) -> None:
        if verify and not (verify.check_hostname and verify.verify_mode == ssl.CERT_REQUIRED):
            raise ValueError("an SSL context must check certificates and host names")
        for name in _TALKATIVE_LOGGERS:
            logging.getLogger(name).addFilter(_drop)
        # Made once: reading the certificate authorities takes longer than many a request.
        self._verify = verify or httpx.create_ssl_context()
        self._permits = Permits()
        self._admissions: dict[tuple[object, ...], Admission] = {}
        self._idle: OrderedDict[httpx.AsyncClient, Hashable] = OrderedDict()
        self._idle_at: dict[Hashable, list[httpx.AsyncClient]] = {}

    @asynccontextmanager
    async def lane(self, origin: Hashable) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one request, with its connection, which the next request to the origin may use again.

        Each request has a client to itself: one pool for all looks through all of its connections several times for
        each request, which with 128 of them takes more time than anything else.
        """
        at_origin = self._idle_at.setdefault(origin, [])
        if at_origin:
            client = at_origin.pop()
            del self._idle[client]
        else:
            client = self._new_client()
        try:
            yield client
        finally:
            at_origin.append(client)
            self._idle[client] = origin
        if len(self._idle) > _MOST_IDLE:
            oldest, its_origin = self._idle.popitem(last=False)
            self._idle_at[its_origin].remove(oldest)
            await oldest.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        direct = ("http://", "all://localhost", "all://127.0.0.1", "all://[::1]")
        return httpx.AsyncClient(
            verify=self._verify,
            # Permits say how many there may be: a request that waits in here would be waiting on its vendor's time.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=1),
            follow_redirects=False,
            event_hooks={"response": [_hide_location]},
            mounts=dict.fromkeys(direct),
            # A cookie set for one account must not be sent for another.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={
                "user-agent": f"drawdown/{pipeline.__version__}",
                "accept": "application/json",
                "accept-encoding": "gzip",
            },
        )

    def expect(self, vendor: str, base_url: str) -> None:
        """Keep permits for a vendor and its origin from the beginning, before anybody takes too many."""
        self._permits.origin(vendor, origin_of(httpx.URL(base_url)))

    def admission(self, vendor: str, base_url: str, limiter: Limiter) -> Admission:
        """The queue for requests to an origin under a rate limit: always the same for the same three."""
        origin = origin_of(httpx.URL(base_url))
        key = (vendor, origin, id(limiter))
        if key not in self._admissions:
            self._admissions[key] = Admission(limiter, self._permits.origin(vendor, origin))
        return self._admissions[key]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._idle:
            await client.aclose()


class Client:
    """Reads one account of one vendor. Only GET exists, and only to the base URL's own origin.

    `headers` holds plain values and secrets; a secret is revealed when a request is built, and is redacted
    from everything that comes back. `rate_limits` is the registry that all accounts of the run share.

    Errors: `ValueError` for a base URL that `check_base_url` refuses.
    """

    def __init__(
        self,
        network: Network,
        *,
        vendor: str,
        account_id: str,
        base_url: str,
        headers: Mapping[str, str | Secret],
        rate_limit: RateLimit,
        rate_limits: RateLimits,
        patience: Patience | None = None,
        allow_http_loopback: bool = False,
    ) -> None:
        self.base_url = check_base_url(base_url, allow_http_loopback=allow_http_loopback)
        secrets = [value for value in headers.values() if isinstance(value, Secret)]
        match rate_limit.scope:
            case "key":
                scope_value = hashlib.sha256("\0".join(s.reveal() for s in secrets).encode()).hexdigest()
            case "account":
                scope_value = account_id
            case "address":
                scope_value = str(origin_of(httpx.URL(self.base_url)))
        limiter = rate_limits.limiter(vendor, rate_limit, scope_value)
        self._queued = QueueTime()
        self._caller = Caller(
            network=network,
            origin=origin_of(httpx.URL(self.base_url)),
            vendor=vendor,
            account_id=account_id,
            headers=dict(headers),
            secret_names=tuple(dict.fromkeys(secret.name for secret in secrets)),
            redactor=Redactor(secrets),
            rate_limit=rate_limit,
            admission=network.admission(vendor, self.base_url, limiter),
            queued=self._queued,
            patience=patience or Patience(),
        )

    @property
    def queued_seconds(self) -> float:
        """How long this client's requests have waited behind those of others, so far."""
        return self._queued.seconds

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> HttpResult:
        """GET `path`, which begins with a slash and is appended to the base URL, with `params` as its query.

        Nothing that the network or the vendor does raises; it becomes the Answer's outcome.

        Errors: `ValueError` for a path that is no plain path.
        """
        check_path(path)
        return await Get(self._caller, httpx.URL(self.base_url + path, params=params or None)).answer()

    async def follow(
        self, link: str, *, page_url: str | None = None, params: Mapping[str, str] | None = None
    ) -> HttpResult:
        """GET where a vendor's `next` link leads.

        A relative link is read from `page_url` (the Answer's `url` of the page that held it; default: the
        base URL). Those of `params` that the link does not set are added to it: many frameworks' links drop
        the query that they were asked with. A link to another scheme, host or port, or one that cannot be
        read for certain, sends nothing and gives `Outcome.foreign_origin`.
        """
        url = resolve_link(link, page_url=page_url or self.base_url, base_url=self.base_url)
        if url is not None:
            return await Get(self._caller, carry_params(url, params or {})).answer()
        caller = self._caller
        return HttpResult(
            url=caller.redactor.text(link),
            outcome=HttpOutcome.foreign_origin,
            reason=f"{caller.who}: a page's link leads away from {self.base_url} and was not followed, "
            "because the key would be sent there: check base_url",
        )
