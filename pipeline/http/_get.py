"""One GET with its limits, retries and deadline, and one sentence about the result."""

import asyncio
import io
import ssl
from collections.abc import Generator, Hashable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, wait_random_exponential

from pipeline.http._address import carry_params
from pipeline.http._answer import HttpOutcome, HttpResult, Refusal
from pipeline.http._body import BadEncoding, TooLarge, read_body
from pipeline.http._permits import GIVEN_UP_AFTER, Admission, QueueTime
from pipeline.http._waits import (
    Patience,
    asked_wait_seconds,
    parse_age_seconds,
    parse_date,
    requests_allowed,
    requests_left,
)
from pipeline.support.exact_json import NotJson, decode_json
from pipeline.support.json_paths import JsonPath
from pipeline.support.redacted_places import redact_places
from pipeline.support.secret import Redactor, Secret

REFUSED_LOCATION = "x-drawdown-refused-location"
"""Extension under which the network stores the Location header, so that no library can act on it."""

_TOO_LARGE_KEPT_BYTES = 64 * 1024
_CONTENT_TYPE_KEPT_CHARACTERS = 200
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
_OUTCOMES = {
    401: HttpOutcome.unauthorised,
    403: HttpOutcome.forbidden,
    404: HttpOutcome.not_found,
    408: HttpOutcome.timeout,
    422: HttpOutcome.unprocessable,
    429: HttpOutcome.rate_limited,
}
_UNANSWERED = frozenset({HttpOutcome.timeout, HttpOutcome.deadline, HttpOutcome.connection})
_REFUSALS = frozenset({HttpOutcome.unauthorised, HttpOutcome.forbidden})
_ADVICE = {
    HttpOutcome.unauthorised: "check the value of {variables}",
    HttpOutcome.forbidden: "check what the key in {variables} may read",
    HttpOutcome.not_found: "check {setting}, and whether the vendor has moved it",
    HttpOutcome.unprocessable: "see the landed answer, the vendor may have changed its API",
    HttpOutcome.client_error: "see the landed answer",
    HttpOutcome.rate_limited: "the next run tries again",
    HttpOutcome.server_error: "the next run tries again",
    HttpOutcome.redirect: "redirects are never followed, because the key would be sent along; check {setting}",
    HttpOutcome.timeout: "see whether the vendor is slow or down",
    HttpOutcome.deadline: "see whether the vendor is slow or down",
    HttpOutcome.connection: "check the network, and whether the vendor is up",
    HttpOutcome.tls: "check {setting}, this computer's clock and its certificate authorities",
    HttpOutcome.not_json: "see the landed answer, which may be a login or maintenance page",
    HttpOutcome.bad_encoding: "the next run tries again",
    HttpOutcome.too_large: "ask for shorter pages or windows",
}


class Lanes(Protocol):
    """Part of the network that a GET needs."""

    def lane(self, origin: Hashable) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """Borrow a client for one request to an origin."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Account on whose behalf requests are made: what all of its GETs have in common."""

    network: Lanes
    origin: Hashable
    vendor: str
    account_id: str
    headers: Mapping[str, str | Secret]
    query: Mapping[str, Secret]
    redacted: tuple[JsonPath, ...]
    secret_names: tuple[str, ...]
    redactor: Redactor
    admission: Admission
    queued: QueueTime
    patience: Patience
    reads_json: bool = True
    title: str = ""
    setting: str = "base_url"
    """Key of accounts.toml with the address, for advice."""
    refusals: tuple[Refusal, ...] = ()

    @property
    def who(self) -> str:
        """Beginning of each reason."""
        return self.title or f"{self.vendor} account {self.account_id}"


class _Credentials(httpx.Auth):
    """Add the caller's headers and query to a request as it is sent, so that no variable of ours holds a bare key."""

    def __init__(self, headers: Mapping[str, str | Secret], query: Mapping[str, Secret]) -> None:
        self._headers = headers
        self._query = query

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for name, value in self._headers.items():
            request.headers[name] = value.header_value() if isinstance(value, Secret) else value
        if self._query:
            request.url = carry_params(request.url, {name: value.reveal() for name, value in self._query.items()})
        yield request


@dataclass(slots=True)
class _Exchange:
    """One request and as much of its answer as has arrived when the deadline passes."""

    outcome: HttpOutcome = HttpOutcome.deadline
    detail: str = ""
    is_transient: bool = False
    asked_wait_seconds: float | None = None
    refusal: Refusal | None = None
    """The one that the vendor documents, if it is one."""
    status_code: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes = b""
    is_redacted: bool = False
    payload: object = None


