"""Bodies are decoded exactly, or refused with a typed error."""

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.http import HttpOutcome
from pipeline.support.exact_json import NotJson, decode_json
from tests.http.conftest import CANARY, QUICK, Lab
from tests.http.fault_server import FaultServer, reply

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
    assert {answer.outcome for answer in answers} == {HttpOutcome.not_json}
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
def test_half_an_emoji_only_costs_that_character(written: bytes, text: str) -> None:
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
def test_a_key_next_to_half_an_emoji_is_redacted_and_the_body_is_kept(lab: Lab) -> None:
    body = rb'{"note": "\ud83d%b\ude00", "balance": 1.50}' % json.dumps(CANARY)[1:-1].encode()
    with FaultServer(reply(200, body)) as server:
        (answer,) = lab.get_all(server)
    assert answer.outcome is HttpOutcome.ok
    assert CANARY.encode() not in answer.body
    assert answer.body.startswith(rb'{"note": "\ud83d[redacted:')
    assert answer.payload["balance"] == "1.50"  # type: ignore[index]
    assert answer.payload["note"].startswith("\N{REPLACEMENT CHARACTER}[redacted:")  # type: ignore[index]


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40}([eE][+-]?[0-9]{1,7})?|[eE][+-]?[0-9]{1,7})", fullmatch=True)
)
def test_a_number_with_a_fraction_or_exponent_arrives_as_its_own_text(number: str) -> None:
    assert decode_json(f'{{"amount": {number}}}'.encode()) == {"amount": number}


def test_a_body_with_too_many_values_is_not_decoded(lab: Lab) -> None:
    body = b"[" + b"[]," * 5000 + b"[]]"
    with FaultServer(reply(200, body)) as server:
        answer = lab.get(server, patience=dataclasses.replace(QUICK, value_cap=4999))
    assert (answer.outcome, answer.payload, answer.attempt_count) == (HttpOutcome.too_large, None, 1)
