"""Progress of long work on stderr: a bar on a terminal, otherwise one line for each step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.cli.terminal import console
from pipeline.support.printable import printable

Told = Callable[[str | None], None]
"""Callback for the end of a step, with the line to show; None for no line."""


@contextmanager
def steps(what: str, total: int | None) -> Iterator[Told]:
    """Count the steps of long work; `total` is None if unknown.

    More steps than expected extend the bar, so that it is never full before the work is done.
    """
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda line: print(printable(line), file=sys.stderr, flush=True) if line is not None else None
        return
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=screen, transient=True, expand=True) as progress:
        bar = progress.add_task(escape(what), total=total)

        def advance(line: str | None) -> None:
            if line is not None:
                progress.console.print(f"[green]✓[/green] {escape(printable(line))}", soft_wrap=True)
            done = progress.tasks[bar].completed + 1
            known = progress.tasks[bar].total
            progress.update(bar, completed=done, total=None if known is None else max(known, done + 1))

        yield advance
