"""Waiting and retrying: as long as requested, never pointlessly, never for ever."""

import asyncio
import contextlib
import dataclasses
import email.utils
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http import HttpOutcome, HttpResult, Network
from pipeline.http._waits import asked_wait_seconds, parse_date, requests_left
from tests.http.conftest import ACCOUNT_ID, QUICK, Lab
from tests.http.fault_server import FaultServer, Wire, drip, reply

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RESETS = ("ratelimit-reset", "x-ratelimit-reset-after", "x-ratelimit-reset", "x-rate-limit-reset")
FINE = reply(200, b'{"balance": 12.50}')


@pytest.mark.faults(1)
def test_a_429_is_retried_once_after_the_requested_wait(lab: Lab) -> None:
    with FaultServer(reply(429, headers={"Retry-After": "3"}), FINE) as server:
        answer = lab.get(server)
    first, second = server.requests
    assert second.received_seconds - first.received_seconds >= 3
    assert (answer.outcome, answer.attempt_count) == (HttpOutcome.ok, 2)
    assert answer.payload == {"balance": "12.50"}


@pytest.mark.faults(2)
@pytest.mark.parametrize(("status", "outcome"), [(429, HttpOutcome.rate_limited), (503, HttpOutcome.server_error)])
def test_a_wait_beyond_the_deadline_fails_at_once_and_the_others_finish(
    lab: Lab, status: int, outcome: HttpOutcome
) -> None:
    slow = reply(status, b'{"message": "later"}', {"Retry-After": "3600"})
    with FaultServer(slow) as refusing, FaultServer(FINE) as one, FaultServer(FINE) as two:
        refused, *others = lab.get_all(refusing, one, two)
    assert refused.outcome is outcome
    assert refused.elapsed_seconds < 1  # the deadline is 8 s
    assert len(refusing.requests) == 1
    assert "3600 s" in refused.reason
    assert ACCOUNT_ID in refused.reason
    assert refused.body == b'{"message": "later"}'
    assert [answer.outcome for answer in others] == [HttpOutcome.ok, HttpOutcome.ok]


def _in_two_seconds(wire: Wire) -> bool | None:
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    return reply(429, headers={"Retry-After": date})(wire)


@pytest.mark.faults(3)
def test_a_retry_after_of_any_shape_is_obeyed_or_backed_off_from(lab: Lab) -> None:
    asked = {
        "1.5": 1.5,
        "-1": 0.0,
        "soon": 0.0,
        "": 0.0,
        "nan": 0.0,
        "0": 0.0,
        "²": 0.0,
        "Wed, 99 Foo 2026 99:99:99 GMT": 0.0,
        "Wed, 21 Oct 2015 07:28:00 GMT": 0.0,
    }
    servers = [FaultServer(reply(429, headers={"Retry-After": text}), FINE) for text in asked]
    servers.append(FaultServer(_in_two_seconds, FINE))
    for server in servers:
        server.__enter__()
    try:
        answers = lab.get_all(*servers, patience=dataclasses.replace(QUICK, read_timeout_seconds=5))
    finally:
        for server in servers:
            server.__exit__(None, None, None)
    assert {answer.outcome for answer in answers} == {HttpOutcome.ok}
    for server, least_seconds in zip(servers, [*asked.values(), 1.0], strict=True):
        first, second = server.requests
        assert second.received_seconds - first.received_seconds >= least_seconds


@pytest.mark.faults(3)
def test_a_rate_limit_reset_is_waited_for_where_no_retry_after_is_given(lab: Lab) -> None:
    def play(wire: Wire) -> bool | None:
        return reply(429, headers={"X-RateLimit-Reset": str(int(time.time()) + 2)})(wire)

    with FaultServer(play, FINE) as server:
        answer = lab.get(server)
    first, second = server.requests
    assert second.received_seconds - first.received_seconds >= 1
    assert answer.outcome is HttpOutcome.ok


@given(st.text())
def test_no_text_makes_the_wait_negative_or_the_parser_fail(text: str) -> None:
    for name in ("retry-after", *RESETS, "ratelimit", "ratelimit-policy", "ratelimit-remaining", "date"):
        for status in (429, 503):
            wait = asked_wait_seconds(status, {name: text}, local_now=NOW)
            assert wait is None or wait > 0


