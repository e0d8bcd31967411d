"""A key is found in every spelling that JSON, URLs, HTML and Base64 allow, also nested."""

from __future__ import annotations

import base64
import contextlib
import html
import html.entities
import json
import random
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from pipeline.support.secret import Redactor, Secret
from pipeline.support.spellings import Spellings

NAME = "CANARY_KEY"
KEYS = st.one_of(
    st.text(st.sampled_from("abcdefXYZ0123456789-_"), min_size=16, max_size=40),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40),
)
Spell = Callable[[str, random.Random], str]
_NAMED = {value: name for name, value in sorted(html.entities.html5.items()) if name.endswith(";") and len(value) == 1}


def _draw(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - repeatable, not secret


def _any_case(digits: str, draw: random.Random) -> str:
    return "".join(draw.choice((each.lower(), each.upper())) for each in digits)


def json_spelling(text: str, draw: random.Random) -> str:
    def one(each: str) -> str:
        escaped = [f"\\u{_any_case(f'{ord(each):04x}', draw)}"]
        if each in '"\\/':
            escaped.append("\\" + each)
        return draw.choice(escaped if each in '"\\' else [each, *escaped])

    return "".join(map(one, text))


def url_spelling(text: str, draw: random.Random) -> str:
    def one(each: str) -> str:
        escaped = f"%{_any_case(f'{ord(each):02x}', draw)}"
        return escaped if each == "%" else draw.choice((each, escaped))

    return "".join(map(one, text))


def html_spelling(text: str, draw: random.Random) -> str:
    def one(each: str) -> str:
        zeros = "0" * draw.choice((0, 0, 0, 5))
        digits = _any_case(f"{ord(each):x}", draw)
        escaped = [f"&#{zeros}{ord(each)};", f"&#{draw.choice('xX')}{zeros}{digits};"]
        if each in _NAMED:
            escaped.append(f"&{_NAMED[each]}")
        return draw.choice(escaped if each == "&" else [each, *escaped])

    return "".join(map(one, text))


def base64_spelling(text: str, draw: random.Random) -> str:
    before, after = draw.randbytes(draw.randrange(4)), draw.randbytes(draw.randrange(4))
    encode = draw.choice((base64.b64encode, base64.urlsafe_b64encode))
    encoded = encode(before + text.encode() + after).decode()
    return draw.choice((encoded, encoded.rstrip("=")))


def unspelled(text: str, draw: random.Random) -> str:
    return text


SPELLINGS: dict[str, Spell] = {
    "as it is": unspelled, "JSON": json_spelling, "URL": url_spelling, "HTML": html_spelling, "Base64": base64_spelling,
}  # fmt: skip


def _decoded(spelling: str, text: bytes) -> set[bytes]:
    """A format as its reader sees it, by decoders that the code under test does not use."""
    if spelling == "JSON":
        with contextlib.suppress(ValueError):
            return {json.loads(b'"' + text + b'"', strict=False).encode("utf-8", "surrogatepass")}
    if spelling == "URL":
        return {unquote_to_bytes(text), unquote_to_bytes(text.replace(b"+", b" "))}
    if spelling == "HTML":
        return {html.unescape(text.decode("utf-8", "replace")).encode("utf-8", "replace")}
    if spelling == "Base64":
        runs = re.findall(rb"[A-Za-z0-9+/]+", text.translate(bytes.maketrans(b"-_", b"+/")))
        quads = [run[start:] + b"A" * (-(len(run) - start) % 4) for run in runs for start in range(min(4, len(run)))]
        return {base64.b64decode(each) for each in quads}
    return {text}


@settings(max_examples=12, deadline=None, phases=[Phase.generate])
@given(KEYS, st.text(st.sampled_from('ab "{}:,\n=?é'), max_size=12), st.randoms(use_true_random=False))
@pytest.mark.parametrize("outer", SPELLINGS)
@pytest.mark.parametrize("inner", SPELLINGS)
def test_no_reader_sees_a_key_however_it_was_spelled(
    inner: str, outer: str, key: str, around: str, draw: random.Random
) -> None:
    assume(key not in around)
    spelled = SPELLINGS[outer](SPELLINGS[inner](key, draw), draw)
    redactor = Redactor([Secret(key, name=NAME)])
    body, is_redacted = redactor.body(f"{around}{spelled} {around}".encode())
    assert is_redacted, spelled
    mark = f"[redacted:{NAME}]".encode()
    assert mark in body
    for piece in body.split(mark):
        for once in _decoded(outer, piece):
            for twice in {once, *_decoded(inner, once)}:
                assert key.encode() not in twice
    # Text other than the key is kept, except Base64 characters shared with it.
    assert body.startswith(around.encode())
    assert body.endswith(f" {around}".encode())
    assert redactor.text(f"{around}{spelled} {around}") == body.decode()


@pytest.mark.parametrize("spell", [json_spelling, url_spelling, html_spelling], ids=lambda spell: spell.__name__)
def test_a_key_that_breaks_off_at_the_end_loses_its_beginning(spell: Spell) -> None:
    key, draw = "canary-4d8c1Kp7XwZq9aB3tYu6", _draw(3)
    redactor = Redactor([Secret(key, name=NAME)])
    whole = spell(key, draw)
    for length in range(len(spell(key[:10], _draw(3))) + 8, len(whole)):
        body, is_redacted = redactor.body(b'{"error": "' + whole[:length].encode())
        assert is_redacted
        assert body == b'{"error": "[redacted:' + NAME.encode() + b"]"


def test_base64_that_breaks_off_loses_the_beginning_of_a_key() -> None:
    key = "canary-4d8c1Kp7XwZq9aB3tYu6"
    redactor = Redactor([Secret(key, name=NAME)])
    for before in ("", "u", "us", "user:"):
        spelled = base64.b64encode(before.encode() + json_spelling(key, _draw(5)).encode())
        for length in range(len(spelled) - 24, len(spelled)):
            body, is_redacted = redactor.body(b"Basic " + spelled[:length])
            assert is_redacted
            assert len(body.split(b"[redacted")[0]) < 16


def test_a_short_key_is_found_as_a_word_once_it_is_decoded() -> None:
    redactor = Redactor([Secret("test", name=NAME)])
    assert redactor.body(b'"\\u0074e%73t" "\\u0063ontest"') == (f'"[redacted:{NAME}]" "\\u0063ontest"'.encode(), True)


def test_every_key_becomes_the_name_of_its_own_variable() -> None:
    redactor = Redactor([Secret("canary-of-one-12345", name="ONE"), Secret("canary-of-two-67890", name="TWO")])
    assert redactor.text("%63anary-of-one-12345, &#99;anary-of-two-67890.") == "[redacted:ONE], [redacted:TWO]."


@given(st.binary(max_size=300))
def test_bytes_without_a_key_are_unchanged(body: bytes) -> None:
    assert Spellings(("canary-4d8c1Kp7XwZq9aB3tYu6", "word")).find(body) == []


@pytest.mark.parametrize(
    "body",
    [
        b"\\" * 1001, b"%" * 1001, b"&" * 1001, b"&#" * 501, b"&#x0000" * 200, b"\\u00" * 300, b"%25" * 300,
        b"&amp;" * 300, b"&" + b"amp;" * 300, b"\\u005c" * 300, b"A" * 1001, b"-_" * 500, b"", b"\xff" * 100,
    ],
)  # fmt: skip
def test_escapes_that_lead_nowhere_end(body: bytes) -> None:
    assert Redactor([Secret("canary-4d8c1Kp7XwZq9aB3tYu6", name=NAME)]).body(body) == (body, False)
