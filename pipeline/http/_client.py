"""The network of a run, and the HTTP client of one account."""

import logging
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

import pipeline
from pipeline.http._address import (
    carry_params,
    check_base_url,
    check_path,
    origin_of,
    resolve_link,
    without_params,
)
from pipeline.http._answer import HttpOutcome, HttpResult, Refusal
from pipeline.http._get import REFUSED_LOCATION, Caller, Get
from pipeline.http._limits import Limiter, RateLimit, RateLimits, scope_value
from pipeline.http._permits import Admission, Permits, QueueTime
from pipeline.http._waits import Patience
from pipeline.support.json_paths import JsonPath
from pipeline.support.secret import Redactor, Secret

# These loggers print what servers send (header lists, reason phrases) unchanged, and a vendor may echo a key there. An
# Answer has more detail anyway.
_TALKATIVE_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


# Connections kept open for the next request to their origin: open files, in addition to those of the permits.
_MOST_IDLE = 128


def _drop(_: logging.LogRecord) -> bool:
    return False


async def _hide_location(response: httpx.Response) -> None:
    """Remove the Location header before httpx sees it: it would build the next request, and fail on a bad address."""
    if "location" in response.headers:
        response.headers[REFUSED_LOCATION] = response.headers.pop("location")


class Network:
    """Connections of one run, for all its accounts; an async context manager.

    `verify` replaces the trusted certificates, for a private authority; it cannot disable verification. A proxy is
    taken from the environment for https to other computers, and for nothing else: http is only used on loopback.

    Errors: `ValueError` if `verify` does not check certificates and host names.
    """

    def __init__(self, *, verify: ssl.SSLContext | None = None) -> None:
        if verify and not (verify.check_hostname and verify.verify_mode == ssl.CERT_REQUIRED):
            raise ValueError("an SSL context must check certificates and host names")
        for name in _TALKATIVE_LOGGERS:
            logging.getLogger(name).addFilter(_drop)
        # Created once: loading the certificate authorities takes longer than many requests.
        self._verify = verify or httpx.create_ssl_context()
        self._permits = Permits()
        self._admissions: dict[tuple[object, ...], Admission] = {}
        self._idle: OrderedDict[httpx.AsyncClient, Hashable] = OrderedDict()
        self._idle_at: dict[Hashable, list[httpx.AsyncClient]] = {}
        self._is_closed = False

    @asynccontextmanager
    async def lane(self, origin: Hashable) -> AsyncIterator[httpx.AsyncClient]:
        """Borrow a client for one request, with its connection, which the next request to the origin may reuse.

        Each request has its own client: a shared pool scans all of its connections several times for each request,
        which dominates the run time at 128 connections.
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
            if self._is_closed:
                await client.aclose()
            else:
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
            # Permits limit the number of requests; waiting here as well would count against the vendor's time.
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
        """Reserve permits for a vendor and its origin from the start, before others take too many."""
        self._permits.origin(vendor, origin_of(httpx.URL(base_url)))

    def admission(self, vendor: str, base_url: str, limiter: Limiter) -> Admission:
        """Queue for requests to an origin under a rate limit; the same object for the same three arguments."""
        origin = origin_of(httpx.URL(base_url))
        key = (vendor, origin, id(limiter))
        if key not in self._admissions:
            self._admissions[key] = Admission(limiter, self._permits.origin(vendor, origin))
        return self._admissions[key]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # After an interrupt, requests may still be ending, and return their clients meanwhile.
        self._is_closed = True
        while self._idle:
            await self._idle.popitem()[0].aclose()


class Client:
    """HTTP client of one account at one vendor. Sends GET only, and only to the base URL's own origin.

    `headers` holds plain values and secrets; a secret is revealed when a request is built, and redacted from everything
    that comes back. `query` is added to each request's address as it is sent, and to nothing else. `more_secrets` are
    redacted as well, such as the password within a header. `redacted` are the places of a JSON body that are replaced
    before anybody sees it. `rate_limits` is shared by all accounts of the run. Without `reads_json` any body of a 2xx
    is ok, and is not decoded. `title` replaces vendor and account at the beginning of each reason, and `setting` is the
    key of accounts.toml that the reason names for a wrong address. `refusals` are those that the vendor documents.

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
        query: Mapping[str, Secret] | None = None,
        more_secrets: Iterable[Secret] = (),
        redacted: Sequence[JsonPath] = (),
        rate_limit: RateLimit,
        rate_limits: RateLimits,
        patience: Patience | None = None,
        allow_http_loopback: bool = False,
        reads_json: bool = True,
        title: str = "",
        setting: str = "base_url",
        refusals: tuple[Refusal, ...] = (),
    ) -> None:
        self.base_url = check_base_url(base_url, allow_http_loopback=allow_http_loopback)
        secrets = [value for value in headers.values() if isinstance(value, Secret)]
        secrets += [*(query or {}).values(), *more_secrets]
        origin = origin_of(httpx.URL(self.base_url))
        scope = scope_value(rate_limit, secrets, account_id, str(origin))
        limiter = rate_limits.limiter(vendor, rate_limit, scope)
        self._queued = QueueTime()
        self._caller = Caller(
            network=network,
            origin=origin,
            vendor=vendor,
            account_id=account_id,
            headers=dict(headers),
            query=dict(query or {}),
            redacted=tuple(redacted),
            secret_names=tuple(dict.fromkeys(secret.name for secret in secrets)),
            redactor=Redactor(secrets),
            admission=network.admission(vendor, self.base_url, limiter),
            queued=self._queued,
            patience=patience or Patience(),
            reads_json=reads_json,
            title=title,
            setting=setting,
            refusals=refusals,
        )

    @property
    def queued_seconds(self) -> float:
        """Seconds that this client's requests have waited behind other accounts' requests so far."""
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
        """GET the target of a vendor's `next` link.

        A relative link is resolved against `page_url` (the Answer's `url` of its page; default: the base URL).
        Parameters in `params` that the link does not set are added to it, because many frameworks' links drop the
        original query. A link to another scheme, host or port, or one that is ambiguous, sends nothing and gives
        `Outcome.foreign_origin`.
        """
        caller = self._caller
        url = resolve_link(link, page_url=page_url or self.base_url, base_url=self.base_url)
        if url is not None:
            # A link may repeat the key of the request that it follows.
            url = without_params(url, caller.query)
            return await Get(caller, carry_params(url, params or {})).answer()
        return HttpResult(
            url=caller.redactor.text(link),
            outcome=HttpOutcome.foreign_origin,
            reason=f"{caller.who}: a page's link leads away from {self.base_url} and was not followed, "
            "because the key would be sent there: check base_url",
        )