_FIELDS = st.dictionaries(
    st.sampled_from(["retry-after", *RESETS, "ratelimit", "ratelimit-remaining", "ratelimit-policy", "date"]),
    st.text('0123456789.,;="rt remainingreset-TZ:', max_size=24) | st.integers(0, 10**22).map(str),
)


@pytest.mark.faults(3)
@given(_FIELDS, st.sampled_from([429, 503]))
def test_no_rate_limit_field_waits_for_more_than_a_month(headers: dict[str, str], status: int) -> None:
    wait = asked_wait_seconds(status, {**headers, "retry-after": "?"}, local_now=NOW)
    assert wait is None or 0 < wait <= 31 * 86400
    left = requests_left(headers)
    assert left is None or left >= 0


@pytest.mark.faults(3)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("name", RESETS)
@given(
    server_now=st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2200, 1, 1)),
    seconds=st.integers(1, 31 * 86400),
)
def test_a_reset_is_the_same_wait_in_every_unit(name: str, status: int, server_now: datetime, seconds: int) -> None:
    epoch = int(server_now.replace(tzinfo=UTC).timestamp())
    then = datetime.fromtimestamp(epoch + seconds, UTC)
    spellings = [
        str(seconds),
        str(epoch + seconds),
        f"{epoch + seconds}.0",
        str((epoch + seconds) * 1000),
        str((epoch + seconds) * 10**6),
        email.utils.format_datetime(then, usegmt=True),
        then.isoformat(),
    ]
    for text in spellings:
        headers = {"date": email.utils.formatdate(epoch, usegmt=True), name: text}
        assert asked_wait_seconds(status, headers, local_now=NOW) == pytest.approx(seconds, abs=0.01), text


@pytest.mark.faults(3)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"ratelimit-limit": "30", "ratelimit-remaining": "0", "ratelimit-reset": "6"}, 6),
        ({"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "0", "ratelimit-reset": "6"}, 6),
        ({"ratelimit": "limit=100, remaining=0, reset=6"}, 6),
        ({"ratelimit": "limit=100,remaining=0,reset=6", "ratelimit-policy": "100;w=3600"}, 6),
        ({"ratelimit": 'limit=100, remaining=0, reset="soon"'}, None),
        ({"ratelimit": '"default";r=0;t=6'}, 6),
        ({"ratelimit": '"100-in-1min"; r=0; t=6; pk=:c2VjcmV0:', "ratelimit-policy": '"100-in-1min";q=100;w=60'}, 6),
        ({"ratelimit": 'default;r=0;t=6'}, 6),
        ({"ratelimit": '"a, r=9;t=99";r=0;t=6'}, 6),
        ({"ratelimit": '"burst";r=0;t=6, "daily";r=900;t=40000'}, 6),
        ({"ratelimit": '"burst";r=0;t=6, "daily";r=0;t=400'}, 400),
        ({"ratelimit": '"default";r=0', "x-ratelimit-reset": "7"}, 7),
        ({"ratelimit-policy": '"default";q=100;w=60'}, None),
        ({"ratelimit-policy": "100;w=60", "x-ratelimit-limit": "100"}, None),
        ({"x-ratelimit-reset-after": "1.25", "x-ratelimit-reset": str(NOW.timestamp() + 1.25)}, 1.25),
        ({"x-ratelimit-remaining": "0, 90", "x-ratelimit-reset": "6, 3600"}, 6),
        ({"x-ratelimit-remaining": "0, 0", "x-ratelimit-reset": "6, 3600"}, 3600),
        ({"x-ratelimit-reset": "6, 3600"}, 6),
        # Absurd, or past: back off instead.
        ({"x-ratelimit-reset": "0"}, None),
        ({"x-ratelimit-reset": "-6"}, None),
        ({"x-ratelimit-reset": "1e9"}, None),
        ({"x-ratelimit-reset": "9" * 400}, None),
        ({"x-ratelimit-reset": "99999999999999999999"}, None),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) - 5)}, None),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) * 1000 - 5000)}, None),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 400 * 86400)}, None),
        ({"x-ratelimit-reset": str(1_000_000_000)}, None),
        ({"x-ratelimit-reset": "never"}, None),
        ({"x-ratelimit-reset": "2026-11-20T12:00:06Z"}, 6),
        ({"x-ratelimit-reset": "2026-11-20T14:00:06+02:00"}, 6),
        ({"x-ratelimit-reset": "0001-01-01T00:00:00+14:00"}, None),
    ],
)  # fmt: skip
def test_the_fields_of_rate_limits_are_read_as_they_are_written(
    headers: dict[str, str], seconds: float | None, status: int
) -> None:
    assert asked_wait_seconds(status, headers, local_now=NOW) == (seconds and pytest.approx(seconds))


