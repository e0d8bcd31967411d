"""One message through whatever Apprise knows; what it says of a failure is kept, without the URL.

Redirects are never followed. After a 301, 302 or 303 the message would be asked for without its body, and the answer to
that taken for a delivery; after any of them, whoever answers there would be told.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pipeline.alerts.messages import MOST_CHARACTERS
from pipeline.support.printable import printable, printable_lines
from pipeline.support.secret import Redactor, Secret

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
        known = [int(service.body_maxlen) for service in _services(url) if service.body_maxlen > 0]
    return min([MOST_CHARACTERS, *known])


def send(url: Secret, title: str, body: str) -> Failure | None:
    """Deliver a message once; returns what went wrong, or None. Several threads may send at a time."""
    # It says of a URL that it does not know what that URL is.
    with _listening(_redactor(url)) as heard:
        services = _services(url)
        if not services:
            return Failure(f"the URL in {url.name} is none that Apprise knows", is_unknown=False)
        # Each by itself: together, Apprise would send in threads whose words nobody could tell from other recipients'.
        delivered = [_notify(service, title, body) for service in services]
    if all(delivered):
        return None
    told = [line for level, line in heard if level >= logging.WARNING]
    why = told[-1][:200] if told else "no reason was given"
    if _REDIRECTED.search(why):
        why += f" That is a redirect, which is not followed: put the address that it leads to into {url.name}"
    # Of several services behind one URL, one may have taken it.
    is_unknown = len(services) > 1 or not any(_NOT_ARRIVED.search(line) for _, line in heard)
    return Failure(f"the message through {url.name} was not delivered: {why}", is_unknown=is_unknown)


def _notify(service: Any, title: str, body: str) -> bool:
    import apprise

    channel = apprise.Apprise()
    channel.add(service)
    return bool(channel.notify(title=printable(title), body=printable_lines(body.split("\n"))))


def _services(url: Secret) -> list[Any]:
    """The services that a URL names; none where Apprise knows none. Apprise itself is untyped."""
    import apprise

    channel = apprise.Apprise()
    if not channel.add(url.reveal()):
        return []
    services = list(channel)
    for service in services:
        # Set here, because a parameter of the URL would override it anywhere else.
        service.redirects = False
    return services


def _redactor(url: Secret) -> Redactor:
    """Takes the URL out of a text, and those parts of it that may be tokens by themselves."""
    parts = {part for part in re.split(r"[/:@?&=,;]+", url.reveal()) if len(part) >= _TOKEN_LENGTH}
    return Redactor([url, *(Secret(part, name=url.name) for part in sorted(parts))])


@dataclass(slots=True, eq=False)
class _Ear:
    """Who listens in one thread."""

    redactor: Redactor
    thread_id: int
    heard: list[tuple[int, str]]


class _Ears(logging.Handler):
    """Keeps what Apprise says in each sending thread, and lets it go no further.

    While anybody sends, no log line of anybody's names a URL. Which libraries Apprise sends with is its own affair, and
    at their lowest level they log whole addresses, in threads of their own, too: every line is redacted by all.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._ears: list[_Ear] = []
        self._guard = threading.Lock()
        self._make = logging.getLogRecordFactory()
        self._logger = logging.getLogger("apprise")
        self._before = (True, logging.NOTSET)

    def emit(self, record: logging.LogRecord) -> None:
        for ear in tuple(self._ears):
            if ear.thread_id == record.thread:
                ear.heard.append((record.levelno, record.getMessage()))

    def _record(self, *arguments: Any, **more: Any) -> logging.LogRecord:
        record = self._make(*arguments, **more)
        try:
            text = record.getMessage()
        except Exception:  # a library's line that does not fit its own values is no reason to lose the message
            text = str(record.msg)
        record.msg, record.args = self._redacted(text), None
        if record.exc_info:
            record.exc_text = self._redacted("".join(traceback.format_exception(*record.exc_info)))
            record.exc_info = None
        return record

    def _redacted(self, text: str) -> str:
        for ear in tuple(self._ears):
            text = ear.redactor.text(text)
        return text

    def join(self, ear: _Ear) -> None:
        with self._guard:
            self._ears.append(ear)
            if len(self._ears) == 1:
                self._make = logging.getLogRecordFactory()
                self._before = (self._logger.propagate, self._logger.level)
                logging.setLogRecordFactory(self._record)
                self._logger.propagate = False
                self._logger.setLevel(logging.DEBUG)
                self._logger.addHandler(self)

    def leave(self, ear: _Ear) -> None:
        with self._guard:
            self._ears.remove(ear)
            if not self._ears:
                logging.setLogRecordFactory(self._make)
                self._logger.removeHandler(self)
                self._logger.propagate, level = self._before
                self._logger.setLevel(level)


_EARS: Final = _Ears()


@contextlib.contextmanager
def _listening(redactor: Redactor) -> Iterator[list[tuple[int, str]]]:
    """What Apprise says in this thread during the block, with its level."""
    ear = _Ear(redactor, threading.get_ident(), [])
    _EARS.join(ear)
    try:
        yield ear.heard
    finally:
        _EARS.leave(ear)
