"""How far long work is: a bar on a terminal, a line for each step where there is none. All of it on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline.cli.terminal import console
from pipeline.support.printable import printable

Told = Callable[[str | None], None]
"""To be called as each step ends, with what it came to; None where nothing is worth a line."""


@contextmanager
def steps(what: str, total: int | None) -> Iterator[Told]:
    """Count the steps of something; `total` is how many there are, None where nobody knows.

    More steps than were expected make the bar longer: it is never full before the work is.
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

        def told(line: str | None) -> None:
            if line is not None:
                progress.console.print(f"[green]✓[/green] {escape(printable(line))}", soft_wrap=True)
            done = progress.tasks[bar].completed + 1
            known = progress.tasks[bar].total
            progress.update(bar, completed=done, total=None if known is None else max(known, done + 1))

        yield told
