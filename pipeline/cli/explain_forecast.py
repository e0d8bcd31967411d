"""What `drawdown explain` says about the forecast, and the top-up that follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date
from typing import Any, Final

from pipeline.cli.explain import Row, Section
from pipeline.cli.explain_words import INDENT, cut, money
from pipeline.cli.terminal import aligned, indented
from pipeline.schema.limits import HORIZON_DAYS
from pipeline.support.order_dates import last_order_date, when_to_order
from pipeline.support.wording import amount, chance, count, exact_amount, exact_amounts, exact_percent

_METHODS: Final = {
    "none": "there is no history to forecast from",
    "mean_28d": "the balance divided by the mean spend of 28 days, because there is no forecast",
    "prior": "no spend observed yet: the vendor's own estimate, with the weekly pattern of other accounts",
    "donors": "few days observed yet: their mean, with the weekly pattern of other accounts",
    "weeks": "resampled weeks of its own history; the level is uncertain, because few weeks are known",
    "blocks": "resampled weeks of its own history at the recent level, which is still somewhat uncertain",
    "full": "resampled weeks of the past half year at the recent level, with a width calibrated on past errors",
}
_AUTO: Final = {
    "modelled": "The vendor's automatic top-ups are included.",
    "not_modelled": "The vendor tops it up automatically, but does not state its rule: these top-ups are not included.",
}
_MOST_CHARGES: Final = 6


def forecast_lines(found: Section, width: int) -> Iterator[str]:
    """Yield the method, the probabilities of running dry, the expected spend, the known charges and the plans."""
    section, status = found["forecast"], found["status"]["row"]
    row = section["row"]
    if row is None:
        method = f"Method {status['method']}: {_METHODS[status['method']]}."
        yield indented(f"There is no forecast for this account. {method}", width)
        if status["burn_28d_amount"]:
            yield indented(
                f"Mean spend of up to 28 days: {amount(status['burn_28d_amount'], status['unit_code'])} a day.", width
            )
    else:
        days = count(int(row["history_days"]), "observed day")
        yield indented(f"Method {row['method']}, from {days}: {_METHODS[row['method']]}.", width)
        yield indented(
            f"It starts from {money(row, 'day_start_amount')}: the balance plus what had been spent that day "
            "before it was read.",
            width,
        )
        yield from (indented(line, width) for line in _chances(row))
        if row["auto_topup_model"] in _AUTO:
            yield indented(_AUTO[row["auto_topup_model"]], width)
        yield from _expected(section, width)
    yield from _charges(section["known_charges"], width)
    for plan in section["planned"]:
        yield from (indented(line, width) for line in _planned(plan))


def _chances(row: Row) -> Iterator[str]:
    if row["resets_at_utc"] is not None:
        yield (
            f"Resets on {row['resets_at_utc'].astimezone(UTC):%Y-%m-%d}: chance to be used up before "
            f"{chance(row['depleted_before_reset_probability'])}. After it, the forecast starts again from "
            f"{money(row, 'quota_amount')}."
        )
    # Of several chances by one date, the highest says it all.
    chances = {
        row[name]: chance
        for chance, name in ((10, "runway_p10_date"), (50, "runway_p50_date"), (90, "runway_p90_date"))
        if row[name] is not None
    }
    by_date = ", ".join(f"{level} % by {day}" for day, level in chances.items())
    yield (
        f"Chance of having run dry: {by_date}."
        if chances
        else "No date of running dry lies before the reset."
        if row["resets_at_utc"] is not None
        else f"No date of running dry lies within {HORIZON_DAYS} days."
    )
    yield f"Chance that it lasts more than {HORIZON_DAYS} days: {chance(row['beyond_horizon_probability'])}."
    yield (
        f"Chance of running dry within 7 days {chance(row['depleted_7d_probability'])}, within 30 days "
        f"{chance(row['depleted_30d_probability'])}."
    )
    if row["below_threshold_30d_probability"] is not None:
        yield (
            f"Chance of falling below the vendor's threshold within 30 days "
            f"{chance(row['below_threshold_30d_probability'])}."
        )


def _expected(section: Section, width: int) -> Iterator[str]:
    def table(rows: list[Row], name: Any) -> Iterator[str]:
        head = ("", "p10", "p50", "p90")
        lines = [(name(row), *(amount(row[f"{level}_amount"]) for level in head[1:])) for row in rows]
        for line in aligned([head, *lines], (False, True, True, True)):
            yield f"{INDENT * 2}{line}"

    if section["totals"]:
        first = section["totals"][0]
        yield indented(f"Expected spend in {first['unit_code']}, as issued on {first['issue_date']}:", width)
        yield from table(section["totals"], lambda row: f"next {count(int(row['horizon_days']), 'day')}")
    if section["next_days"]:
        yield indented("Day by day:", width)
        yield from table(section["next_days"], lambda row: f"{row['forecast_date']:%a} {row['forecast_date']}")


def _charges(rows: list[Row], width: int) -> Iterator[str]:
    automatic = [row for row in rows if row["is_automatic"]]
    if rows:
        yield indented(
            f"Known charges: {len(rows)}, of which {len(automatic)} renew automatically and are in the forecast on "
            "their due dates:",
            width,
        )
        lines = [
            (
                str(row["due_date"]),
                exact_amount(row["charge_amount"]),
                row["unit_code"],
                cut(row["description"] or row["charge_id"], width - 50)
                + _cycle(row["cycle_months"])
                + ("" if row["is_automatic"] else ", not automatic"),
            )
            for row in rows[:_MOST_CHARGES]
        ]
        for line in aligned(lines, (False, True, False, False)):
            yield f"{INDENT * 2}{line}"
        if len(rows) > _MOST_CHARGES:
            yield f"{INDENT * 2}and {len(rows) - _MOST_CHARGES} more"


def _planned(plan: Row) -> Iterator[str]:
    note = f" ({plan['note']})" if plan["note"] else ""
    if plan["multiplier"] is None:
        what = money(plan, "planned_amount")
        a_day = plan["planned_amount"] / plan["day_count"]
        effect = f", {amount(a_day, plan['unit_code'])} a day in addition to the usual spend"
    else:
        what, effect = f"{plan['multiplier'].normalize():f} times the usual spend", ""
    yield f"Planned: {what} {_days(plan)}{note}{effect}."
    if plan["extra_amount"] is not None:
        extra = plan["extra_amount"]
        yield (
            f"So far, in {count(plan['complete_day_count'], 'complete day')}: {money(plan, 'spent_amount')} spent, "
            f"{amount(abs(extra))} {'less' if extra < 0 else 'more'} than usual; the plan's effect by then is "
            f"{amount(plan['planned_extra_amount'])}."
        )


def _days(plan: Row) -> str:
    first, last = plan["from_date"], plan["to_date"]
    return f"on {first}" if first == last else f"from {first} to {last}"


def _cycle(months: float | None) -> str:
    if not months:
        return ""
    return ", every month" if months == 1 else f", every {months:g} months"


def topup_lines(row: Row, today: date, width: int) -> Iterator[str]:
    """Yield how the amount and the date of the next top-up follow from the forecast."""
    unit = row["unit_code"]
    risk = exact_percent(row["topup_risk_probability"])
    if row["topup_amount"]:
        parts = [
            (f"spent by {row['cover_until_date']} at most", row["spend_quantile_amount"]),
            ("balance at the start of the day", -row["day_start_amount"]),
            ("needed", row["needed_amount"]),
        ]
        if row["topup_minimum_amount"] is not None:
            parts.append(("vendor's minimum", row["topup_minimum_amount"]))
        parts.append(("amount to order", row["topup_amount"]))
        if row["topup_gross_amount"] is not None:
            parts.append((f"with {exact_percent(row['tax_rate'])} tax", row["topup_gross_amount"]))
        shown = exact_amounts([value for _, value in parts])
        rows = [(name, text, unit) for (name, _), text in zip(parts, shown, strict=True)]
        for line in aligned(rows, (False, True, False)):
            yield f"{INDENT}{line}"
        yield indented(f'"At most" is exceeded with a chance of {risk}, the accepted risk.', width)
    else:
        yield indented(f"None is needed: the chance of running dry stays within {risk}.", width)
    if row["risk_passed_date"] is not None:
        lead = int(row["topup_lead_days"])
        when = when_to_order(last_order_date(row["risk_passed_date"], lead), today)
        yield indented(
            f"The chance of having run dry passes {risk} on {row['risk_passed_date']}; an order takes "
            f"{count(lead, 'day')}. Order {when}.",
            width,
        )
        yield indented(
            f"Chance of running dry by {row['cover_until_date']}: with it "
            f"{chance(row['with_topup_probability'])}, without it {chance(row['without_topup_probability'])}.",
            width,
        )
    if row["unconfirmed_amount"]:
        yield indented(f"Pending and not counted: {exact_amount(row['unconfirmed_amount'], unit)}.", width)
