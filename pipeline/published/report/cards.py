"""What an account's card says, put together from the rows of a build; no markup but the drawings'."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from markupsafe import Markup

from pipeline.forecasts.plots import curve, fan
from pipeline.published.report.charts import STEPS, months, waterfall
from pipeline.published.report.html_tables import Spell, Table, drawn, table
from pipeline.published.report.report_queries import Row, Snapshot, sql_of
from pipeline.published.report.words import (
    CLASSES,
    EVIDENCE,
    converted,
    day,
    days,
    in_unit,
    instant,
    money,
    month,
    percent,
)  # fmt: skip
from pipeline.schema.severities import URGENCY
from pipeline.support.errors import first_line
from pipeline.support.svg import NARROW
from pipeline.support.wording import count

_LEVELS: Final = ("05", "10", "25", "50", "75", "90", "95")
_SLUG: Final = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing, the tables behind it, and what the eye does not see in it."""

    svg: Markup
    tables: list[Table]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An account."""

    slug: str
    status: Row
    problem: str
    """Why there is nothing else; empty where there is."""
    judged: dict[str, str]
    """What the page's script needs, by the name of its data attribute."""
    tags: list[str]
    facts: list[tuple[str, str, str]]
    """The query's column, its title and the words."""
    charts: list[Chart]
    notes: list[str]
    status_sql: str
    readings: Table | None
    held: Table | None
    day_folder: str
    """Where landing holds the answer, from the state folder; empty where there is none."""
    bytes_sql: str


def cards(found: Snapshot) -> list[Card]:
    """Every account of the build, the most urgent first."""
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
    """A name for addresses within the page, which no other account has."""
    base = slug = _SLUG.sub("-", account_id).strip("-") or "account"
    number = 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    taken.add(slug)
    return slug


def _card_or_why_not(found: Snapshot, status: Row, slug: str) -> Card:
    """An account's card; where something of it cannot be drawn, one that says so, and the others are drawn."""
    try:
        return _card(found, status, slug)
    except Exception as problem:
        return Card(
            slug=slug, status=status, problem=f"{type(problem).__name__}: {first_line(problem)}", judged={}, tags=[],
            facts=[], charts=[], notes=[], status_sql="", readings=None, held=None, day_folder="", bytes_sql="",
        )  # fmt: skip


def _judged(status: Row) -> dict[str, str]:
    """What the page's script judges the account by when it is opened; empty where nothing is known."""
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
    }
    return {name: "" if value is None else str(value) for name, value in facts.items()}


def _card(found: Snapshot, status: Row, slug: str) -> Card:
    name, unit = status["account_id"], status["unit_code"]
    notes: list[str] = []
    issue = next(iter(found.of("issue", name)), None)
    # Without a forecast of the newest balance, an older issue says nothing of it.
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
        *(_forecast(found, name, unit, issue, readings) if issue else []),
        *_spend(found, name, unit, issue),
        *_bridge(found, name, unit),
    ]
    held = found.of("held", name)
    asked = status["observed_at_utc"]
    folder = f"landing/{status['vendor']}" if status["fetch_id"] and asked else ""
    return Card(
        slug=slug,
        status=status,
        problem="",
        judged=_judged(status),
        tags=_tags(next((row["tags"] for row in found.of("tags", name)), "{}")),
        facts=_facts(status),
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
        day_folder=folder,
        bytes_sql=_bytes_sql(folder, status["fetch_id"]) if folder else "",
    )


def _bytes_sql(folder: str, fetch_id: str) -> str:
    return (
        "select request_url, status_code, decode(body) as body, body_sha256\n"
        f"from read_parquet('{folder}/*/*/*/*/*.parquet', union_by_name = true)\n"
        f"where fetch_id = '{fetch_id}'"
    )


def _tags(text: str | None) -> list[str]:
    try:
        tags = json.loads(text or "{}")
    except ValueError:
        return [str(text)]
    return [f"{key}: {value}" for key, value in tags.items()] if isinstance(tags, dict) else [str(text)]


