"""Search for texts in bytes in every spelling: in JSON, a URL, HTML or Base64, also nested within one another.

The searched bytes are decoded instead of encoding the texts: a character has too many spellings to list.
"""

from __future__ import annotations

import binascii
import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html.entities import html5
from itertools import accumulate
from typing import Final, Never

SHORTEST: Final = 8
"""Minimum length for a search in Base64; shorter texts would match by chance."""

_LEVELS: Final = 3
"""Number of times that escapes are decoded: escapes within escapes, and once more."""
_NESTED_BASE64: Final = 2
_BOUNDARY: Final = 6
"""Number of first characters of a text that may form an escape together with what precedes them."""
_QUAD, _TRIPLE = 4, 3
_TAIL_BYTES: Final = 4096
"""Longer than any key."""

_NAMES: Final = {
    name.encode(): value.encode() for name, value in html5.items() if len(value) == 1 and " " < value < "~"
}
# Only escapes of printable ASCII characters: no other can be part of a key, or of a nested escape.
_JSON: Final = rb'\\(?:u00[2-7][0-9a-fA-F]|["\\/])'
_URL: Final = rb"%[2-7][0-9a-fA-F]"
_LONGEST_FIRST: Final = sorted(_NAMES, key=lambda name: -len(name))
_CLOSED: Final = b"|".join(name for name in _LONGEST_FIRST if name.endswith(b";"))
_OPEN: Final = b"|".join(name for name in _LONGEST_FIRST if not name.endswith(b";"))
_NUMBER: Final = (
    rb"#0*+(?:3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6])(?:;|(?![0-9])%s)|#[xX]0*+[2-7][0-9a-fA-F](?:;|(?![0-9a-fA-F])%s)"
)
# HTML allows the semicolon to be omitted. Before another escape it may be what that escape stands for.
_UNLESS_ESCAPED: Final = rb"(?![\\%])"
_HTML: Final = b"&(?:%s|(?:%s)%s|%s)" % (_CLOSED, _OPEN, _UNLESS_ESCAPED, _NUMBER % ((_UNLESS_ESCAPED,) * 2))
_HTML_OPEN: Final = b"&(?:%s|%s|%s)" % (_CLOSED, _OPEN, _NUMBER % (b"", b""))
_ALL: Final = re.compile(b"|".join((_JSON, _URL, _HTML)))
_ALL_OPEN: Final = re.compile(b"|".join((_JSON, _URL, _HTML_OPEN)))
_EACH: Final = (re.compile(_JSON), re.compile(_URL), re.compile(_HTML_OPEN))
_LEFT_OUT: Final = re.compile(rb"&(?:#[0-9a-fA-FxX]++|%s)[\\%%]" % _OPEN)
_STARTS: Final = (b"\\", b"%", b"&")
_BROKEN_OFF: Final = re.compile(rb"(?:\\(?:u[0-9a-fA-F]{0,3})?|%[0-9a-fA-F]?|&[#0-9a-zA-Z]{0,24})\Z")
"""An escape truncated by the end of a body."""
_IS_LAST: Final = re.compile(rb"[A-Za-z0-9+/_=\\%&#;-]{0,64}")
"""What may remain at the end of a body after the beginning of a text: part of an escape, or of Base64."""
_IS_PRINTABLE: Final = bytes(0x20 <= code < 0x7F for code in range(256))
_IS_BASE64: Final = bytes((chr(code).isalnum() and code < 0x80) or chr(code) in "+/-_" for code in range(256))
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _View:
    """Bytes as the reader of some format sees them, with the position of each part in the searched bytes."""

    text: bytes
    place_of: Callable[[int, int], Span]


