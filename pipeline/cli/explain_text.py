"""What `drawdown explain` prints: an account in plain words, and the rows behind each section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.cli.explain import Row, Section
from pipeline.cli.explain_balance import finding_lines, interval_lines, last_days_lines, reading_lines
from pipeline.cli.explain_forecast import forecast_lines, topup_lines
from pipeline.cli.explain_words import INDENT, at, balance
from pipeline.cli.terminal import SEVERITY_STYLES, console, indented

_WIDEST: Final = 100
"""Columns: longer lines are hard to read."""


def show(found: Section) -> None:
    """Print what `pipeline.cli.explain` found about an account, within the terminal's width."""
    from rich.text import Text

    screen = console()
    width = min(screen.width, _WIDEST)
    status = found["status"]["row"]
    words = f"{balance(status)}, {status['severity']}"
    gap = " " if len(found["account_id"]) + len(words) + 2 <= width else f"\n{INDENT}"
    head = Text(f"{found['account_id']}:{gap}{words}")
    start = len(head.plain) - len(status["severity"])
    head.stylize(SEVERITY_STYLES[status["severity"]], start)
    screen.print(head, soft_wrap=True)
    for title, lines, section in _sections(found, width):
        screen.print()
        screen.print(Text(title, style="bold"), soft_wrap=True)
        for line in lines:
            screen.print(line, markup=False, soft_wrap=True)
        for line in _sources(section, width) if section else ():
            screen.print(Text(line, style="dim"), soft_wrap=True)
    screen.print()
    for line in _ways(found, width):
        screen.print(line, markup=False, soft_wrap=True)


def _sections(found: Section, width: int) -> Iterator[tuple[str, list[str], Section | None]]:
    yield "In short", [indented(_reason(found["status"]["row"]), width)], found["status"]
    yield "The balance", list(reading_lines(found, width)), found["reading"]
    last, move = found["last_interval"], found["last_move"]
    if last["row"]:
        yield _title("The last interval", last["row"]), list(interval_lines(last, width)), last
        if move["row"] and move["row"]["closed_at_utc"] != last["row"]["closed_at_utc"]:
            yield _title("The last interval in which it moved", move["row"]), list(interval_lines(move, width)), move
    else:
        yield "The last interval", [indented("There is none yet: it takes two balances.", width)], None
    days = found["last_30_days"]
    if days["row"]:
        yield f"Where the money went in {days['days']} days", list(last_days_lines(days, width)), days
    yield "How the forecast is made", list(forecast_lines(found, width)), found["forecast"]
    if found["topup"]["row"]:
        today = found["read_at_utc"].date()
        yield "The next top-up", list(topup_lines(found["topup"]["row"], today, width)), found["topup"]
    yield "What looks wrong", list(finding_lines(found["odd"], width)), found["odd"] if found["odd"]["tables"] else None


def _reason(status: Row) -> str:
    words: str = status["reason"]
    return f"{words} {status['topup_advice']}" if status["topup_advice"] else words


def _title(words: str, interval: Row) -> str:
    return f"{words}: {at(interval['opened_at_utc'])} to {at(interval['closed_at_utc'])} UTC"


def _sources(section: Section, width: int) -> Iterator[str]:
    ids = section["fetch_ids"]
    words = f"Source: {', '.join(section['tables'])}"
    if ids:
        shown = ids[:6]
        words += f"; {'response' if len(ids) == 1 else 'responses'} {', '.join(shown)}"
        words += f" and {len(ids) - len(shown)} more (--json)" if len(ids) > len(shown) else ""
    yield indented(f"{words}.", width)


def _ways(found: Section, width: int) -> Iterator[str]:
    """Yield commands that can be copied: for the rows of each section, and for the bytes of a response."""
    yield "To see the rows behind it:"
    for query in dict.fromkeys(
        found[name]["query"] for name in ("status", "reading", "last_interval", "forecast", "topup", "odd")
    ):
        if query:
            table, _, rest = query.partition(" where ")
            yield f'{INDENT}drawdown sql "{table}'
            yield indented(indented(f'where {rest}"', width - 2), width)
    ids = found["reading"]["fetch_ids"] or found["odd"]["fetch_ids"]
    if ids:
        yield "To see a response byte for byte, as the vendor sent it:"
        yield f"{INDENT}drawdown explain --bytes {ids[0]} \\\n{INDENT * 2}{found['account_id']}"