def _facts(status: Row) -> list[tuple[str, str, str]]:
    unit, reporting = status["unit_code"], status["reporting_unit_code"]
    planned = "no plan" if status["topup_amount"] is None else in_unit(status["topup_amount"], unit)
    facts = [("balance_amount", "Balance", in_unit(status["balance_amount"], unit))]
    if unit != reporting:
        in_reporting = status["reporting_balance_amount"]
        words = converted(in_reporting) if in_reporting is None else in_unit(in_reporting, reporting)
        facts.append(("reporting_balance_amount", f"In {reporting}", words))
    facts += [
        ("runway_days", "Days left", days(status["runway_days"])),
        *(
            [("runway_without_topups_days", "Without automatic top-ups", days(status["runway_without_topups_days"]))]
            if status["auto_topup_model"] == "modelled"
            else []
        ),
        ("runway_p50_date", "Expected to run dry on", day(status["runway_p50_date"])),
        ("runway_p10_date", "10 % chance of being dry by", day(status["runway_p10_date"])),
        ("depleted_7d_probability", "Dry within 7 days", percent(status["depleted_7d_probability"])),
        ("depleted_30d_probability", "Dry within 30 days", percent(status["depleted_30d_probability"])),
        ("burn_28d_amount", "A day, mean of 28", in_unit(status["burn_28d_amount"], unit)),
        ("burn_7d_amount", "A day, mean of 7", in_unit(status["burn_7d_amount"], unit)),
        ("topup_amount", "Top-up", planned),
    ]
    if status["topup_gross_amount"] is not None:
        facts.append(("topup_gross_amount", "Top-up with tax", in_unit(status["topup_gross_amount"], unit)))
    facts.append(("order_by_date", "Order by", day(status["order_by_date"])))
    if status["threshold_amount"] is not None:
        facts.append(("threshold_amount", "Vendor's threshold", in_unit(status["threshold_amount"], unit)))
    if status["unconfirmed_amount"]:
        facts.append(("unconfirmed_amount", "Pending deposits", in_unit(status["unconfirmed_amount"], unit)))
    return [
        *facts,
        ("evidence_level", "Evidence", f"{status['evidence_level']}: {EVIDENCE[status['evidence_level']]}"),
        ("observed_at_utc", "Read", instant(status["observed_at_utc"])),
        ("reading_state", "Reading", status["reading_state"]),
        ("method", "Forecast by", f"{status['method']}, from {count(round(status['history_days']), 'day')}"),
    ]


def _forecast(found: Snapshot, name: str, unit: str, issue: Row, readings: Table) -> list[Chart]:
    ahead = found.of("fan", name)
    start = issue["day_start_amount"]
    # The plot takes what is spent, the query tells what is left of the balance.
    spent = [
        {"horizon_days": row["horizon_days"]}
        | {f"p{a}_amount": start - row[f"p{b}_amount"] for a, b in zip(_LEVELS, reversed(_LEVELS), strict=True)}
        for row in ahead
    ]
    note = "" if issue["auto_topup_model"] == "off" else "without automatic top-ups"
    try:
        pictures = [
            fan(
                name, unit, found.of("readings", name), spent, issue_date=issue["issue_date"], day_start_amount=start,
                threshold_amount=issue["threshold_amount"], note=note, width=NARROW,
            ),
            curve(name, found.of("curve", name), issue_date=issue["issue_date"], width=NARROW),
        ]  # fmt: skip
    except ValueError:
        return []
    issued = (
        f"Issued {instant(issue['issued_at_utc'])}, at a balance of {in_unit(start, unit)} at the start of the day."
    )
    with_topups = ["With the vendor's automatic top-ups."] if issue["auto_topup_model"] == "modelled" else []
    quantiles = {f"p{level}_amount": (f"p{level}", money) for level in _LEVELS}
    fan_table = table(
        "fan",
        f"Quantiles of the balance ahead, {unit}",
        ahead,
        {"forecast_date": ("by the end of", day), **quantiles},
        account_id=name,
        fetch_ids=(issue["fetch_id"],),
    )
    curve_columns: dict[str, tuple[str, Spell]] = {
        "forecast_date": ("by the end of", day),
        "depleted_probability": ("dry", percent),
    }
    if issue["threshold_amount"] is not None:
        curve_columns["below_threshold_probability"] = ("below the threshold", percent)
    curve_table = table(
        "curve",
        "Chance of having run dry",
        found.of("curve", name),
        curve_columns,
        account_id=name,
        fetch_ids=(issue["fetch_id"],),
    )
    return [
        Chart(svg=drawn(pictures[0]), tables=[fan_table, readings], notes=[issued]),
        Chart(svg=drawn(pictures[1]), tables=[curve_table], notes=with_topups),
    ]


