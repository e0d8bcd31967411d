"""Send one message through Apprise, and report a failure without the URL.

Redirects are never followed. After a 301, 302 or 303 the client would repeat the request without its body and take the
answer for a delivery; after any redirect the message could reach another recipient.
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

# Apprise reports a refusal by the status of the response, and the cause of a failed connection only in debug lines.
_NOT_ARRIVED = re.compile(
    r"error=[345][0-9][0-9]\b|Connection refused|NewConnectionError|ConnectTimeout|NameResolutionError"
)
_REDIRECTED = re.compile(r"error=3[0-9][0-9]\b")
# Shorter parts are words such as the name of a service, and no tokens.
_TOKEN_LENGTH = 10


_KINDS: Final = {"critical": "failure", "warning": "warning", "unknown": "warning", "recovered": "success"}
"""Apprise's types of messages; anything else is `info`."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Reason why a message was not delivered."""

    problem: str
    """One sentence without the URL."""
    is_unknown: bool
    """The message may have arrived nevertheless."""


def redacted_logs(url: Secret) -> contextlib.AbstractContextManager[object]:
    """A block in which no log line of any library shows the URL or a part of it that could be a token."""
    return _captured_lines(_redactor(url))


def most_characters(url: Secret) -> int:
    """Maximum length of title and body together that every service behind a URL accepts."""
    with _captured_lines(_redactor(url)):
        known = [int(service.body_maxlen) for service in _services(url) if service.body_maxlen > 0]
    return min([MOST_CHARACTERS, *known])


def send(url: Secret, title: str, body: str, kind: str = "watch") -> Failure | None:
    """Send a message once; returns the failure, or None. Thread-safe.

    `kind` is its worst severity, or `recovered`: services mark messages by it, such as with a colour.
    """
    # Apprise logs that it does not know a URL, and quotes the URL.
    with _captured_lines(_redactor(url)) as lines:
        services = _services(url)
        if not services:
            return Failure(f"the URL in {url.name} is not one that Apprise knows", is_unknown=False)
        # One service at a time: given several, Apprise sends from its own threads, whose log lines cannot be assigned
        # to a recipient.
        delivered = [_notify(service, title, body, kind) for service in services]
    if all(delivered):
        return None
    warnings = [line for level, line in lines if level >= logging.WARNING]
    why = warnings[-1][:200] if warnings else "no reason was given"
    if _REDIRECTED.search(why):
        why += f" That is a redirect, which is not followed: put the address that it leads to into {url.name}"
    # If a URL names several services, one of them may have accepted the message.
    is_unknown = len(services) > 1 or not any(_NOT_ARRIVED.search(line) for _, line in lines)
    return Failure(f"the message through {url.name} was not delivered: {why}", is_unknown=is_unknown)


def _notify(service: Any, title: str, body: str, kind: str) -> bool:
    import apprise

    channel = apprise.Apprise()
    channel.add(service)
    shown = printable_lines(body.split("\n"))
    return bool(channel.notify(title=printable(title), body=shown, notify_type=_KINDS.get(kind, "info")))


def _services(url: Secret) -> list[Any]:
    """Services that a URL names; empty if Apprise does not know it. Apprise itself is untyped."""
    import apprise

    channel = apprise.Apprise()
    if not channel.add(url.reveal()):
        return []
    services = list(channel)
    for service in services:
        # Set on the object, because a parameter of the URL would override it anywhere else.
        service.redirects = False
    return services


def _redactor(url: Secret) -> Redactor:
    """Remove the URL from a text, and every part of it that could be a token."""
    parts = {part for part in re.split(r"[/:@?&=,;]+", url.reveal()) if len(part) >= _TOKEN_LENGTH}
    return Redactor([url, *(Secret(part, name=url.name) for part in sorted(parts))])


@dataclass(slots=True, eq=False)
class _ThreadLog:
    """Log lines of one sending thread."""

    redactor: Redactor
    thread_id: int
    lines: list[tuple[int, str]]


class _ThreadLogs(logging.Handler):
    """Logging handler that keeps Apprise's lines by sending thread and passes them to no other handler.

    While a message is being sent, no log line of any library may show a URL. Apprise chooses the libraries that it
    sends with, and at their lowest level they log complete addresses, also from their own threads: so every line is
    redacted with the URLs of all threads.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._thread_logs: list[_ThreadLog] = []
        self._guard = threading.Lock()
        self._make = logging.getLogRecordFactory()
        self._logger = logging.getLogger("apprise")
        self._before = (True, logging.NOTSET)

    def emit(self, record: logging.LogRecord) -> None:
        for thread_log in tuple(self._thread_logs):
            if thread_log.thread_id == record.thread:
                thread_log.lines.append((record.levelno, record.getMessage()))

    def _record(self, *arguments: Any, **more: Any) -> logging.LogRecord:
        record = self._make(*arguments, **more)
        try:
            text = record.getMessage()
        except Exception:  # a library's malformed log call must not cost the message
            text = str(record.msg)
        record.msg, record.args = self._redacted(text), None
        if record.exc_info:
            record.exc_text = self._redacted("".join(traceback.format_exception(*record.exc_info)))
            record.exc_info = None
        return record

    def _redacted(self, text: str) -> str:
        for thread_log in tuple(self._thread_logs):
            text = thread_log.redactor.text(text)
        return text

    def join(self, thread_log: _ThreadLog) -> None:
        with self._guard:
            self._thread_logs.append(thread_log)
            if len(self._thread_logs) == 1:
                self._make = logging.getLogRecordFactory()
                self._before = (self._logger.propagate, self._logger.level)
                logging.setLogRecordFactory(self._record)
                self._logger.propagate = False
                self._logger.setLevel(logging.DEBUG)
                self._logger.addHandler(self)

    def leave(self, thread_log: _ThreadLog) -> None:
        with self._guard:
            self._thread_logs.remove(thread_log)
            if not self._thread_logs:
                logging.setLogRecordFactory(self._make)
                self._logger.removeHandler(self)
                self._logger.propagate, level = self._before
                self._logger.setLevel(level)


_THREAD_LOGS: Final = _ThreadLogs()


@contextlib.contextmanager
def _captured_lines(redactor: Redactor) -> Iterator[list[tuple[int, str]]]:
    """Yield Apprise's log lines of this thread during the block, with their levels."""
    thread_log = _ThreadLog(redactor, threading.get_ident(), [])
    _THREAD_LOGS.join(thread_log)
    try:
        yield thread_log.lines
    finally:
        _THREAD_LOGS.leave(thread_log)
