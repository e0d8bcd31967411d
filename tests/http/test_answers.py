"""What each status, break and body comes to."""

import asyncio
import dataclasses
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http import Answer, Network, Outcome
from pipeline.support.exact_json import NotJson, decode_json
from tests.http.conftest import ACCOUNT_ID, CANARY, QUICK, VARIABLE, Lab
from tests.http.fault_server import FaultServer, Script, Wire, cut, hang, pack, raw, reply

FINE = reply(200, b'{"balance": 12.50}')
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
    assert (answer.outcome, answer.status_code, answer.body) == (Outcome.ok, 200, body)
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
    async def work(server: FaultServer) -> Answer:
        async with Network() as network:
            client = lab.client(network, server.url + "/v1/")
            return await client.get("/orders", {"filter[status]": "paid", "page": "2", "odd": "a&b= c"})

    with FaultServer(FINE) as server:
        answer = lab.run(work(server))
    query = "filter%5Bstatus%5D=paid&page=2&odd=a%26b%3D+c"
    assert server.requests[0].target == f"/v1/orders?{query}"
    assert answer.url == f"{server.url}/v1/orders?{query}"


@pytest.mark.faults(6)
@pytest.mark.parametrize(("status", "outcome"), [(401, Outcome.unauthorised), (403, Outcome.forbidden)])
@pytest.mark.parametrize("how", ["whole", "echo", "cut", "compressed"])
def test_a_refused_key_is_sent_once_and_the_account_and_variable_are_named(
    lab: Lab, status: int, outcome: Outcome, how: str
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
        (404, Outcome.not_found),
        (422, Outcome.unprocessable),
        (400, Outcome.client_error),
        (418, Outcome.client_error),
    ],
)
def test_a_client_error_is_not_retried_and_its_body_is_kept(lab: Lab, status: int, outcome: Outcome) -> None:
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
    assert (recovered.outcome, recovered.attempt_count) == (Outcome.ok, 2)
    assert (hung.outcome, hung.attempt_count, hung.status_code) == (Outcome.timeout, QUICK.attempts, None)


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
    assert (answer.outcome, answer.attempt_count) == (Outcome.ok, 2)
    assert answer.payload == {"balance": "12.50"}


@pytest.mark.faults(10)
def test_a_body_shorter_than_its_length_never_counts_as_whole(lab: Lab) -> None:
    whole_by_chance = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"balance": 1}'
    with FaultServer(raw(whole_by_chance)) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.payload) == (Outcome.connection, None)
    assert answer.body == b'{"balance": 1}'
    assert len(server.requests) == QUICK.attempts


@pytest.mark.faults(11)
def test_a_cut_without_a_length_is_retried_and_then_fails_with_what_arrived(lab: Lab) -> None:
    half = raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"balance": 12.')
    with FaultServer(half, FINE) as recovering, FaultServer(half) as broken:
        recovered, failed = lab.get_all(recovering, broken)
    assert (recovered.outcome, recovered.attempt_count) == (Outcome.ok, 2)
    assert (failed.outcome, failed.attempt_count) == (Outcome.not_json, QUICK.attempts)
    assert failed.body == b'{"balance": 12.'


@pytest.mark.faults(12)
def test_a_get_on_a_stale_connection_is_retried_on_a_new_one(lab: Lab) -> None:
    def close_after_a_moment(wire: Wire) -> None:
        reply(200, b"1", keep=True)(wire)
        time.sleep(0.1)

    async def work(server: FaultServer) -> list[Answer]:
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
        assert (first.outcome, second.outcome) == (Outcome.ok, Outcome.ok)
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
    assert (recovered.outcome, recovered.attempt_count) == (Outcome.ok, 2)
    assert (failed.outcome, failed.status_code, failed.attempt_count) == (
        Outcome.not_json,
        status,
        QUICK.attempts,
    )
    assert (failed.body, failed.payload) == (body, None)


