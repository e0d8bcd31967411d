"""The charts of an account's card: its forecast, its spend by month, and its newest bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from pipeline.forecasts.plots import curve, fan
from pipeline.published.report.charts import STEPS, months, waterfall
from pipeline.published.report.html_tables import HtmlTable, Spell, drawn, table
from pipeline.published.report.report_queries import Row, Snapshot
from pipeline.published.report.words import chance, day, in_unit, instant, money, month
from pipeline.schema.unexplained_classes import MEANINGS
from pipeline.support.svg import NARROW
from pipeline.support.wording import count

_LEVELS: Final = ("05", "10", "25", "50", "75", "90", "95")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing, the tables behind it, and notes on its limitations."""

    svg: Markup
    tables: list[HtmlTable]
    notes: list[str]


def forecast_charts(found: Snapshot, name: str, unit: str, issue: Row, readings: HtmlTable) -> list[Chart]:
    """Return the fan and the runway curve of an issued forecast; none where the numbers cannot be drawn."""
    ahead = found.of("fan", name)
    start = issue["day_start_amount"]
    # The plot takes quantiles of spend, the query returns quantiles of the balance.
    spent = [
        {"horizon_days": row["horizon_days"]}
        | {f"p{a}_amount": start - row[f"p{b}_amount"] for a, b in zip(_LEVELS, reversed(_LEVELS), strict=True)}
        for row in ahead
    ]
    note = "" if issue["auto_topup_model"] == "off" else "without automatic top-ups"
    if issue["resets_at_utc"] is not None:
        note = "without resets of the quota"
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
    if issue["resets_at_utc"] is not None:
        with_topups = ["At each reset the balance starts again from its full size."]
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
        "depleted_probability": ("dry", chance),
    }
    if issue["threshold_amount"] is not None:
        curve_columns["below_threshold_probability"] = ("below the threshold", chance)
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


def spend_charts(found: Snapshot, name: str, unit: str, issue: Row | None) -> list[Chart]:
    """Return the bars of past months and the expected next ones; none where nothing was spent and none is expected."""
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


def bridge_charts(found: Snapshot, name: str, unit: str) -> list[Chart]:
    """Return the waterfall from the opening to the closing balance; none where there is no bridge."""
    bridge = next(iter(found.of("bridge", name)), None)
    if bridge is None:
        return []
    steps: dict[str, tuple[str, Spell]] = {
        column: (title.lower(), money) for column, title in STEPS if bridge[column] or column != "quota_reset_amount"
    }
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
            f"Top-ups of {in_unit(bridge['inferred_top_up_amount'], unit)} are inferred: no document states them."
        )
    classes = found.of("classes", name)
    if classes:
        listed = ", ".join(
            f"{in_unit(row['unexplained_amount'], unit)} {kind} ({MEANINGS[kind]})"
            for row in classes
            for kind in [row["unexplained_class"]]
        )
        notes.append(f"Unexplained: {listed}.")
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
