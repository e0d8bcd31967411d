"""Rendering of `published/report/index.html`: one file that needs no network, no server and, to be read, no script."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline import __version__
from pipeline.models.status_at import ORDER_NOW
from pipeline.published.report.cards import Card, cards
from pipeline.published.report.month_section import running_month
from pipeline.published.report.report_queries import Snapshot, read_snapshot
from pipeline.published.report.sections import fleet, quality, trust
from pipeline.published.report.words import FILTERS
from pipeline.schema.limits import CRITICAL_DAYS, DUE_DAYS, WARNING_DAYS, WATCH_DAYS
from pipeline.schema.severities import URGENCY
from pipeline.support.errors import first_line
from pipeline.support.home import Home, atomic_file, build_id, private_folder
from pipeline.support.svg import fit

_TEMPLATES: Final = Path(__file__).parent / "templates"

_UNFOLDED: Final = ("critical", "warning", "unknown")
"""Severities whose cards show their numbers and plots at once; the others are folded."""

_HEAD_BYTES: Final = 2_000
"""First bytes of the page, which identify its build."""


def publish_report(build: Path, home: Home) -> Path:
    """Write the report of a published build, replacing the last one whole, and return its path.

    Raises DrawdownError if the build cannot be read, OSError if the file cannot be written; readers then keep the
    previous report.
    """
    page = render(read_snapshot(build))
    path = _path(home)
    private_folder(path.parent)
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def current_report(home: Home) -> Path:
    """The report of the current build, rendered again if it is missing, or of another build or version.

    Raises DrawdownError if nothing is published, or it cannot be read.
    """
    path = _path(home)
    if home.current.exists() and path.exists():
        with path.open("rb") as file:
            if _mark(build_id(home.current)).encode() in file.read(_HEAD_BYTES):
                return path
    return publish_report(home.current, home)


def render(found: Snapshot) -> str:
    """Render the page as HTML."""
    accounts = cards(found)
    build = {row["item"]: row["value"] for row in found.fleet["build"]}
    style, script = _text("style.css"), script_text()
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return (
        _environment()
        .get_template("page.html")
        .render(
            articles=[_article(card) for card in accounts],
            build=build,
            month=running_month(found),
            mark=Markup(_mark(found.build_id)),  # noqa: S704 - hexadecimal digits
            fleet=fleet(found, accounts),
            policy=policy,
            quality=quality(found),
            script=Markup(script),  # noqa: S704 - our own file
            severities=[each for each in URGENCY if any(card.status["severity"] == each for card in accounts)],
            style=Markup(style),  # noqa: S704 - our own file
            teams=sorted({card.status["team"] for card in accounts if card.status["team"]}),
            trust=trust(found),
        )
    )


def _article(card: Card) -> Markup:
    """An account's card as markup. An error in one card is shown on it, and affects no other."""
    status, problem = card.status, card.problem
    if not problem:
        is_open = status["severity"] in _UNFOLDED
        try:
            text = _environment().get_template("article.html").render(account=card, is_open=is_open)
            return Markup(text)  # noqa: S704 - a template of ours, which escapes
        except Exception as failure:
            problem = f"{type(failure).__name__}: {first_line(failure)}"
    text = (
        _environment()
        .get_template("undrawn.html")
        .render(
            account_id=str(status["account_id"]),
            problem=problem,
            reading=str(status["reading_state"]),
            severity=str(status["severity"]),
            slug=card.slug,
        )
    )
    return Markup(text)  # noqa: S704 - a template of ours, which escapes


def _path(home: Home) -> Path:
    return home.published / "report" / "index.html"


def _mark(build_id: str) -> str:
    return f'<meta name="drawdown-build" content="{__version__} {build_id}">'


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


def script_text() -> str:
    """The page's script, with its limits filled in."""
    limits = {"critical_days": CRITICAL_DAYS, "warning_days": WARNING_DAYS, "watch_days": WATCH_DAYS}
    template = _environment().get_template("script.js")
    shown = {**{name: str(days) for name, days in limits.items()}, "order_now": Markup(json.dumps(ORDER_NOW))}  # noqa: S704 - our own words
    return template.render(shown, unfolded=Markup(json.dumps(_UNFOLDED))).strip()  # noqa: S704 - our own words


def _hash(text: str) -> str:
    """Hash with which a Content-Security-Policy permits an inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        finalize=_printable,
        loader=FileSystemLoader(_TEMPLATES),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters.update(FILTERS)
    made.globals["due_days"] = DUE_DAYS
    return made


def _printable(value: Any) -> Any:
    """Text that the page prints. A number needs a format, so it must pass through a filter."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return fit(value)
    if isinstance(value, int):
        return value
    raise TypeError(f"{type(value).__name__} is printed without a filter")
