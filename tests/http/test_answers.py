"""Results of each status, break and body."""

import asyncio
import dataclasses
import re
import time

import pytest

from pipeline.http import HttpOutcome, HttpResult, Network
from tests.http.conftest import ACCOUNT_ID, CANARY, QUICK, VARIABLE, Lab
from tests.http.fault_server import FaultServer, Script, Wire, cut, hang, raw, reply
from tests.http.replies import FINE

CLOSE = {"Connection": "close"}


def test_a_good_answer_is_kept_byte_by_byte_and_decoded_exactly(lab: Lab) -> None:
    body = b'{ "balance": 1.480000000000000000001e-11, "n": 12345678901234567890123, "s": "13.50" }\n'
    headers = {
        "Content-Type": "application/json",
        "X-RateLimit-Remaining": "41",
        "Date": "Fri, 20 Nov 2026 12:00:00 GMT",
    }
    with FaultServer(reply(200, body, headers)) as server:
        answer = lab.get(server, "/billing/user-credit/credit")
    (request,) = server.requests
    assert request.target == "/billing/user-credit/credit"
    assert request.raw.startswith(b"GET ")
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert sent["authorization"] == f"Bearer {CANARY}"
    assert sent["api_key"] == CANARY
    assert sent["accept"] == "application/json"
    assert sent["accept-encoding"] == "gzip"
    assert re.fullmatch(r"drawdown/\d+\.\d+\.\d+", sent["user-agent"])
    assert (answer.outcome, answer.status_code, answer.body) == (HttpOutcome.ok, 200, body)
    assert answer.payload == {
        "balance": "1.480000000000000000001e-11",
        "n": 12345678901234567890123,
        "s": "13.50",
    }
    assert answer.content_type == "application/json"
    assert answer.rate_limit_remaining == 41
    assert answer.date is not None
    assert answer.date.isoformat() == "2026-11-20T12:00:00+00:00"
    assert not answer.is_redacted


def test_a_query_is_encoded_and_shown(lab: Lab) -> None:
    async def work(server: FaultServer) -> HttpResult:
        async with Network() as network:
            client = lab.client(network, server.url + "/v1/")
            return await client.get("/orders", {"filter[status]": "paid", "page": "2", "odd": "a&b= c"})

    with FaultServer(FINE) as server:
        answer = lab.run(work(server))
    query = "filter%5Bstatus%5D=paid&page=2&odd=a%26b%3D+c"
    assert server.requests[0].target == f"/v1/orders?{query}"
    assert answer.url == f"{server.url}/v1/orders?{query}"


@pytest.mark.faults(6)
@pytest.mark.parametrize(("status", "outcome"), [(401, HttpOutcome.unauthorised), (403, HttpOutcome.forbidden)])
@pytest.mark.parametrize("how", ["whole", "echo", "cut", "compressed"])
def test_a_refused_key_is_sent_once_and_the_account_and_variable_are_named(
    lab: Lab, status: int, outcome: HttpOutcome, how: str
) -> None:
    scripts: dict[str, Script] = {
        "whole": reply(status, b'{"message": "no"}'),
        "echo": reply(status, echo=True),
        "cut": cut(b"HTTP/1.1 %d No\r\nContent-Length: 100\r\n\r\n{" % status),
        "compressed": reply(status, b"\x8b\x02\x80no", {"Content-Encoding": "br"}),
    }
    with FaultServer(scripts[how]) as server:
        answer = lab.get(server)
    assert len(server.requests) == answer.attempt_count == 1
    assert (answer.outcome, answer.status_code, answer.payload) == (outcome, status, None)
    assert ACCOUNT_ID in answer.reason
    assert VARIABLE in answer.reason
    assert answer.is_redacted == (how == "echo")


@pytest.mark.faults(7)
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (404, HttpOutcome.not_found),
        (422, HttpOutcome.unprocessable),
        (400, HttpOutcome.client_error),
        (418, HttpOutcome.client_error),
    ],
)
def test_a_client_error_is_not_retried_and_its_body_is_kept(lab: Lab, status: int, outcome: HttpOutcome) -> None:
    with FaultServer(reply(status, b'{"message": "no such thing"}')) as server:
        answer = lab.get(server)
    assert len(server.requests) == 1
    assert (answer.outcome, answer.status_code) == (outcome, status)
    assert answer.body == b'{"message": "no such thing"}'
    assert f"{server.port}/balance" in answer.reason


@pytest.mark.faults(8)
def test_a_hang_before_the_headers_times_out_and_is_retried(lab: Lab) -> None:
    with FaultServer(hang(), FINE) as recovering, FaultServer(hang()) as hanging:
        recovered, hung = lab.get_all(recovering, hanging)
    assert (recovered.outcome, recovered.attempt_count) == (HttpOutcome.ok, 2)
    assert (hung.outcome, hung.attempt_count, hung.status_code) == (HttpOutcome.timeout, QUICK.attempts, None)


@pytest.mark.faults(10)
@pytest.mark.parametrize(
    "broken",
    [
        cut(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"balance": 1'),
        raw(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"balance": 1}'),
        cut(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"bal'),
        raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n{"balance": 1}\r\n'),
        raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{"balance": 1}\r\n0\r\n\r\n'),
        cut(b"HTTP/1.1 200 OK\r\nContent-Le"),
        raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        raw(b""),
    ],
)
def test_an_answer_that_breaks_off_is_retried(lab: Lab, broken: Script) -> None:
    with FaultServer(broken, FINE) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.attempt_count) == (HttpOutcome.ok, 2)
    assert answer.payload == {"balance": "12.50"}


@pytest.mark.faults(10)
def test_a_body_shorter_than_its_length_never_counts_as_whole(lab: Lab) -> None:
    whole_by_chance = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"balance": 1}'
    with FaultServer(raw(whole_by_chance)) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.payload) == (HttpOutcome.connection, None)
    assert answer.body == b'{"balance": 1}'
    assert len(server.requests) == QUICK.attempts


