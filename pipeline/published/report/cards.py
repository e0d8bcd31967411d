"""The cards of the accounts, made from the rows of a build; the only markup is that of the charts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from pipeline.published.report.card_charts import Chart, bridge_charts, forecast_charts, spend_charts
from pipeline.published.report.card_facts import facts_of, tags_of
from pipeline.published.report.html_tables import HtmlTable, table
from pipeline.published.report.report_queries import Row, Snapshot, sql_of
from pipeline.published.report.words import day, days, instant, money, percent
from pipeline.schema.severities import URGENCY
from pipeline.support.errors import first_line

_SLUG: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An account."""

    slug: str
    status: Row
    problem: str
    """Why the card has no other content; empty for an ordinary card."""
    judged: dict[str, str]
    """Values for the page's script, by data attribute."""
    tags: list[str]
    facts: list[tuple[str, str, str]]
    """The query's column, its title and its text."""
    charts: list[Chart]
    notes: list[str]
    status_sql: str
    readings: HtmlTable | None
    held: HtmlTable | None
    planned: HtmlTable | None
    day_folder: str
    """Folder of the answer in landing, relative to the state folder; empty if there is none."""
    bytes_sql: str


def cards(found: Snapshot) -> list[Card]:
    """Return a card for each account of the build, the most urgent first."""
    rows = [row for each in found.accounts["status"].values() for row in each]
    rows.sort(
        key=lambda row: (
            URGENCY.index(row["severity"]),
            row["runway_days"] is None,
            row["runway_days"] or 0.0,
            row["account_id"],
        )
    )
    slugs: set[str] = set()
    return [_card_or_why_not(found, row, _slug(row["account_id"], slugs)) for row in rows]


def _slug(account_id: str, taken: set[str]) -> str:
    """Return an anchor within the page that no other account has."""
    base = slug = _SLUG.sub("-", account_id).strip("-") or "account"
    number = 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    taken.add(slug)
    return slug


def _card_or_why_not(found: Snapshot, status: Row, slug: str) -> Card:
    """Return an account's card. If it cannot be made, return one that says why, so that the others are shown."""
    try:
        return _card(found, status, slug)
    except Exception as problem:
        return Card(
            slug=slug, status=status, problem=f"{type(problem).__name__}: {first_line(problem)}", judged={}, tags=[],
            facts=[], charts=[], notes=[], status_sql="", readings=None, held=None, planned=None,
            day_folder="", bytes_sql="",
        )  # fmt: skip


def _judged(status: Row) -> dict[str, str]:
    """Return the values with which the page's script judges the account when the page is opened; empty if unknown."""
    is_by_day = status["method"] not in ("none", "mean_28d") and status["runway_p50_date"] is not None
    facts = {
        "observed": status["observed_at_utc"] and status["observed_at_utc"].astimezone(UTC).isoformat(),
        "reading": status["reading_state"],
        "stale-after": status["stale_after_seconds"],
        "by-day": "yes" if is_by_day else None,
        "dry10": status["runway_p10_date"],
        "dry50": status["runway_p50_date"],
        "balance": status["balance_amount"],
        "burn": status["burn_28d_amount"],
        "topped-up": "yes" if status["auto_topup_model"] == "modelled" else None,
        "below-days": status["alert_below_days"],
        "below-amount": status["alert_below_amount"],
        "threshold": status["threshold_amount"],
        "order-by": status["order_by_date"],
    }
    if status["resets_at_utc"] is not None:
        facts["resets"] = status["resets_at_utc"].astimezone(UTC).isoformat()
    return {name: "" if value is None else str(value) for name, value in facts.items()}


def _card(found: Snapshot, status: Row, slug: str) -> Card:
    name, unit = status["account_id"], status["unit_code"]
    notes: list[str] = []
    issue = next(iter(found.of("issue", name)), None)
    # An older issue is not a forecast of a newer balance.
    if issue is None or issue["unit_code"] != unit or status["reading_state"] == "unknown":
        issue = None
        notes.append(
            "No forecast was issued of this account's balance, so there is no fan and no runway curve."
            if status["method"] in ("none", "mean_28d")
            else "Forecasts are issued where a balance was read on the day, and this one was not: so there is no fan "
            "and no runway curve. The numbers above are those of the newest balance."
        )
    readings = table(
        "readings",
        "The newest good reading of each UTC day",
        found.of("readings", name),
        {
            "observed_at_utc": ("asked at", instant),
            "balance_amount": (f"balance, {unit}", money),
            "fetch_id": ("answer", str),
        },
        account_id=name,
    )
    charts = [
        *(forecast_charts(found, name, unit, issue, readings) if issue else []),
        *spend_charts(found, name, unit, issue),
        *bridge_charts(found, name, unit),
    ]
    held, planned = found.of("held", name), found.of("planned", name)
    asked = status["observed_at_utc"]
    folder = f"landing/{status['vendor']}" if status["fetch_id"] and asked else ""
    return Card(
        slug=slug,
        status=status,
        problem="",
        judged=_judged(status),
        tags=tags_of(next((row["tags"] for row in found.of("tags", name)), "{}")),
        facts=facts_of(status),
        charts=charts,
        notes=notes,
        status_sql=sql_of("status", name),
        readings=readings,
        held=table(
            "held",
            "Forecasts of this account that have come due",
            held,
            {
                "horizon_days": ("days ahead", days),
                "forecast_count": ("forecasts", str),
                "coverage_80_ratio": ("within the 80 % band", percent),
            },
            account_id=name,
        )
        if held
        else None,
        planned=table(
            "planned",
            f"Planned spend, {unit}",
            planned,
            {
                "from_date": ("from", day),
                "to_date": ("to", day),
                "note": ("note", lambda note: note or ""),
                "planned_amount": ("in addition", lambda planned: "" if planned is None else money(planned)),
                "multiplier": ("times the usual", lambda times: "" if times is None else f"{times.normalize():f}"),
                "state": ("state", str),
                "spent_amount": ("spent", money),
                "extra_amount": ("more than usual", money),
            },
            account_id=name,
        )
        if planned
        else None,
        day_folder=folder,
        bytes_sql=_bytes_sql(folder, status["fetch_id"]) if folder else "",
    )


def _bytes_sql(folder: str, fetch_id: str) -> str:
    return (
        "select request_url, status_code, decode(body) as body, body_sha256\n"
        f"from read_parquet('{folder}/*/*/*/*/*.parquet', union_by_name = true)\n"
        f"where fetch_id = '{fetch_id}'"
    )