@pytest.mark.faults(3)
@pytest.mark.parametrize(
    ("headers", "count"),
    [
        ({"x-ratelimit-remaining": "41"}, 41),
        ({"ratelimit-remaining": "0"}, 0),
        ({"ratelimit": '"burst";r=5;t=6, "daily";r=2;t=9'}, 2),
        ({"ratelimit": "limit=10, remaining=7, reset=6"}, 7),
        ({"x-ratelimit-remaining": "lots"}, None),
        ({}, None),
    ],
)
def test_requests_left_are_the_fewest_of_the_limits(headers: dict[str, str], count: int | None) -> None:
    assert requests_left(headers) == count


@pytest.mark.faults(3)
@pytest.mark.parametrize("status", [429, 503])
def test_a_reset_in_any_unit_is_waited_for(lab: Lab, status: int) -> None:
    written = [
        lambda: {"X-RateLimit-Reset": "2"},
        lambda: {"X-RateLimit-Reset": str(int((time.time() + 2) * 1000))},
        lambda: {"RateLimit-Limit": "30", "RateLimit-Remaining": "0", "RateLimit-Reset": "2"},
        lambda: {"RateLimit": '"default";r=0;t=2', "RateLimit-Policy": '"default";q=30;w=3600'},
    ]
    scripts = [lambda wire, made=made: reply(status, headers=made())(wire) for made in written]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(FaultServer(script, FINE)) for script in scripts]
        answers = lab.get_all(*servers, patience=dataclasses.replace(QUICK, read_timeout_seconds=5))
    for server, answer in zip(servers, answers, strict=True):
        first, second = server.requests
        assert (answer.outcome, answer.attempt_count) == (HttpOutcome.ok, 2)
        assert second.received_seconds - first.received_seconds >= 1


@pytest.mark.faults(3)
def test_a_reset_that_is_years_away_is_backed_off_from(lab: Lab) -> None:
    with FaultServer(reply(429, headers={"X-RateLimit-Reset": "99999999999"}), FINE) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.attempt_count) == (HttpOutcome.ok, 2)


@given(st.integers(min_value=1, max_value=10**30))
def test_a_wait_in_seconds_is_never_shortened(seconds: int) -> None:
    assert asked_wait_seconds(503, {"retry-after": str(seconds)}, local_now=NOW) == float(seconds)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(1, 10**6))
def test_a_date_to_wait_for_is_measured_by_the_servers_own_clock(server_now: datetime, seconds: int) -> None:
    epoch = int(server_now.replace(tzinfo=UTC).timestamp())
    date = email.utils.formatdate(epoch, usegmt=True)
    until = email.utils.formatdate(epoch + seconds, usegmt=True)
    assert asked_wait_seconds(429, {"date": date, "retry-after": until}, local_now=NOW) == seconds
    assert asked_wait_seconds(429, {"date": date, "x-ratelimit-reset": str(epoch + seconds)}, local_now=NOW) == seconds


def test_a_reset_counts_after_retry_after_and_not_where_requests_are_left() -> None:
    reset = str(int(NOW.timestamp()) + 60)
    assert asked_wait_seconds(429, {"x-ratelimit-reset": reset, "retry-after": "5"}, local_now=NOW) == 5
    assert asked_wait_seconds(429, {"x-ratelimit-reset": reset, "retry-after": "?"}, local_now=NOW) == 60
    # A server that is down still counts, and its hour is unrelated to being down.
    counted = {"x-ratelimit-reset": reset, "x-ratelimit-remaining": "41"}
    assert asked_wait_seconds(503, counted, local_now=NOW) is None
    assert asked_wait_seconds(503, {"ratelimit": '"hour";r=41;t=3600'}, local_now=NOW) is None
    assert asked_wait_seconds(503, {**counted, "x-ratelimit-remaining": "0"}, local_now=NOW) == 60
    assert asked_wait_seconds(503, {"x-ratelimit-reset": reset}, local_now=NOW) == 60
    assert asked_wait_seconds(500, {"x-ratelimit-reset": reset}, local_now=NOW) is None