NOT_JSON = {
    "empty": b"",
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "byte order mark": b'\xef\xbb\xbf{"balance": 1}',
    "UTF-16": '{"balance": 1}'.encode("utf-16"),
    "NaN": b'{"balance": NaN}',
    "Infinity": b'{"balance": -Infinity}',
    "deep nesting": b"[" * 50_000 + b"]" * 50_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "giant integer": b'{"balance": ' + b"9" * 100_000 + b"}",
    "half a surrogate escape": b'{"name": "\\ud8 and more"}',
    "a lone surrogate outside of a text": b'{"name": \\ud800}',
    "a lone surrogate and half a document": b'{"name": "\\ud800", "balance": 1',
    "truncated": b'{"balance": 1',
    "two documents": b"{} {}",
    "leading zero": b"007",
    "a bare dot": b".5",
    "single quotes": b"{'a': 1}",
}


@pytest.mark.faults(14)
def test_bytes_that_are_not_exactly_json_give_a_typed_error() -> None:
    for name, body in NOT_JSON.items():
        with pytest.raises(NotJson) as caught:
            decode_json(body)
        assert len(str(caught.value)) < 200, name


@pytest.mark.faults(14)
def test_an_answer_that_is_not_exactly_json_is_an_outcome_and_no_crash(lab: Lab) -> None:
    servers = [FaultServer(reply(200, body)) for body in NOT_JSON.values()]
    for server in servers:
        server.__enter__()
    try:
        answers = lab.get_all(*servers)
    finally:
        for server in servers:
            server.__exit__(None, None, None)
    assert {answer.outcome for answer in answers} == {Outcome.not_json}
    assert [answer.body for answer in answers] == list(NOT_JSON.values())


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:.0123456789eE+-ntrufalsN\\ud8 ', max_size=60).map(str.encode))
def test_no_bytes_make_the_decoder_raise_anything_else(body: bytes) -> None:
    try:
        decoded = decode_json(body)
    except NotJson:
        return
    repr(decoded).encode()


CUT_TEXTS = {
    "a high one": (rb"server \ud83d", "server \N{REPLACEMENT CHARACTER}"),
    "a low one": (rb"\ude00 server", "\N{REPLACEMENT CHARACTER} server"),
    "in capitals": (rb"\uD83D\uDE00 \uD83D.", "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}."),
    "in mixed case": (rb"\uDe00\ud83D", "\N{REPLACEMENT CHARACTER}" * 2),
    "the wrong way round": (rb"\ude00\ud83d", "\N{REPLACEMENT CHARACTER}" * 2),
    "two high ones before a low one": (rb"\ud83d\ud83d\ude00", "\N{REPLACEMENT CHARACTER}\N{GRINNING FACE}"),
    "a pair and a low one": (rb"\ud83d\ude00\ude00", "\N{GRINNING FACE}\N{REPLACEMENT CHARACTER}"),
    "before another escape": (rb"\ud83d\u0041\n\/", "\N{REPLACEMENT CHARACTER}A\n/"),
    "before an escaped backslash": (rb"\ud83d\\ude00", "\N{REPLACEMENT CHARACTER}\\ude00"),
    "behind an escaped backslash": (rb"\\\ud83d", "\\\N{REPLACEMENT CHARACTER}"),
    "behind what only looks like a high one": (rb"\\ud83d\ude00", "\\ud83d\N{REPLACEMENT CHARACTER}"),
    "beside what only looks like one": (rb"\\ud83d \udfff", "\\ud83d \N{REPLACEMENT CHARACTER}"),
}


@pytest.mark.faults(14)
@pytest.mark.parametrize(("written", "text"), CUT_TEXTS.values(), ids=CUT_TEXTS)
def test_half_an_emoji_costs_that_character_and_nothing_else(written: bytes, text: str) -> None:
    body = b'{"amount": 12.345678901234567890, "note": "%b", "%b": -1e-9, "plain": "\\\\ud83d", "n": 7}' % (
        written,
        written,
    )
    assert decode_json(body) == {
        "amount": "12.345678901234567890",
        "note": text,
        text: "-1e-9",
        "plain": "\\ud83d",
        "n": 7,
    }


_PIECES = [rb"\ud83d", rb"\uDE00", rb"\\", rb"\n", rb"\"", b"ud83d", "é".encode(), rb"\u00e9", b"a"]


