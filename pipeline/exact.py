"""JSON in which no number has passed through a binary float."""

import msgspec

_DECODER = msgspec.json.Decoder(float_hook=str)


class NotJson(ValueError):
    """Bytes that are not JSON which can be read exactly; the message is safe to log."""


def decode_json(body: bytes) -> object:
    """Decode one JSON document without losing a digit.

    Integers arrive as `int`. Numbers with a fraction or an exponent arrive as the `str` that stood in the
    body (`"13.50"`, `"1.48e-11"`), because money must become a Decimal from its text. Strings that hold a
    number arrive as `str` too: the two are told apart by no caller.

    Errors: `NotJson` for an empty or truncated body, a byte order mark, another encoding than UTF-8, NaN and
    the infinities, an integer of more than some 4,300 digits, and nesting deeper than the interpreter can
    follow. No message quotes the body, which may hold anything.
    """
    if not body.strip():
        raise NotJson("the body is empty")
    if body.startswith(b"\xef\xbb\xbf"):
        raise NotJson("the body starts with a byte order mark, which JSON does not allow")
    try:
        return _DECODER.decode(body)
    except UnicodeDecodeError:
        raise NotJson("the body is not valid UTF-8") from None
    except RecursionError:
        raise NotJson("the body is nested too deeply") from None
    except ValueError as error:
        words = str(error).removeprefix("JSON is malformed: ")
        raise NotJson(f"the body is not JSON ({words})") from None