class Get:
    """One logical GET, for single use."""

    def __init__(self, caller: Caller, url: httpx.URL) -> None:
        loop = asyncio.get_running_loop()
        self._caller = caller
        self._url = url
        self._clock = loop.time
        # Each wait for a permit postpones both, so that they only measure the vendor's time.
        self._started = loop.time()
        self._deadline = self._started + caller.patience.deadline_seconds
        self._timeout = asyncio.timeout(None)
        self._backoff = wait_random_exponential(
            multiplier=caller.patience.backoff_seconds, max=caller.patience.backoff_cap_seconds
        )
        self._sent_count = 0
        self._last = _Exchange()
        self._refused_wait_seconds = 0.0

    async def answer(self) -> HttpResult:
        """Send the GET, retry as long as that can help, and return the result."""
        retrying = AsyncRetrying(
            retry=retry_if_result(lambda exchange: exchange.is_transient),
            wait=self._wait_seconds,
            stop=self._is_enough,
            retry_error_callback=lambda _: None,
        )
        try:
            async with self._timeout:
                await retrying(self._exchange)
        except TimeoutError:
            # A refusal remains a refusal even if its body never ends.
            if not self._judge_status(self._last) or self._last.is_transient:
                self._last.outcome = HttpOutcome.deadline
                self._last.detail = f"did not end within {self._caller.patience.deadline_seconds:g} s"
        if self._sent_count:
            self._caller.admission.permits.note(is_answered=self._last.outcome not in _UNANSWERED)
        return self._conclude()

    async def _exchange(self) -> _Exchange:
        wait_seconds = await self._enter()
        if wait_seconds:
            self._last.outcome, self._last.is_transient = HttpOutcome.rate_limited, False
            self._last.detail = (
                f"would have to wait {wait_seconds:.0f} s for our own limit of {self._caller.admission.limit}, "
                "which is longer than a run waits for it"
            )
            return self._last
        permits = self._caller.admission.permits
        try:
            if permits.is_given_up:
                self._last.is_transient = False
                if not self._sent_count:
                    self._last.outcome = HttpOutcome.connection
                    self._last.detail = f"was not sent, because the last {GIVEN_UP_AFTER} to this host had no answer"
                return self._last
            return await self._send()
        finally:
            permits.release()

    async def _enter(self) -> float:
        """Wait for this request's turn with its clock stopped."""
        began = self._clock()
        self._timeout.reschedule(None)
        wait_seconds = await self._caller.admission.enter(
            self._caller.queued, longest_wait_seconds=self._caller.patience.limit_wait_seconds
        )
        waited_seconds = self._clock() - began
        self._started += waited_seconds
        self._deadline += waited_seconds
        self._timeout.reschedule(self._deadline)
        return wait_seconds

    async def _send(self) -> _Exchange:
        caller, patience = self._caller, self._caller.patience
        exchange = self._last = _Exchange()
        received = io.BytesIO()
        timeout = httpx.Timeout(patience.read_timeout_seconds, connect=patience.connect_timeout_seconds, pool=None)
        auth = _Credentials(caller.headers, caller.query)
        self._sent_count += 1
        try:
            async with (
                caller.network.lane(caller.origin) as http,
                http.stream("GET", self._url, auth=auth, timeout=timeout) as response,
            ):
                exchange.status_code, exchange.headers = response.status_code, response.headers
                caller.admission.heed(requests_allowed(response.headers))
                await read_body(response, received, cap_bytes=patience.body_cap_bytes)
        except TooLarge:
            exchange.outcome = HttpOutcome.too_large
            exchange.detail = f"was answered with more than {patience.body_cap_bytes} bytes"
            received.truncate(_TOO_LARGE_KEPT_BYTES)
        except BadEncoding as error:
            exchange.outcome, exchange.is_transient = HttpOutcome.bad_encoding, error.is_transient
            exchange.detail = f"cannot be read, because {error}"
        except Exception as error:
            # A hostile server can make libraries raise more than they document, and one vendor must not end the run for
            # the others.
            _note_failure(exchange, error)
        else:
            exchange.outcome = HttpOutcome.ok
        finally:
            self._keep(exchange, received.getvalue())
        if not self._judge_status(exchange) and exchange.outcome is HttpOutcome.ok and caller.reads_json:
            self._decode(exchange)
        return exchange

    def _keep(self, exchange: _Exchange, body: bytes) -> None:
        """Keep a body without secrets, and without the places to redact, which may be all of it."""
        caller, status_code = self._caller, exchange.status_code
        known, had_secrets = caller.redactor.body(body)
        if status_code is not None:
            exchange.refusal = next((each for each in caller.refusals if each.matches(status_code, known)), None)
        exchange.body, had_places = redact_places(known, caller.redacted)
        exchange.is_redacted = had_secrets or had_places

    def _judge_status(self, exchange: _Exchange) -> bool:
        """Judge by the status alone, whether the body was complete or not; returns False if the body decides."""
        status_code = exchange.status_code
        if status_code is None or 200 <= status_code < 300:
            return False
        if 300 <= status_code < 400:
            exchange.outcome = HttpOutcome.redirect
        elif status_code >= 500:
            exchange.outcome = HttpOutcome.server_error
        else:
            exchange.outcome = _OUTCOMES.get(status_code, HttpOutcome.client_error)
        if exchange.refusal is not None:
            exchange.outcome = exchange.refusal.outcome or exchange.outcome
        exchange.detail = ""
        exchange.is_transient = status_code in _TRANSIENT_STATUSES
        if exchange.is_transient:
            exchange.asked_wait_seconds = asked_wait_seconds(status_code, exchange.headers, local_now=datetime.now(UTC))
        return True

    def _decode(self, exchange: _Exchange) -> None:
        if exchange.body.count(b",") > self._caller.patience.value_cap:
            exchange.outcome = HttpOutcome.too_large
            exchange.detail = f"was answered with more than {self._caller.patience.value_cap} values"
            exchange.body = exchange.body[:_TOO_LARGE_KEPT_BYTES]
            return
        try:
            exchange.payload = decode_json(exchange.body)
        except NotJson as error:
            exchange.outcome, exchange.is_transient = HttpOutcome.not_json, True
            exchange.detail = f"was answered {exchange.status_code}, but {error}"

    def _wait_seconds(self, state: RetryCallState) -> float:
        return self._last.asked_wait_seconds or self._backoff(state)

    def _is_enough(self, state: RetryCallState) -> bool:
        if state.attempt_number >= self._caller.patience.attempts:
            return True
        # A shorter sleep than requested would only be refused again; one beyond the deadline is pointless.
        if self._clock() + state.upcoming_sleep > self._deadline:
            self._refused_wait_seconds = state.upcoming_sleep
            return True
        return False

    def _conclude(self) -> HttpResult:
        last, redacted = self._last, self._caller.redactor.text
        where = self._url.netloc.decode("ascii") + self._url.path
        content_type = last.headers.get("content-type")
        return HttpResult(
            url=redacted(str(self._url)),
            outcome=last.outcome,
            reason=redacted(f"{self._caller.who}: GET {where} {self._story()}"),
            status_code=last.status_code,
            content_type=content_type and redacted(content_type)[:_CONTENT_TYPE_KEPT_CHARACTERS],
            body=last.body,
            is_redacted=last.is_redacted,
            payload=last.payload,
            attempt_count=self._sent_count,
            elapsed_seconds=self._clock() - self._started,
            rate_limit_remaining=requests_left(last.headers),
            date=parse_date(last.headers.get("date")),
            age_seconds=parse_age_seconds(last.headers.get("age")),
        )

    def _story(self) -> str:
        last = self._last
        story = last.detail or f"was answered {last.status_code}"
        if last.outcome is HttpOutcome.redirect:
            story += self._redirect_target()
        story += f" ({self._sent_count} request{'' if self._sent_count == 1 else 's'} sent)"
        if self._refused_wait_seconds:
            left_seconds = max(0.0, self._deadline - self._clock())
            story += (
                f", and the next attempt would have to wait {self._refused_wait_seconds:.0f} s, longer than "
                f"the {left_seconds:.0f} s left of its deadline"
            )
        variables = " and ".join(self._caller.secret_names) or "its settings"
        advice = _ADVICE.get(last.outcome)
        if last.outcome in _REFUSALS and not self._caller.secret_names:
            advice = _ADVICE[HttpOutcome.client_error]
        if last.refusal is not None:
            advice = last.refusal.remedy
        if advice is None:
            return story
        return f"{story}: {advice.format(variables=variables, setting=self._caller.setting)}"

    def _redirect_target(self) -> str:
        location = self._last.headers.get(REFUSED_LOCATION, "")
        # A host name is lower-cased on the way, so a key in it would no longer be recognised below.
        if self._caller.redactor.text(location) != location:
            return ""
        try:
            return f", redirecting to {self._url.join(location).raw_host.decode('ascii')}"
        except (httpx.InvalidURL, ValueError):
            return ""


def _note_failure(exchange: _Exchange, error: Exception) -> None:
    causes = list(_causes(error))
    exchange.is_transient = True
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            exchange.outcome, exchange.is_transient = HttpOutcome.tls, False
            exchange.detail = (
                f"was not sent, because the server's certificate cannot be trusted ({cause.verify_message})"
            )
            return
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        exchange.outcome = HttpOutcome.tls
    elif isinstance(error, httpx.TimeoutException):
        exchange.outcome = HttpOutcome.timeout
    else:
        exchange.outcome = HttpOutcome.connection
    # Only the class: an exception's text may quote what was sent.
    exchange.detail = f"failed with {type(error).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