@pytest.mark.faults(14)
@given(st.lists(st.sampled_from(_PIECES), max_size=12).map(b"".join))
def test_a_text_with_halves_of_pairs_is_read_as_other_readers_do(written: bytes) -> None:
    body = b'[1.10, "%b"]' % written
    text = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", json.loads(body)[1])
    assert decode_json(body) == ["1.10", text]


@pytest.mark.faults(14)
def test_a_key_beside_half_an_emoji_is_redacted_and_the_body_is_kept_as_it_came(lab: Lab) -> None:
    body = rb'{"note": "\ud83d%b\ude00", "balance": 1.50}' % json.dumps(CANARY)[1:-1].encode()
    with FaultServer(reply(200, body)) as server:
        (answer,) = lab.get_all(server)
    assert answer.outcome is Outcome.ok
    assert CANARY.encode() not in answer.body
    assert answer.body.startswith(rb'{"note": "\ud83d[redacted:')
    assert answer.payload["balance"] == "1.50"  # type: ignore[index]
    assert answer.payload["note"].startswith("\N{REPLACEMENT CHARACTER}[redacted:")  # type: ignore[index]


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40}([eE][+-]?[0-9]{1,7})?|[eE][+-]?[0-9]{1,7})", fullmatch=True)
)
def test_a_number_with_a_fraction_or_exponent_arrives_as_its_own_text(number: str) -> None:
    assert decode_json(f'{{"amount": {number}}}'.encode()) == {"amount": number}


@pytest.mark.faults(16)
@pytest.mark.parametrize(
    "broken",
    [
        pack(b'{"balance": 1}')[:-9],
        pack(b'{"balance": 1}')[:-1],
        pack(b'{"balance": 1}')[:-8] + b"\0" * 8,
        pack(b'{"balance": 1}') + b"rubbish",
        b'{"balance": 1}',
        b"\x1f\x8b",
    ],
)
def test_broken_gzip_is_retried_and_then_fails(lab: Lab, broken: bytes) -> None:
    script = reply(200, broken, {"Content-Encoding": "gzip"})
    with FaultServer(script, FINE) as recovering, FaultServer(script) as broken_for_good:
        recovered, failed = lab.get_all(recovering, broken_for_good)
    assert (recovered.outcome, recovered.attempt_count) == (Outcome.ok, 2)
    assert (failed.outcome, failed.attempt_count, failed.payload) == (
        Outcome.bad_encoding,
        QUICK.attempts,
        None,
    )


@pytest.mark.faults(16)
def test_sound_gzip_is_read_whatever_its_pieces_and_members(lab: Lab) -> None:
    body = b'{"rows": [' + b",".join(b'"%d"' % n for n in range(60_000)) + b"]}"
    packed = pack(body[:1000]) + pack(b"") + pack(body[1000:])
    pieces = [packed[at : at + 7] for at in range(0, 700, 7)] + [packed[700:]]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    start = b"HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nTransfer-Encoding: chunked\r\n\r\n"
    with FaultServer(raw(start + chunked)) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.body) == (Outcome.ok, body)


@pytest.mark.faults(16)
@pytest.mark.parametrize(
    "encoding", ["br", "deflate", "zstd", "gzip, br", "identity, br", "gzip;q=1", "gzip gzip", "gzip," * 4, CANARY]
)
def test_a_compression_that_was_not_asked_for_is_refused_and_not_kept(lab: Lab, encoding: str) -> None:
    with FaultServer(reply(200, pack(pack(b"1")), {"Content-Encoding": encoding})) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.body, answer.attempt_count) == (Outcome.bad_encoding, b"", 1)


