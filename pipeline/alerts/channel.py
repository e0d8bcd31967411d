"""One message through whatever Apprise knows; what it says of a failure is kept, without the URL.

Redirects are never followed. After a 301, 302 or 303 the message would be asked for without its body, and the answer to
that taken for a delivery; after any of them, whoever answers there would be told.
"""

from __future__ import annotations

import logging
import re
import traceback
from dataclasses import dataclass
from typing import Any

from pipeline.alerts.messages import MOST_CHARACTERS
from pipeline.printable import printable, printable_lines
from pipeline.secret import Redactor, Secret

# Apprise tells a refusal by the receiver's status, and in its debug lines why no connection came about.
_NOT_ARRIVED = re.compile(
    r"error=[345][0-9][0-9]\b|Connection refused|NewConnectionError|ConnectTimeout|NameResolutionError"
)
_REDIRECTED = re.compile(r"error=3[0-9][0-9]\b")
# What is shorter is a word such as the name of a service, and no token.
_TOKEN_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message was not delivered."""

    problem: str
    """One sentence without the URL."""
    is_unknown: bool
    """It may have arrived all the same."""


def most_characters(url: Secret) -> int:
    """The most characters of title and body together that every service behind a URL takes."""
    with _listening(_redactor(url)):
        channel = _channel(url)
        known = [int(service.body_maxlen) for service in channel or () if service.body_maxlen > 0]
    return min([MOST_CHARACTERS, *known])


def send(url: Secret, title: str, body: str) -> Failure | None:
    """Deliver a message once; returns what went wrong, or None."""
    # It says of a URL that it does not know what that URL is.
    with _listening(_redactor(url)) as heard:
        channel = _channel(url)
        if channel is None:
            return Failure(f"the URL in {url.name} is none that Apprise knows", is_unknown=False)
        delivered = channel.notify(title=printable(title), body=printable_lines(body.split("\n")))
    if delivered:
        return None
    told = [line for level, line in heard if level >= logging.WARNING]
    why = told[-1][:200] if told else "no reason was given"
    if _REDIRECTED.search(why):
        why += f" That is a redirect, which is not followed: put the address that it leads to into {url.name}"
    # Of several services behind one URL, one may have taken it.
    is_unknown = len(channel) > 1 or not any(_NOT_ARRIVED.search(line) for _, line in heard)
    return Failure(f"the message through {url.name} was not delivered: {why}", is_unknown=is_unknown)


def _channel(url: Secret) -> Any | None:
    """Apprise with the URL's services; None where it knows none. Apprise itself is untyped."""
    import apprise

    channel = apprise.Apprise()
    if not channel.add(url.reveal()):
        return None
    for service in channel:
        # Set here, because a parameter of the URL would override it anywhere else.
        service.redirects = False
    return channel


def _redactor(url: Secret) -> Redactor:
    """Takes the URL out of a text, and those parts of it that may be tokens by themselves."""
    parts = {part for part in re.split(r"[/:@?&=,;]+", url.reveal()) if len(part) >= _TOKEN_LENGTH}
    return Redactor([url, *(Secret(part, name=url.name) for part in sorted(parts))])


class _listening(logging.Handler):
    """Keeps what Apprise says, and lets it go no further; meanwhile no log line of anybody's names the URL.

    Which libraries Apprise sends with is its own affair, and at their lowest level they log whole addresses.
    """

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(logging.DEBUG)
        self._redactor = redactor
        self._make = logging.getLogRecordFactory()
        self._heard: list[tuple[int, str]] = []
        self._logger = logging.getLogger("apprise")
        self._before = (self._logger.propagate, self._logger.level)

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append((record.levelno, record.getMessage()))

    def _record(self, *arguments: Any, **more: Any) -> logging.LogRecord:
        record = self._make(*arguments, **more)
        try:
            text = record.getMessage()
        except Exception:  # a library's line that does not fit its own values is no reason to lose the message
            text = str(record.msg)
        record.msg, record.args = self._redactor.text(text), None
        if record.exc_info:
            record.exc_text = self._redactor.text("".join(traceback.format_exception(*record.exc_info)))
            record.exc_info = None
        return record

    def __enter__(self) -> list[tuple[int, str]]:
        logging.setLogRecordFactory(self._record)
        self._logger.propagate = False
        self._logger.setLevel(logging.DEBUG)
        self._logger.addHandler(self)
        return self._heard

    def __exit__(self, *_: object) -> None:
        logging.setLogRecordFactory(self._make)
        self._logger.removeHandler(self)
        self._logger.propagate, level = self._before
        self._logger.setLevel(level)
