"""JSON decoding in which no number passes through a binary float."""

import re
from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=str)
_KEEPING_NUMBERS = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode()))
_HIGH = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))


class NotJson(ValueError):
    """Bytes that cannot be read exactly as JSON; the message is safe to log."""


def decode_json(body: bytes) -> object:
    """Decode one JSON document without losing a digit.

    Integers are returned as `int`. Numbers with a fraction or an exponent are returned as their `str` in the body
    (`"13.50"`, `"1.48e-11"`), because money must become a Decimal from its text. Strings that contain a number are
    returned as `str` too: no caller distinguishes the two.

    Half of a surrogate pair, such as the `\ud83d` of a text that was cut in the middle of an emoji, conforms to JSON's
    grammar but is no character: it becomes U+FFFD, and the rest of the body is read normally.

    Errors: `NotJson` for an empty or truncated body, a byte order mark, another encoding than UTF-8, NaN and the
    infinities, an integer of more than about 4,300 digits, and nesting that exceeds the interpreter's limit. No message
    quotes the body, which may contain anything.
    """
    return _decode_either(body, _DECODER)


def decode_keeping_numbers(body: bytes) -> object:
    """Decode as `decode_json` does, with other numbers than integers as `msgspec.Raw`, which encodes to the same text.

    Errors: as `decode_json`.
    """
    return _decode_either(body, _KEEPING_NUMBERS)


def _decode_either(body: bytes, decoder: msgspec.json.Decoder[Any]) -> object:
    if not body.strip():
        raise NotJson("the body is empty")
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotJson("the body starts with a byte order mark, which JSON does not allow")
    try:
        return _decode(body, decoder)
    except NotJson:
        # Only searched if the body cannot be read otherwise.
        repaired = _without_lone_surrogates(body)
        if repaired == body:
            raise
    return _decode(repaired, decoder)


def _decode(body: bytes, decoder: msgspec.json.Decoder[Any]) -> object:
    try:
        return decoder.decode(body)
    except UnicodeDecodeError:
        raise NotJson("the body is not valid UTF-8") from None
    except RecursionError:
        raise NotJson("the body is nested too deeply") from None
    except ValueError as error:
        words = str(error).removeprefix("JSON is malformed: ")
        raise NotJson(f"the body is not JSON ({words})") from None


def _without_lone_surrogates(body: bytes) -> bytes:
    # Between two escaped backslashes each backslash begins an escape: `\\\\ud83d` is a backslash and four letters.
    return b"\\\\".join(_LONE_SURROGATE.sub(rb"\\ufffd", piece) for piece in body.split(b"\\\\"))
