"""Keys are never shown, plain or encoded."""

import base64
import copy
import html
import json
import logging
import pickle
import traceback
from urllib.parse import quote, quote_plus

import httpcore  # noqa: F401
import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.http import Network
from pipeline.support.secret import Redactor, Secret
from tests.http.conftest import CANARY, VARIABLE

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)


@pytest.mark.faults(39)
@pytest.mark.parametrize(
    "value",
    [
        CANARY + "\n",
        CANARY + "\r\nX-Evil: 1",
        "\t" + CANARY,
        CANARY + " ",
        CANARY + "\u00a0",
        CANARY + "\x00",
        CANARY + "\x7f",
        CANARY + "\x1b[31m",
        CANARY + "é",
        "“" + CANARY + "”",
        CANARY + "\ud800",
        "",
        "  ",
    ],
)
def test_a_key_that_is_invalid_in_a_header_fails_at_once_with_its_value_hidden(value: str) -> None:
    with pytest.raises(ValueError, match=VARIABLE) as caught:
        Secret(value, name=VARIABLE)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert CANARY not in shown
    assert CANARY[:8] not in shown
    frames = traceback.StackSummary.extract(traceback.walk_tb(caught.tb), capture_locals=True)
    assert all(
        "value" not in (frame.locals or {}) for frame in frames if frame.filename.endswith("pipeline/support/secret.py")
    )


def test_a_secret_shows_its_name_only() -> None:
    secret = Secret(CANARY, name=VARIABLE)
    prefixed = secret.with_prefix("Bearer ")
    for shown in (
        str(secret),
        repr(prefixed),
        f"{secret}",
        f"{secret:>40}".strip(),
        f"{prefixed!r}",
        "%s" % secret,  # noqa: UP031
        repr([secret]),
        json.dumps({"key": prefixed}, default=str)[9:-2],
    ):
        assert shown.strip("[]") == f"Secret({VARIABLE})"
    assert secret.reveal() == prefixed.reveal() == secret.header_value() == CANARY
    assert prefixed.header_value() == f"Bearer {CANARY}"


def test_a_secret_is_not_serialised_by_accident() -> None:
    secret = Secret(CANARY, name=VARIABLE)
    for serialise in (
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        vars,
    ):
        with pytest.raises(TypeError) as caught:
            serialise(secret)
        assert CANARY not in str(caught.value)


@given(KEYS, st.text(max_size=20), st.text(max_size=20))
def test_no_disguise_of_a_key_survives_redaction(key: str, before: str, after: str) -> None:
    redactor = Redactor([Secret(key, name=VARIABLE)])
    user = f"user{before}:{key}".encode()
    disguises = [
        key,
        json.dumps(key)[1:-1],
        json.dumps(key)[1:-1].replace("/", "\\/"),
        quote(key),
        quote(key, safe=""),
        quote_plus(key),
        quote(key, safe="").lower() if key.islower() else quote(key, safe=""),
        html.escape(key),
        base64.b64encode(key.encode()).decode(),
        base64.urlsafe_b64encode(key.encode()).decode(),
    ]
    for disguise in disguises:
        body, is_redacted = redactor.body(f"{before}{disguise}{after}".encode())
        assert is_redacted
        assert disguise.encode() not in body.replace(f"[redacted:{VARIABLE}]".encode(), b"")
        assert f"[redacted:{VARIABLE}]" in redactor.text(f"{before}{disguise}{after}")
    assert redactor.body(base64.b64encode(user))[1]


@given(st.binary(max_size=200), KEYS)
def test_bytes_without_the_key_are_left_alone(body: bytes, key: str) -> None:
    assume(key.encode()[:8] not in body)
    assert Redactor([Secret(key, name=VARIABLE)]).body(body) == (body, False)
    assert Redactor([]).body(body) == (body, False)


def test_a_short_key_is_found_as_a_word_and_does_not_shred_the_body() -> None:
    redactor = Redactor([Secret("test", name="SANDBOX_KEY")])
    assert redactor.body(b'{"latest": "contest", "key": "test"}') == (
        b'{"latest": "contest", "key": "[redacted:SANDBOX_KEY]"}',
        True,
    )
    assert redactor.text("Bearer test!") == "Bearer [redacted:SANDBOX_KEY]!"


def test_two_keys_that_contain_each_other_are_both_replaced() -> None:
    redactor = Redactor([Secret("longer-key-12345", name="A"), Secret("longer-key", name="B")])
    assert redactor.text("longer-key-12345 longer-key") == "[redacted:A] [redacted:B]"


def test_every_logger_that_could_print_headers_is_shut() -> None:
    Network()
    talkative = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in {"httpx", "httpcore"}]
    assert len(talkative) > 3
    for name in talkative:
        logger = logging.getLogger(name)
        if name == "httpcore":  # a parent that nothing is logged to
            continue
        record = logger.makeRecord(name, logging.CRITICAL, "file", 1, CANARY, (), None)
        assert not logger.filter(record), name
