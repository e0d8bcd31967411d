"""Warnings: what a person should know of a run or a rebuild, and that makes no number wrong.

Whoever finds something says it through a logger of its own; whoever runs the whole collects each line once. Where
nobody collects, as in Dagster's runs, a line goes where Python's warnings go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_UNCOLLECTED: Final = logging.getLogger("pipeline.support.notices")
_LOGGER: Final = logging.getLogger("pipeline.support.notices.line")


def warn(line: str) -> None:
    """Say something once for each run."""
    _LOGGER.warning("%s", line)


class _Collector(logging.Handler):
    """Keeps each line once, and hands it on where somebody is to hear it at once."""

    def __init__(self, lines: list[str], tell: Callable[[str], object] = lambda _: None) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self._lines:
            self._lines.append(line)
            self._tell(line)


def tell_uncollected(tell: Callable[[str], object]) -> None:
    """From now on, in this process, hand each line that nobody collects to `tell`, once."""
    _UNCOLLECTED.handlers = [_Collector([], tell)]
    _UNCOLLECTED.propagate = False


@contextmanager
def collected() -> Iterator[list[str]]:
    """The lines that are said during the block, each once."""
    lines: list[str] = []
    handler, propagates = _Collector(lines), _LOGGER.propagate
    _LOGGER.addHandler(handler)
    _LOGGER.propagate = False
    try:
        yield lines
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.propagate = propagates
