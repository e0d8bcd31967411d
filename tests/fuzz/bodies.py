"""Bodies that no vendor would send on purpose: documented ones with mutated structure, numbers and bytes.

Each is drawn from a generator seeded with its own name, so that one of ten thousand can be reproduced alone.
"""

from __future__ import annotations

import copy
import json
import re
from random import Random
from typing import Any

from pipeline.vendors._port import Endpoint, Vendor
from tests.staging.mutations import STRANGE, encoded, meddled, original, places

_RAW = re.compile(r'"@raw:([^"]*)@"')
_RAW_NUMBERS = (
    "1e5", "1E+5", "-1e-5", "1e999999", "-1e-999999", "0.1e1", "1.0", "1.50", "-0", "-0.0", "0.000000001", "0.0000000001",
    "12345678901234567890123456789", "99999999999999999999999999999.999999999", "123456789012345678901234567890",
    "0.1234567890123", "1.48e-11", "2.5e-9", "1.0000000005", "1.0000000015", "NaN", "Infinity", "-Infinity", "+1", "01",
    ".5", "5.", "0x10", "1_000", "1,5", "1e", "--1", "9" * 400, "0." + "1" * 400, "1e-400", "4.9e-324", "1.7976931348623157e308",
)  # fmt: skip
_TEXT_NUMBERS = (
    "13.50", "$13.50", "1,234.50", "1.234,50", "1 234.50", "€5", "5 EUR", "+5", " 5", "5 ", "5\n", "٥", "５", "−5", "(5)",
    "5-", "1e5", "1E5", "0x10", "0b1", "1_000", "inf", "-inf", "nan", "true", "null", "-0", "00012.50", ".5", "5.", "1.5e",
    "$1,23,4.50", "$12,345.6789", "-$5", "$-5", "$", "1'000", "½", "1e400", "0.0000000001", "1,000,000", "$1,000,000.001",
)  # fmt: skip
_JUNK = (b"", b" ", b"\x00", b"\xff", b"\xc3\x28", b"\xef\xbb\xbf", b"{", b"}", b"]", b",", b":", b'"', b"\\u0000", b"\\ud800",
         b"\\", b"\n", b"/*x*/", b"<html>", b"null", b"[[[[[[", b"\xf0\x9f\x92\xa9", b"1e9", b"-", b".")  # fmt: skip


def body(seed: int, vendor: Vendor, endpoint: Endpoint, number: int) -> bytes:
    """The mutated body with a number: 1 to 5 changes of structure or of a number, and for every fifth also of bytes."""
    random = Random(f"{seed}/{vendor.name}/{endpoint.name}/{number}")  # noqa: S311 - no secret is drawn
    payload = original(vendor, endpoint)
    for _ in range(random.randint(1, 5)):
        payload = _with_another_number(random, payload) if random.random() < 0.5 else meddled(random, payload)
    text = encoded(endpoint, payload)
    if endpoint.body == "json":
        text = _RAW.sub(lambda found: found[1], text.decode()).encode()
        if random.random() < 0.1:
            text = _with_a_key_twice(random, text)
    return _with_other_bytes(random, text) if random.random() < 0.2 else text


def _with_another_number(random: Random, payload: Any) -> Any:
    """Replace one of the leaves by a number, as JSON or as text, well formed or not."""
    leaves = [place for place in places(payload) if place and not isinstance(_look(payload, place), dict | list)]
    if not leaves:
        return payload
    *above, last = random.choice(leaves)
    holder = _look(payload, tuple(above))
    match random.randrange(4):
        case 0:
            holder[last] = f"@raw:{random.choice(_RAW_NUMBERS)}@"
        case 1:
            holder[last] = random.choice(_TEXT_NUMBERS)
        case 2:
            # Like a vendor's floats and decimals: any digits, any scale.
            digits = "".join(random.choices("0123456789", k=random.randint(1, 34)))
            point = random.randint(0, len(digits))
            number = f"{digits[:point].lstrip('0') or '0'}{'.' if digits[point:] else ''}{digits[point:]}"
            number = random.choice(["", "-"]) + number
            holder[last] = number if random.random() < 0.5 else f"@raw:{number}@"
        case _:
            holder[last] = copy.deepcopy(random.choice(STRANGE))
    return payload


def _look(value: Any, place: tuple[str | int, ...]) -> Any:
    for key in place:
        value = value[key]
    return value


def _with_a_key_twice(random: Random, text: bytes) -> bytes:
    """Repeat a member of an object with another value; JSON readers are free to prefer either."""
    members = list(re.finditer(rb'"([A-Za-z_]+)": ', text))
    if not members:
        return text
    again = random.choice(members)
    value = json.dumps(random.choice([1, "2.5", None, "EUR", [], {}])).encode()
    return text[: again.start()] + again[0] + value + b", " + text[again.start() :]


def _with_other_bytes(random: Random, text: bytes) -> bytes:
    """Truncate, flip a bit, insert junk, or repeat a piece."""
    at = random.randint(0, len(text))
    match random.randrange(4):
        case 0:
            return text[:at]
        case 1 if text:
            at = min(at, len(text) - 1)
            return text[:at] + bytes([text[at] ^ 1 << random.randrange(8)]) + text[at + 1 :]
        case 2:
            return text[:at] + random.choice(_JUNK) + text[at:]
        case _:
            until = random.randint(at, min(at + 40, len(text)))
            return text[:until] + text[at:until] + text[until:]
