"""Secrets: held so that they are not printed by accident, and removed where a vendor echoes them."""

import base64
import html
import json
import os
import re
from collections.abc import Iterable
from typing import Never
from urllib.parse import quote, quote_plus

from pipeline.support.errors import UsageError
from pipeline.support.spellings import SHORTEST, Spellings

# A key shorter than this, such as a sandbox's "test", is only matched as a whole word; otherwise it would shred every
# body with that word.
_SHORT_LENGTH = SHORTEST


class Secret:
    """A key, named after its environment variable.

    `value` is the key itself; `name` is the variable's name. Every way of printing shows `Secret(NAME)`.

    Errors: `ValueError` with the variable, and never the value, if the value is empty, begins or ends with white space,
    or contains a control or non-ASCII character; none of these is valid in a header.
    """

    __slots__ = ("_prefix", "_value", "name")

    def __init__(self, value: str, *, name: str) -> None:
        self.name = name  # first, so that even a rejected secret has its repr in an error report
        problem = _problem(value)
        if problem:
            del value  # error reporters that record local variables would otherwise see it
            raise ValueError(f"the environment variable {name} {problem}; its value is not shown")
        self._value = value
        self._prefix = ""

    def reveal(self) -> str:
        """Return the bare key."""
        return self._value

    def header_value(self) -> str:
        """Return the header's value: the prefix, if any, and the key."""
        return self._prefix + self._value

    def with_prefix(self, prefix: str) -> "Secret":
        """Return the same key with a header prefix, such as `Bearer `."""
        prefixed = Secret(self._value, name=self.name)
        prefixed._prefix = prefix
        return prefixed

    @classmethod
    def basic(cls, user: "Secret | str", password: "Secret") -> "Secret":
        """Return the header value of HTTP Basic authentication, which must be redacted like its password."""
        name = user.reveal() if isinstance(user, Secret) else user
        pair = base64.b64encode(f"{name}:{password.reveal()}".encode()).decode()
        return cls(pair, name=password.name).with_prefix("Basic ")

    def __repr__(self) -> str:
        return f"Secret({self.name})"

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError(f"{self!r} is never copied or serialised")


def read_secret(variable: str, where: str) -> Secret:
    """Read the secret of an environment variable; `where` is the setting that names it, for the message.

    Raises UsageError with `where` and the variable, never the value, if it is not set or unusable.
    """
    value = os.environ.get(variable)
    if value is None:
        raise UsageError(f"{where}: the environment variable {variable} is not set; export it first")
    try:
        return Secret(value, name=variable)
    except ValueError as problem:
        raise UsageError(f"{where}: {problem}") from None


class Redactor:
    """Replaces secrets in text and bytes by `[redacted:NAME]`.

    Finds the key itself and its spellings in JSON, HTML, a URL or Base64, also nested within one another; see
    `pipeline.support.spellings`. The usual spellings are replaced by a fast search for bytes, which leaves little to
    decode.
    """

    __slots__ = ("_forms", "_marks", "_names", "_spellings")

    def __init__(self, secrets: Iterable[Secret]) -> None:
        secrets = list(secrets)
        self._names = sorted({secret.name for secret in secrets})
        marked = {(form, f"[redacted:{secret.name}]") for secret in secrets for form in _forms(secret.reveal())}
        # Longest first: Base64 of a key with its padding contains Base64 without.
        self._forms = sorted(
            ((form.encode("ascii"), mark.encode()) for form, mark in marked),
            key=lambda pair: (-len(pair[0]), pair),
        )
        self._marks = {secret.reveal(): f"[redacted:{secret.name}]".encode() for secret in reversed(secrets)}
        self._spellings = Spellings(tuple(self._marks))

    def body(self, body: bytes) -> tuple[bytes, bool]:
        """Return the bytes without secrets, and whether there were any.

        If a body breaks off in the middle of a key, that beginning of the key is removed as well.
        """
        redacted = self._replace_usual(body)
        for form, mark in self._forms:
            for length in range(len(form) - 1, _SHORT_LENGTH - 1, -1):
                if redacted.endswith(form[:length]):
                    redacted = redacted[:-length] + mark
                    break
        redacted = self._replace_unusual(redacted)
        return redacted, redacted != body

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        raw = self._replace_usual(text.encode("utf-8", "surrogatepass"))
        return self._replace_unusual(raw).decode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return f"Redactor({', '.join(self._names)})"

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError(f"{self!r} is never copied or serialised")

    def _replace_unusual(self, body: bytes) -> bytes:
        pieces: list[bytes] = []
        done = 0
        for start, end, key in self._spellings.find(body):
            pieces += [body[done:start], self._marks[key]]
            done = end
        return b"".join((*pieces, body[done:])) if pieces else body

    def _replace_usual(self, body: bytes) -> bytes:
        for form, mark in self._forms:
            if len(form) >= _SHORT_LENGTH:
                body = body.replace(form, mark)
            elif form in body:
                whole_word = rb"(?<![A-Za-z0-9])" + re.escape(form) + rb"(?![A-Za-z0-9])"
                body = re.sub(whole_word, mark.replace(b"\\", rb"\\"), body)
        return body


def _problem(value: str) -> str | None:
    if not value:
        return "is empty"
    if value != value.strip():
        return "begins or ends with white space or a line break"
    if not value.isascii():
        return "holds a character that is not ASCII"
    if not value.isprintable():
        return "holds a control character"
    return None


def _forms(value: str) -> set[str]:
    escaped = json.dumps(value)[1:-1]
    percent = {quote(value, safe=""), quote(value), quote_plus(value)}
    forms = {
        value,
        escaped,
        escaped.replace("/", "\\/"),  # as PHP writes it
        "".join(f"\\u{ord(c):04x}" if c in "<>&'" else c for c in escaped),  # as Go and PHP may write it
        html.escape(value),
        *percent,
        *(re.sub("%..", lambda m: m[0].lower(), p) for p in percent),
    }
    if len(value) >= _SHORT_LENGTH:
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + value.encode()).decode()
            # The first and last character may also contain bits of their neighbours.
            core = encoded[(offset * 8 + 5) // 6 : (offset + len(value)) * 8 // 6]
            forms |= {core, core.replace("+", "-").replace("/", "_")}
            if offset == 0:
                forms |= {encoded, encoded.replace("+", "-").replace("/", "_")}
    return forms