def test_a_date_is_read_as_utc_or_not_at_all() -> None:
    assert parse_date("Fri, 20 Nov 2026 14:00:00 +0200") == NOW
    assert parse_date("Fri, 20 Nov 2026 12:00:00 -0000") == NOW
    assert parse_date("yesterday") is None
    assert parse_date(None) is None


@pytest.mark.faults(4)
def test_a_burst_of_server_errors_is_ridden_out(lab: Lab) -> None:
    with (
        FaultServer(reply(500), reply(502), reply(503), FINE) as one,
        FaultServer(reply(504), reply(408), FINE) as two,
    ):
        answers = lab.get_all(one, two)
    assert [(answer.outcome, answer.attempt_count) for answer in answers] == [
        (HttpOutcome.ok, 4),
        (HttpOutcome.ok, 3),
    ]


@pytest.mark.faults(4)
def test_retries_are_jittered_so_that_accounts_do_not_return_in_step(lab: Lab) -> None:
    patience = dataclasses.replace(QUICK, backoff_seconds=0.4, backoff_cap_seconds=0.4)
    with FaultServer(*[reply(503)] * 8, FINE) as server:
        lab.get_all(*[server] * 8, patience=patience)
    gaps = [request.received_seconds for request in server.requests[8:]]
    assert max(gaps) - min(gaps) > 0.02


@pytest.mark.faults(5)
def test_a_permanent_503_ends_after_a_bounded_number_of_attempts(lab: Lab) -> None:
    with FaultServer(reply(503, b"<h1>down</h1>", {"Content-Type": "text/html"})) as server:
        answer = lab.get(server)
    assert len(server.requests) == answer.attempt_count == QUICK.attempts
    assert (answer.outcome, answer.status_code) == (HttpOutcome.server_error, 503)
    assert (answer.body, answer.content_type, answer.payload) == (b"<h1>down</h1>", "text/html", None)


@pytest.mark.faults(9)
def test_nothing_that_drips_outlives_the_deadline_by_a_second(lab: Lab) -> None:
    patience = dataclasses.replace(QUICK, deadline_seconds=1.5)
    endless = b"HTTP/1.1 %d Words\r\nContent-Length: 1000000\r\n\r\n"
    late = []
    # A busy machine may delay some of them, but not all.
    while len(late) < 3 and not any(-1 <= each <= 1 for each in late):
        with (
            FaultServer(drip(endless % 200 + b'{"balance":')) as body,
            FaultServer(drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x")) as headers,
            FaultServer(drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")) as chunks,
            FaultServer(drip(endless % 503)) as errors,
            FaultServer(drip(endless % 401)) as refusal,
            FaultServer(FINE) as fine,
        ):
            began = time.monotonic()
            answers = lab.get_all(body, headers, chunks, errors, refusal, fine, patience=patience)
            late.append(time.monotonic() - began - patience.deadline_seconds)
        *dripped, refused, good = answers
        assert {answer.outcome for answer in dripped} == {HttpOutcome.deadline}
        assert dripped[0].body.startswith(b'{"balance":')
        assert "1.5 s" in dripped[0].reason
        assert refused.outcome is HttpOutcome.unauthorised
        assert good.outcome is HttpOutcome.ok
    print(f"left {late[-1]:+.2f} s after the deadline")
    assert -1 <= late[-1] <= 1


@pytest.mark.faults(9)
def test_a_cancelled_get_is_cancelled_and_does_not_become_an_answer(lab: Lab) -> None:
    async def work(server: FaultServer) -> HttpResult:
        async with Network() as network, asyncio.timeout(0.3):
            return await lab.client(network, server.url).get("/balance")

    with FaultServer(drip(b"")) as server, pytest.raises(TimeoutError):
        lab.run(work(server))
