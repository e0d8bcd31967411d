"""Paths into JSON: what a random path finds is what a walk by hand finds, and replacing changes nothing else."""

import copy
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.support.exact_json import decode_json
from pipeline.support.json_paths import JsonPath, dig
from pipeline.support.redacted_places import redact_places

_KEYS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=6)
_LEAVES = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | _KEYS
_DOCUMENTS = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=20
)


def _key(key: str) -> str:
    is_bare = key and not set(key) & set('.[]="') and not any(each.isspace() for each in key)
    return key if is_bare else '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _walk(draw: Any, value: Any) -> tuple[str, list[Any]]:
    """A random path that exists in the document, and the values that a walk by hand finds."""
    path, found = "", [value]
    while draw(st.booleans()):
        first = found[0]
        if isinstance(first, dict) and first:
            key = draw(st.sampled_from(sorted(first)))
            path += ("." if path else "") + _key(key)
            found = [each[key] for each in found if isinstance(each, dict) and key in each]
        elif isinstance(first, list) and first:
            lists = [each for each in found if isinstance(each, list)]
            if draw(st.booleans()):
                path, found = path + "[*]", [item for each in lists for item in each]
            else:
                position = draw(st.integers(0, len(first) - 1))
                path, found = path + f"[{position}]", [each[position] for each in lists if position < len(each)]
        else:
            break
    return path, [each for each in found if each is not None]


@given(st.data(), _DOCUMENTS)
def test_a_random_path_finds_what_a_walk_finds(data: st.DataObject, document: Any) -> None:
    path, found = _walk(data.draw, document)
    parsed = JsonPath.parse(path)
    assert parsed.find(document) == found
    if parsed.is_plain:
        assert [dig(document, path)] == (found or [None])


@given(st.data(), _DOCUMENTS)
def test_replacing_changes_what_is_found_and_nothing_else(data: st.DataObject, document: Any) -> None:
    path, found = _walk(data.draw, document)
    parsed, before = JsonPath.parse(path), copy.deepcopy(document)
    replaced = parsed.replace(document, "*mark*")
    assert document == before
    assert parsed.find(replaced) == ["*mark*"] * len(found)
    # Put back one by one, the document is the same.
    for step in found:
        assert step in parsed.find(before)
    if not found:
        assert replaced == before


@given(st.data(), _DOCUMENTS, st.integers(-(10**6), 10**6), st.integers(0, 9))
def test_redacted_places_are_gone_in_every_document_and_numbers_keep_their_text(
    data: st.DataObject, document: Any, whole: int, digits: int
) -> None:
    secret = "s3cr3t-" + data.draw(st.text("abcdefghijklmnop0123456789", min_size=8, max_size=20))
    number = f"{whole}.{'0' * digits}1"
    body = msgspec.json.encode(
        {"key": secret, "rest": document, "prose": f"your key {secret} is fine", "n": msgspec.Raw(number.encode())}
    )
    redacted, is_changed = redact_places(body, [JsonPath.parse("key")])
    assert is_changed
    assert secret.encode() not in redacted
    after = decode_json(redacted)
    assert isinstance(after, dict)
    assert after["key"] == "[redacted:key]"
    assert after["rest"] == document
    assert after["n"] == number


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"key": 12345678, "n": 1.50}', b'{"key":"[redacted:key]","n":1.50}'),
        (b'{"key": {"a": "abcdefghij"}, "n": 1E-9}', b'{"key":"[redacted:key]","n":1E-9}'),
        (b'{"key": "abc", "word": "abc abcd"}', b'{"key":"[redacted:key]","word":"abc abcd"}'),
        (b'{"key": null, "n": 1.50}', b'{"key": null, "n": 1.50}'),
        (b'{"n": 1.50}', b'{"n": 1.50}'),
        (b'{"key": "12345678", "n": 12345678.25}', b'{"key":"[redacted:key]","n":12345678.25}'),
        (b'{"key": "12345678", "n": 12345678}', b'{"key":"[redacted:key]","n":"[redacted:key]"}'),
        (b'{"key": {"a": ["abcdefghij"]}, "copy": "abcdefghij"}', b'{"key":"[redacted:key]","copy":"[redacted:key]"}'),
        (b'{"key": "abcdefghij", "abcdefghij": 1.50}', b'{"key": "[redacted:key]", "[redacted:key]": 1.50}'),
        (b'{"key": "abcdefghij", "key": "b"}', b"[redacted: 33 bytes of JSON with a key twice in one object]"),
        (b'{"a": [{"b": 1, "\\u0062": "abcdefghij"}]}', b"[redacted: 41 bytes of JSON with a key twice in one object]"),
        (
            '{"key": "схованка-ключ", "a": "x схованка-ключ"}'.encode(),
            b'{"key":"[redacted:key]","a":"x [redacted:key]"}',
        ),
        (b'{"key": " abcdefgh", "a": "x abcdefgh"}', b'{"key":"[redacted:key]","a":"x[redacted:key]"}'),
        (b'{"key": "abcdefgh', b"[redacted: 17 bytes that are not JSON]"),
        (b"<html>abcdefgh</html>", b"[redacted: 21 bytes that are not JSON]"),
        (b"", b""),
    ],
)
def test_whatever_is_at_a_redacted_place_is_not_kept(body: bytes, kept: bytes) -> None:
    assert redact_places(body, [JsonPath.parse("key")])[0] == kept


