"""Compressed bodies: every layer is decompressed, capped, or refused."""

import pytest

from pipeline.http import HttpOutcome
from tests.http.conftest import CANARY, QUICK, Lab
from tests.http.fault_server import FaultServer, pack, raw, reply
from tests.http.replies import FINE


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
    assert (recovered.outcome, recovered.attempt_count) == (HttpOutcome.ok, 2)
    assert (failed.outcome, failed.attempt_count, failed.payload) == (
        HttpOutcome.bad_encoding,
        QUICK.attempts,
        None,
    )


@pytest.mark.faults(16)
def test_valid_gzip_is_read_in_any_pieces_and_members(lab: Lab) -> None:
    body = b'{"rows": [' + b",".join(b'"%d"' % n for n in range(60_000)) + b"]}"
    packed = pack(body[:1000]) + pack(b"") + pack(body[1000:])
    pieces = [packed[at : at + 7] for at in range(0, 700, 7)] + [packed[700:]]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    start = b"HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nTransfer-Encoding: chunked\r\n\r\n"
    with FaultServer(raw(start + chunked)) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.body) == (HttpOutcome.ok, body)


@pytest.mark.faults(16)
@pytest.mark.parametrize(
    "encoding", ["br", "deflate", "zstd", "gzip, br", "identity, br", "gzip;q=1", "gzip gzip", "gzip," * 4, CANARY]
)
def test_an_unrequested_compression_is_refused_and_not_kept(lab: Lab, encoding: str) -> None:
    with FaultServer(reply(200, pack(pack(b"1")), {"Content-Encoding": encoding})) as server:
        answer = lab.get(server)
    assert (answer.outcome, answer.body, answer.attempt_count) == (HttpOutcome.bad_encoding, b"", 1)


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
    assert (answer.outcome, answer.body) == (HttpOutcome.ok, body)


@pytest.mark.faults(16)
@pytest.mark.parametrize(
    "broken", [pack(pack(b'{"balance": 1}')[:-9]), pack(b'{"balance": 1}'), pack(pack(b'{"balance": 1}'))[:-9]]
)
def test_an_inner_layer_that_is_broken_is_retried_and_then_fails(lab: Lab, broken: bytes) -> None:
    script = reply(200, broken, {"Content-Encoding": "gzip, gzip"})
    with FaultServer(script, FINE) as recovering, FaultServer(script) as broken_for_good:
        recovered, failed = lab.get_all(recovering, broken_for_good)
    assert (recovered.outcome, recovered.attempt_count) == (HttpOutcome.ok, 2)
    assert (failed.outcome, failed.attempt_count) == (HttpOutcome.bad_encoding, QUICK.attempts)


@pytest.mark.faults(15)
def test_the_cap_applies_to_every_layer(lab: Lab) -> None:
    """More than a mebibyte of zeros within two layers, and as the layer between them, whose own content is small."""
    inner = pack(b"\0" * (QUICK.body_cap_bytes + 1))
    between = b"".join(pack(b"") for _ in range(QUICK.body_cap_bytes // len(pack(b"")) + 1))
    for packed in (pack(inner), pack(between)):
        with FaultServer(reply(200, packed, {"Content-Encoding": "gzip, gzip"})) as server:
            answer = lab.get(server)
        assert (answer.outcome, answer.attempt_count) == (HttpOutcome.too_large, 1)
        assert len(answer.body) <= 64 * 1024