@pytest.mark.faults(16)
@pytest.mark.parametrize(
    ("encodings", "layers"),
    [
        (["identity"], 0),
        (["none"], 0),
        (["None"], 0),
        ([""], 0),
        (["identity, identity"], 0),
        (["gzip"], 1),
        (["x-gzip"], 1),
        (["gzip, identity"], 1),
        (["identity,GZIP"], 1),
        ([" gzip , none, "], 1),
        (["gzip, gzip"], 2),
        (["gzip", "identity"], 1),
        (["gzip", "x-gzip"], 2),
        (["gzip, gzip, gzip"], 3),
    ],
)
def test_a_list_of_encodings_is_undone_layer_by_layer(lab: Lab, encodings: list[str], layers: int) -> None:
    body = b'{"balance": 12.50, "rows": [%s]}' % b",".join(b'"%d"' % n for n in range(20_000))
    packed = body
    for _ in range(layers):
        # Of two members, as some servers flush.
        packed = pack(packed[:100]) + pack(packed[100:])
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(b"Content-Encoding: %b\r\n" % each.encode() for each in encodings)
    with FaultServer(raw(head + b"Content-Length: %d\r\n\r\n" % len(packed) + packed)) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.body) == (Outcome.ok, body)


@pytest.mark.faults(16)
@pytest.mark.parametrize(
    "broken", [pack(pack(b'{"balance": 1}')[:-9]), pack(b'{"balance": 1}'), pack(pack(b'{"balance": 1}'))[:-9]]
)
def test_an_inner_layer_that_is_broken_is_retried_and_then_fails(lab: Lab, broken: bytes) -> None:
    script = reply(200, broken, {"Content-Encoding": "gzip, gzip"})
    with FaultServer(script, FINE) as recovering, FaultServer(script) as broken_for_good:
        recovered, failed = lab.get_all(recovering, broken_for_good)
    assert (recovered.outcome, recovered.attempt_count) == (Outcome.ok, 2)
    assert (failed.outcome, failed.attempt_count) == (Outcome.bad_encoding, QUICK.attempts)


@pytest.mark.faults(15)
def test_the_cap_holds_for_every_layer(lab: Lab) -> None:
    """A mebibyte and more of zeros within two layers, and as the layer between them, whose own content is small."""
    inner = pack(b"\0" * (QUICK.body_cap_bytes + 1))
    between = b"".join(pack(b"") for _ in range(QUICK.body_cap_bytes // len(pack(b"")) + 1))
    for packed in (pack(inner), pack(between)):
        with FaultServer(reply(200, packed, {"Content-Encoding": "gzip, gzip"})) as server:
            answer = lab.get(server)
        assert (answer.outcome, answer.attempt_count) == (Outcome.too_large, 1)
        assert len(answer.body) <= 64 * 1024


def test_a_body_with_too_many_values_is_not_decoded(lab: Lab) -> None:
    body = b"[" + b"[]," * 5000 + b"[]]"
    with FaultServer(reply(200, body)) as server:
        answer = lab.get(server, patience=dataclasses.replace(QUICK, value_cap=4999))
    assert (answer.outcome, answer.payload, answer.attempt_count) == (Outcome.too_large, None, 1)


def test_an_echoed_key_is_replaced_in_the_body_and_the_payload(lab: Lab) -> None:
    with FaultServer(reply(200, echo=True)) as server:
        answer = lab.get(server)
    assert answer.outcome is Outcome.ok
    assert answer.is_redacted
    assert f"Bearer [redacted:{VARIABLE}]" in str(answer.payload)


def test_a_key_that_is_cut_off_in_the_middle_is_replaced_too(lab: Lab) -> None:
    with FaultServer(raw(b"HTTP/1.1 200 OK\r\n\r\n" + f'{{"key": "{CANARY[:12]}'.encode())) as server:
        answer = lab.get(server)
    assert answer.body == f'{{"key": "[redacted:{VARIABLE}]'.encode()


def test_nobody_at_the_port_is_an_outcome(lab: Lab) -> None:
    with FaultServer(FINE) as server:
        pass
    answer = lab.get(server)
    assert (answer.outcome, answer.attempt_count) == (Outcome.connection, QUICK.attempts)


def test_a_name_that_does_not_resolve_is_an_outcome(lab: Lab) -> None:
    async def work() -> Answer:
        async with Network() as network:
            return await lab.client(network, "https://api.drawdown.invalid/v1").get("/balance")

    answer = lab.run(work())
    assert answer.outcome in {Outcome.connection, Outcome.timeout}


def test_each_reason_is_one_sentence_that_says_who_where_what_and_what_to_do(lab: Lab) -> None:
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