@given(
    _DOCUMENTS,
    st.sampled_from(["12345678", "-1234567", "1234.5678", "123456e2", "truefalse", 'a"b\\cdefg', "null,null"]),
)
def test_a_redacted_text_of_any_characters_leaves_json(document: Any, secret: str) -> None:
    body = msgspec.json.encode({"key": secret, "copy": [secret], "rest": document})
    number = b'{"n":1234567812345678.5,"m":[true,false,null,null,-12345671234.56781,123456e20],' + body[1:]
    after = decode_json(redact_places(number, [JsonPath.parse("key")])[0])
    assert after == {
        "n": "1234567812345678.5",
        "m": [True, False, None, None, "-12345671234.56781", "123456e20"],
        "key": "[redacted:key]",
        "copy": ["[redacted:key]"],
        "rest": document,
    }


def test_a_redacted_text_is_removed_in_every_spelling() -> None:
    body = rb'{"key": "abc/defghij+k", "a": "abc\/defghij+k", "b": "https://x/?k=abc%2Fdefghij%2Bk", "c": "YWJjL2RlZmdoaWora"}'
    redacted, _ = redact_places(body, [JsonPath.parse("key")])
    assert redacted == (
        b'{"key": "[redacted:key]", "a": "[redacted:key]", "b": "https://x/?k=[redacted:key]", "c": "[redacted:key]"}'
    )


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a..b", "expects a key at character 3 of the path"),
        (".a", "expects a key at character 1 of the path"),
        ("a.", "expects a key at character 3 of the path"),
        ("a b", "expects [0], [*] or [key=value] at character 2 of the path"),
        ("a[", "expects [0], [*] or [key=value] at character 2 of the path"),
        ("a[-1]", "expects [0], [*] or [key=value] at character 2 of the path"),
        ("a[b]", "expects [0], [*] or [key=value] at character 2 of the path"),
        ("a[0]b", "expects [0], [*] or [key=value] at character 5 of the path"),
        ('a."b', "expects a key at character 3 of the path"),
    ],
)
def test_a_wrong_path_says_where_it_is_wrong(path: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        JsonPath.parse(path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", [{"rows": [{"unit": "USD", "n": 1}, {"unit": "CNY", "n": "2.50"}, {"unit": 7, "n": 3}, "x"], "a.b": 4}]),
        ("rows[unit=USD].n", [1]),
        ("rows[unit=7].n", [3]),
        ('rows["unit"="CNY"].n', ["2.50"]),
        ("rows[unit=EUR].n", []),
        ("rows[*].n", [1, "2.50", 3]),
        ("rows[3]", ["x"]),
        ("rows[9]", []),
        ('"a.b"', [4]),
        ("a.b", []),
    ],
)
def test_selections(path: str, found: list[object]) -> None:
    document = {"rows": [{"unit": "USD", "n": 1}, {"unit": "CNY", "n": "2.50"}, {"unit": 7, "n": 3}, "x"], "a.b": 4}
    assert JsonPath.parse(path).find(document) == found