@pytest.mark.faults(11)
def test_a_cut_without_a_length_is_retried_and_then_fails_with_what_arrived(lab: Lab) -> None:
    half = raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"balance": 12.')
    with FaultServer(half, FINE) as recovering, FaultServer(half) as broken:
        recovered, failed = lab.get_all(recovering, broken)
    assert (recovered.outcome, recovered.attempt_count) == (HttpOutcome.ok, 2)
    assert (failed.outcome, failed.attempt_count) == (HttpOutcome.not_json, QUICK.attempts)
    assert failed.body == b'{"balance": 12.'


@pytest.mark.faults(12)
def test_a_get_on_a_stale_connection_is_retried_on_a_new_one(lab: Lab) -> None:
    def close_after_a_moment(wire: Wire) -> None:
        reply(200, b"1", keep=True)(wire)
        time.sleep(0.1)

    async def work(server: FaultServer) -> list[HttpResult]:
        async with Network() as network:
            client = lab.client(network, server.url)
            first = await client.get("/balance")
            await asyncio.sleep(0.2)
            return [first, await client.get("/balance")]

    def reset_at_once(wire: Wire) -> None:
        wire.reset()

    for scripts in [(reply(200, b"1", keep=True), reset_at_once, FINE), (close_after_a_moment, FINE)]:
        with FaultServer(*scripts) as server:
            first, second = lab.run(work(server))
        assert (first.outcome, second.outcome) == (HttpOutcome.ok, HttpOutcome.ok)
        assert second.payload == {"balance": "12.50"}
        assert server.requests[-1].connection == 1


@pytest.mark.faults(13)
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<!doctype html><title>Please log in</title>"), (200, b""), (200, b" \n"), (204, b"")],
)
def test_a_200_without_json_is_retried_and_then_fails_with_the_body_kept(lab: Lab, status: int, body: bytes) -> None:
    empty = raw(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    script = empty if status == 204 else reply(status, body, {"Content-Type": "text/html"})
    with FaultServer(script, FINE) as recovering, FaultServer(script) as broken:
        recovered, failed = lab.get_all(recovering, broken)
    assert (recovered.outcome, recovered.attempt_count) == (HttpOutcome.ok, 2)
    assert (failed.outcome, failed.status_code, failed.attempt_count) == (
        HttpOutcome.not_json,
        status,
        QUICK.attempts,
    )
    assert (failed.body, failed.payload) == (body, None)


def test_an_echoed_key_is_replaced_in_the_body_and_the_payload(lab: Lab) -> None:
    with FaultServer(reply(200, echo=True)) as server:
        answer = lab.get(server)
    assert answer.outcome is HttpOutcome.ok
    assert answer.is_redacted
    assert f"Bearer [redacted:{VARIABLE}]" in str(answer.payload)


def test_a_key_that_is_cut_off_in_the_middle_is_replaced_too(lab: Lab) -> None:
    with FaultServer(raw(b"HTTP/1.1 200 OK\r\n\r\n" + f'{{"key": "{CANARY[:12]}'.encode())) as server:
        answer = lab.get(server)
    assert answer.body == f'{{"key": "[redacted:{VARIABLE}]'.encode()


def test_a_refused_connection_is_an_outcome(lab: Lab) -> None:
    with FaultServer(FINE) as server:
        pass
    answer = lab.get(server)
    assert (answer.outcome, answer.attempt_count) == (HttpOutcome.connection, QUICK.attempts)


def test_a_name_that_does_not_resolve_is_an_outcome(lab: Lab) -> None:
    async def work() -> HttpResult:
        async with Network() as network:
            return await lab.client(network, "https://api.drawdown.invalid/v1").get("/balance")

    answer = lab.run(work())
    assert answer.outcome in {HttpOutcome.connection, HttpOutcome.timeout}


def test_each_reason_is_one_sentence_with_who_where_what_and_the_remedy(lab: Lab) -> None:
    patience = dataclasses.replace(QUICK, attempts=2)
    cut_503 = cut(b"HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n")
    moved = reply(302, headers={"Location": "https://new.example/x"})
    stories = [
        (reply(401), f"was answered 401 (1 request sent): check the value of {VARIABLE}"),
        (reply(429), "was answered 429 (2 requests sent): the next run tries again"),
        (cut_503, "was answered 503 (2 requests sent): the next run tries again"),
        (
            reply(200, b"<p>"),
            "was answered 200, but the body is not JSON (invalid character (byte 0)) (2 requests sent): "
            "see the landed answer, which may be a login or maintenance page",
        ),
        (
            raw(b""),
            "failed with RemoteProtocolError (2 requests sent): check the network, and whether the vendor is up",
        ),
        (
            moved,
            "was answered 302, redirecting to new.example (1 request sent): redirects are never followed, "
            "because the key would be sent along; check base_url",
        ),
    ]
    for script, story in stories:
        with FaultServer(script) as server:
            answer = lab.get(server, patience=patience)
        assert answer.reason == f"vpsbg account {ACCOUNT_ID}: GET 127.0.0.1:{server.port}/balance {story}"
