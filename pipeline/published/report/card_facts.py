"""The facts at the top of an account's card: each with the query's column, a title and its text."""

from __future__ import annotations

import json

from pipeline.published.report.report_queries import Row
from pipeline.published.report.words import EVIDENCE, chance, converted, day, days, in_unit, instant
from pipeline.support.wording import count


def facts_of(status: Row) -> list[tuple[str, str, str]]:
    """Return (column, title, text) of each fact, in the order of the card."""
    unit, reporting = status["unit_code"], status["reporting_unit_code"]
    planned = "no plan" if status["topup_amount"] is None else in_unit(status["topup_amount"], unit)
    facts = [("balance_amount", "Balance", in_unit(status["balance_amount"], unit))]
    if unit != reporting:
        in_reporting = status["reporting_balance_amount"]
        words = converted(in_reporting) if in_reporting is None else in_unit(in_reporting, reporting)
        facts.append(("reporting_balance_amount", f"In {reporting}", words))
    facts += [
        *_quota(status),
        ("runway_days", "Days left", days(status["runway_days"])),
        *(
            [("runway_without_topups_days", "Without automatic top-ups", days(status["runway_without_topups_days"]))]
            if status["auto_topup_model"] == "modelled"
            else []
        ),
        ("runway_p50_date", "Expected to run dry on", day(status["runway_p50_date"])),
        ("runway_p10_date", "10 % chance of being dry by", day(status["runway_p10_date"])),
        ("depleted_7d_probability", "Dry within 7 days", chance(status["depleted_7d_probability"])),
        ("depleted_30d_probability", "Dry within 30 days", chance(status["depleted_30d_probability"])),
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


def _quota(status: Row) -> list[tuple[str, str, str]]:
    if status["resets_at_utc"] is None:
        return []
    return [
        ("resets_at_utc", "Resets on", instant(status["resets_at_utc"])),
        ("quota_amount", "Full size", in_unit(status["quota_amount"], status["unit_code"])),
        ("depleted_before_reset_probability", "Used up before", chance(status["depleted_before_reset_probability"])),
    ]


def tags_of(text: str | None) -> list[str]:
    """Return the tags of a JSON object as `key: value`; any other text as it is."""
    try:
        tags = json.loads(text or "{}")
    except ValueError:
        return [str(text)]
    return [f"{key}: {value}" for key, value in tags.items()] if isinstance(tags, dict) else [str(text)]