class Spellings:
    """Texts to search for, all of them ASCII; those shorter than SHORTEST are only matched as whole words.

    These are not searched in Base64. The texts may be keys: the object is never shown, copied or serialised with them.
    """

    __slots__ = ("_decoded_needles", "_needles", "_patterns", "_shortest", "_words")

    def __init__(self, texts: Iterable[str]) -> None:
        needles: dict[bytes, str] = {}
        decoded: dict[bytes, str] = {}
        self._words: dict[str, re.Pattern[bytes]] = {}
        for text in texts:
            raw = text.encode("ascii")
            if len(raw) < SHORTEST:
                self._words[text] = re.compile(rb"(?<![A-Za-z0-9])" + re.escape(raw) + rb"(?![A-Za-z0-9])")
                continue
            for form in (raw, raw.replace(b" ", b"+")):
                needles.setdefault(form, text)
            # A text that contains escapes itself is decoded along with its surroundings.
            for form in (*_levels_of(raw), raw[_BOUNDARY:]):
                if len(form) >= SHORTEST:
                    decoded.setdefault(form, text)
        own_escapes = any(start in text for text in needles for start in _STARTS)
        self._needles = needles
        self._decoded_needles = needles | {form: text for form, text in decoded.items() if form not in needles}
        self._patterns = (_ALL, *_EACH) if own_escapes else (_ALL,)
        self._shortest = min(map(len, (*needles, *self._words)), default=0)

    def __repr__(self) -> str:
        return f"Spellings of {len(set(self._needles.values())) + len(self._words)} texts"

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError(f"{self!r} are never copied or serialised")

    def find(self, body: bytes) -> list[tuple[int, int, str]]:
        """Find the texts, as (start, end, text) in order and without overlap.

        The beginning of a text with which the body breaks off also counts, from SHORTEST characters on.
        """
        found = {(*span, text) for span, text in self._occurrences(body)}
        apart: list[tuple[int, int, str]] = []
        for start, end, text in sorted(found, key=lambda each: (each[0], -each[1], each[2])):
            if apart and start < apart[-1][1]:
                before = apart[-1]
                apart[-1] = (before[0], max(before[1], end), before[2])
            else:
                apart.append((start, end, text))
        return apart

    def _occurrences(self, body: bytes) -> Iterator[tuple[Span, str]]:
        for view, is_base64 in self._views(_View(body, lambda start, end: (start, end)), _NESTED_BASE64):
            needles = self._needles if view.text is body else self._decoded_needles
            for needle, text in needles.items():
                at = view.text.find(needle)
                while at >= 0:
                    yield view.place_of(at, at + len(needle)), text
                    at = view.text.find(needle, at + len(needle))
            for text, word in self._words.items() if not is_base64 else ():
                for match in word.finditer(view.text):
                    yield view.place_of(*match.span()), text
            yield from self._broken_off(view, body, is_base64=is_base64)

    def _broken_off(self, view: _View, body: bytes, *, is_base64: bool) -> Iterator[tuple[Span, str]]:
        # The last bytes may be decoded from missing Base64 characters.
        begin = max(0, len(view.text) - _TAIL_BYTES)
        ends = [view.text[begin : len(view.text) - missing] for missing in range(_QUAD if is_base64 else 1)]
        for tail in {each for end in ends for each in (end, _BROKEN_OFF.sub(b"", end))}:
            for needle, text in self._needles.items():
                last = tail[-len(needle) :]
                for length in range(min(len(last), len(needle) - 1), SHORTEST - 1, -1):
                    if last.endswith(needle[:length]):
                        start, end = view.place_of(begin + len(tail) - length, begin + len(tail))
                        if _IS_LAST.fullmatch(body, end):
                            yield (start, len(body)), text
                        break

    def _views(self, view: _View, nested: int, *, is_base64: bool = False) -> Iterator[tuple[_View, bool]]:
        for level in self._unescaped(view, _LEVELS):
            yield level, is_base64
            if nested and self._needles:
                # The characters that only encode the shortest text.
                for decoded in _from_base64(level, max(SHORTEST, self._shortest) * 8 // 6 - 1):
                    yield from self._views(decoded, nested - 1, is_base64=True)

    def _unescaped(self, view: _View, levels: int) -> Iterator[_View]:
        yield view
        if not levels or not any(start in view.text for start in _STARTS):
            return
        # Binary data contains escapes by chance.
        if not _holds_run(view.text, _IS_PRINTABLE, self._shortest):
            return
        known = {view.text}
        also = (_ALL_OPEN,) if b"&" in view.text and _LEFT_OUT.search(view.text) else ()
        for pattern in (*self._patterns, *also):
            text = pattern.sub(_character, view.text)
            if text not in known:
                known.add(text)
                yield from self._unescaped(_View(text, _through_escapes(pattern, view)), levels - 1)


def _holds_run(text: bytes, classes: bytes, length: int) -> bool:
    return b"\1" * length in text.translate(classes)


def _character(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    return _CHARACTERS.get(escape) or _decode(escape)


def _decode(escape: bytes) -> bytes:
    if escape.startswith(b"\\u"):
        return bytes.fromhex(escape[4:].decode())
    if escape.startswith(b"\\"):
        return escape[1:]
    if escape.startswith(b"%"):
        return bytes.fromhex(escape[1:].decode())
    return html.unescape(escape.decode()).encode()


_CHARACTERS: Final = (
    {
        escape: _decode(escape)
        for code in range(0x20, 0x80)
        for form in ("\\u00{:02x}", "\\u00{:02X}", "%{:02x}", "%{:02X}", "&#{:d};", "&#x{:x};", "&#x{:X};")
        for escape in [form.format(code).encode()]
    }
    | {b'\\"': b'"', b"\\\\": b"\\", b"\\/": b"/"}
    | {b"&" + name: value for name, value in _NAMES.items()}
)
"""The usual escapes; others, such as numbers with leading zeros, are decoded on demand."""


def _levels_of(text: bytes) -> Iterable[bytes]:
    for _ in range(_LEVELS):
        yield text
        text = _ALL.sub(_character, text)


def _through_escapes(pattern: re.Pattern[bytes], view: _View) -> Callable[[int, int], Span]:
    """Positions of parts of `view`, decoded by `pattern`; computed on first use."""
    starts: list[int] = []
    lengths: list[int] = []
    gained: list[int] = []

    def place_of(start: int, end: int) -> Span:
        if not gained:
            for match in pattern.finditer(view.text):
                starts.append(match.start())
                lengths.append(match.end() - match.start())
            gained.extend(accumulate((length - 1 for length in lengths), initial=0))
            # Each escape is one character; from here on, `starts` has those characters' own positions.
            starts[:] = [at - before for at, before in zip(starts, gained, strict=False)]

        def before(at: int) -> int:
            # Escapes before `at`, without one at that position.
            return at + gained[bisect_right(starts, at - 1)]

        return view.place_of(before(start), before(end))

    return place_of


def _from_base64(view: _View, shortest: int) -> Iterator[_View]:
    """Texts in Base64 of a given length, in either alphabet and at any offset."""
    if not _holds_run(view.text, _IS_BASE64, shortest):
        return
    spans = [match.span() for match in re.finditer(rb"[A-Za-z0-9+/_-]{%d,}" % shortest, view.text)]
    # All runs are decoded at once: four characters are three bytes, independently of their surroundings.
    joined = b"A".join(view.text[start:end] for start, end in spans).translate(_TO_STANDARD)
    begins = list(accumulate((end - start + 1 for start, end in spans), initial=0))

    def source(at: int) -> int:
        number = bisect_right(begins, at) - 1
        start, end = spans[number]
        return min(start + at - begins[number], end - 1)

    for phase in range(_QUAD):
        padded = joined[phase:] + b"A" * (-(len(joined) - phase) % _QUAD)
        decoded = binascii.a2b_base64(padded)

        def place_of(start: int, end: int, phase: int = phase) -> Span:
            first = phase + start // _TRIPLE * _QUAD + start % _TRIPLE
            last = phase + (end - 1) // _TRIPLE * _QUAD + (end - 1) % _TRIPLE + 1
            return view.place_of(source(min(first, len(joined) - 1)), source(min(last, len(joined) - 1)) + 1)

        yield _View(decoded, place_of)
