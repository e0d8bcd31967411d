"""Warnings: facts about a run or a rebuild that a person should know and that affect no number.

The module that finds something logs it through its own logger; the code that runs everything collects each line once.
If nothing collects, as in Dagster's runs, lines go to Python's warnings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_UNCOLLECTED: Final = logging.getLogger("pipeline.support.notices")
_LOGGER: Final = logging.getLogger("pipeline.support.notices.line")


def warn(line: str) -> None:
    """Log a warning, once for each run."""
    _LOGGER.warning("%s", line)


class _Collector(logging.Handler):
    """Collects each line once, and passes it on if a callback is set."""

    def __init__(self, lines: list[str], tell: Callable[[str], object] = lambda _: None) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self._lines:
            self._lines.append(line)
            self._tell(line)


def forward_uncollected(tell: Callable[[str], object]) -> None:
    """Pass each line that is not collected to `tell`, once, from now on in this process."""
    _UNCOLLECTED.handlers = [_Collector([], tell)]
    _UNCOLLECTED.propagate = False


@contextmanager
def collected() -> Iterator[list[str]]:
    """Collect the lines logged during the block, each once."""
    lines: list[str] = []
    handler, propagates = _Collector(lines), _LOGGER.propagate
    _LOGGER.addHandler(handler)
    _LOGGER.propagate = False
    try:
        yield lines
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.propagate = propagates