def _spend(found: Snapshot, name: str, unit: str, issue: Row | None) -> list[Chart]:
    spent, ahead = found.of("months", name), found.of("outlook", name) if issue else []
    if not ahead and not any(row["spend_amount"] for row in spent):
        return []
    notes = []
    tables = [
        table(
            "months",
            f"Spend by month, {unit}",
            spent,
            {
                "spend_month": ("month", month),
                "spend_amount": ("spent", money),
                "basis": ("from", str),
                "is_complete": ("whole", lambda is_whole: "yes" if is_whole else "no"),
            },
            account_id=name,
        )
    ]
    if any(row["is_lower_bound"] for row in spent):
        notes.append("Spend from balances alone is a lower bound.")
    if ahead:
        first, *more = ahead
        notes.append(
            f"{first['forecast_date']:%B}: {money(first['spent_amount'])} spent, {in_unit(first['p50_amount'], unit)} "
            f"expected by its end; 80 %: {money(first['p10_amount'])} to {money(first['p90_amount'])}."
        )
        for row in more:
            notes.append(
                f"By the end of {row['forecast_date']:%B}, both months together: {in_unit(row['p50_amount'], unit)}; "
                f"80 %: {money(row['p10_amount'])} to {money(row['p90_amount'])}. The bar of {row['forecast_date']:%B} "
                "is the difference between the two medians."
            )
        if first["unseen_day_count"]:
            notes.append(f"{count(first['unseen_day_count'], 'day')} of the month so far not observed, and not in it.")
        tables.append(
            table(
                "outlook",
                f"Total expected from the first of this month on, {unit}",
                ahead,
                {
                    "forecast_date": ("by the end of", day),
                    "spent_amount": ("spent already", money),
                    "p10_amount": ("p10", money),
                    "p50_amount": ("median", money),
                    "p90_amount": ("p90", money),
                },
                account_id=name,
            )
        )
    try:
        return [Chart(svg=drawn(months(name, unit, spent, ahead)), tables=tables, notes=notes)]
    except ValueError:
        return []


def _bridge(found: Snapshot, name: str, unit: str) -> list[Chart]:
    bridge = next(iter(found.of("bridge", name)), None)
    if bridge is None:
        return []
    steps: dict[str, tuple[str, Spell]] = {column: (title.lower(), money) for column, title in STEPS}
    tables = [
        table(
            "bridge",
            f"From the opening balance to the closing one, {unit}",
            [bridge],
            {
                "opened_at_utc": ("from", instant),
                "closed_at_utc": ("to", instant),
                "opening_amount": ("opening", money),
                **steps,
                "closing_amount": ("closing", money),
                "inferred_top_up_amount": ("of top-ups inferred", money),
                "interval_count": ("intervals", str),
            },
            account_id=name,
            fetch_ids=(bridge["opening_fetch_id"], bridge["closing_fetch_id"]),
        )
    ]
    notes = []
    gap = bridge["closing_amount"] - bridge["opening_amount"] - sum(bridge[column] for column, _ in STEPS)
    if gap:
        notes.append(f"{in_unit(gap, unit)} lie in a gap of the bridge, where the unit changed.")
    if bridge["inferred_top_up_amount"]:
        notes.append(
            f"Top-ups of {in_unit(bridge['inferred_top_up_amount'], unit)} are inferred: no document tells them."
        )
    classes = found.of("classes", name)
    if classes:
        told = ", ".join(
            f"{in_unit(row['unexplained_amount'], unit)} {kind} ({CLASSES[kind]})"
            for row in classes
            for kind in [row["unexplained_class"]]
        )
        notes.append(f"Unexplained: {told}.")
        tables.append(
            table(
                "classes",
                f"What is not explained, {unit}",
                classes,
                {
                    "unexplained_class": ("class", str),
                    "unexplained_amount": ("amount", money),
                    "interval_count": ("intervals", str),
                },
                account_id=name,
            )
        )
    else:
        notes.append("All of it is explained.")
    try:
        return [Chart(svg=drawn(waterfall(name, bridge)), tables=tables, notes=notes)]
    except ValueError:
        return []
