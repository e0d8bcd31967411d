"""Sections about all accounts: the header, the accuracy of the forecasts, and the state of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

from pipeline.forecasts.plots import calibration
from pipeline.published.report.cards import Card
from pipeline.published.report.html_tables import HtmlTable, Spell, drawn, table
from pipeline.published.report.report_queries import Row, Snapshot
from pipeline.published.report.words import converted, day, days, in_unit, instant, money, percent, ratio
from pipeline.schema.limits import CURRENT_RATE_DAYS, DUE_DAYS
from pipeline.schema.severities import URGENCY
from pipeline.support.svg import NARROW
from pipeline.support.wording import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The header: what is at risk, when, and what to pay."""

    headline: str
    tiles: list[tuple[str, str, list[str]]]
    """Title, number, and the text beside it."""
    table: HtmlTable
    due: HtmlTable
    at_risk: list[Card]


def fleet(found: Snapshot, accounts: Sequence[Card]) -> Fleet:
    """Build the header of the report."""
    [row] = found.fleet["fleet"]
    due, unit = found.fleet["due"], row["reporting_unit_code"]
    at_risk = [card for card in accounts if card.status["severity"] != "ok"]
    named = {severity: row[f"{severity}_account_count"] for severity in URGENCY}
    counted = ", ".join(f"{number} {severity}" for severity, number in named.items() if number)
    first = next((card.status for card in at_risk if card.status["severity"] in ("critical", "warning")), None)
    headline = f"{count(row['account_count'], 'account')}: {counted}." if counted else "No account is configured."
    if first:
        headline += f" The most urgent is {first['account_id']}"
        dry = first["runway_p50_date"]
        headline += f", expected to run dry on {day(dry)}." if dry else "."
    payable = [each["reporting_amount"] for each in due if each["reporting_amount"] is not None]
    if not due:
        pay, apart = "nothing", []
    else:
        left_over: dict[str, Decimal] = {}
        for each in due:
            if each["reporting_amount"] is None:
                left_over[each["unit_code"]] = left_over.get(each["unit_code"], Decimal(0)) + each["pay_amount"]
        others = [in_unit(amount, code) for code, amount in left_over.items()]
        if payable:
            pay = in_unit(sum(payable, Decimal(0)), unit)
            apart = [f"and, not converted, {each}" for each in others]
        else:
            pay, apart = ", ".join(others), [f"which cannot be converted to {unit}"]
        apart.append(f"{count(len(due), 'order')} by {day(max(each['order_by_date'] for each in due))}")
    accounts_in_all = count(row["account_count"], "account")
    balances = [f"in {row['converted_account_count']} of {accounts_in_all}"]
    if row["unconverted_balances"]:
        balances.append(f"not converted: {_listed(row['unconverted_balances'])}")
    if row["unread_account_count"]:
        balances.append(f"never read: {count(row['unread_account_count'], 'account')}")
    if row["stale_account_count"]:
        balances.append(f"stale, counted at the last good balance: {count(row['stale_account_count'], 'account')}")
    if row["oldest_fx_rate_date"]:
        balances.append(f"rates of {day(row['oldest_fx_rate_date'])} or later")
    if row["old_rate_account_count"]:
        old = count(row["old_rate_account_count"], "account")
        balances.append(f"at rates more than {CURRENT_RATE_DAYS} days old: {old}")
    burn = f"mean of 28 days, in {row['burn_account_count']} of {accounts_in_all}"
    urgent = row["critical_account_count"] + row["warning_account_count"]
    return Fleet(
        headline=headline,
        tiles=[
            ("Critical or warning", count(urgent, "account"), [f"{row['unknown_account_count']} unknown"]),
            (f"To pay within {DUE_DAYS} days", pay, apart),
            ("Balance", in_unit(row["reporting_balance_amount"], unit), balances),
            ("Spend a day", in_unit(row["reporting_burn_28d_amount"], unit), [burn]),
        ],
        table=table(
            "fleet",
            "All accounts together",
            [row],
            {
                "account_count": ("accounts", str),
                "converted_account_count": ("converted", str),
                "reporting_balance_amount": (f"balance, {unit}", money),
                "reporting_burn_28d_amount": (f"a day, {unit}", money),
                **{f"{severity}_account_count": (severity, str) for severity in URGENCY},
            },
        ),
        due=table(
            "due",
            f"To be ordered within {DUE_DAYS} days, today included; in {unit} where it can be converted",
            due,
            {
                "account_id": ("account", str),
                "order_by_date": ("order by", day),
                "pay_amount": ("to pay", money),
                "unit_code": ("unit", str),
                "reporting_amount": (f"in {unit}", converted),
                "topup_amount": ("of it credited", money),
                "reading_state": ("reading", str),
            },
        ),
        at_risk=at_risk,
    )


def _listed(unconverted: str) -> str:
    """Format `12314.5 INR, 3700 voxpria-credit` of marts.fleet_status for the report."""
    parts = (each.split(" ", 1) for each in unconverted.split(", "))
    return ", ".join(in_unit(Decimal(amount), code) for amount, code in parts)


# -- trust ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Accuracy of the forecasts, and its evidence."""

    sentences: list[str]
    svg: Markup | None
    tables: list[HtmlTable]


def trust(found: Snapshot) -> Trust:
    """Summarise backtest and accuracy, or state that there is neither yet."""
    scores, levels, accuracy = (found.fleet[name] for name in ("scores", "calibration", "accuracy"))
    sentences, tables, svg = [], [], None
    shares: dict[str, tuple[str, Spell]] = {
        "coverage_80_ratio": ("within 80 %", ratio), "coverage_90_ratio": ("within 90 %", ratio),
        "below_80_ratio": ("below", ratio), "above_80_ratio": ("above", ratio),
    }  # fmt: skip
    if scores:
        sentences.append(f"The backtest of {instant(scores[0]['backtested_at_utc'])}, all accounts together:")
        sentences += _verdict(scores)
        tables.append(
            table(
                "scores",
                "Scores of the newest backtest; losses and errors over those of the 28-day mean",
                scores,
                {
                    "horizon_days": ("days", days), "forecaster": ("forecaster", str),
                    "forecast_count": ("forecasts", str),
                    "pinball_ratio": ("loss", ratio), "median_error_ratio": ("error", ratio), **shares,
                    "brier_score": ("Brier", ratio),
                },
                fetch_ids=(scores[0]["fetch_id"],),
            )
        )  # fmt: skip
    else:
        sentences.append(
            "There has been no backtest, so nothing here says how good these forecasts would have been. `drawdown "
            "backtest` makes one from the accounts' own past."
        )
    if levels:
        try:
            svg = drawn(calibration(levels, of="all accounts", width=NARROW))
        except ValueError:
            svg = None
        tables.append(
            table(
                "calibration",
                "Share of totals at or below each quantile",
                levels,
                {
                    "horizon_days": ("days", days), "nominal_ratio": ("should be", ratio),
                    "observed_ratio": ("was", ratio), "forecast_count": ("forecasts", str),
                },
            )
        )  # fmt: skip
    if accuracy:
        for row in accuracy:
            sentences.append(
                f"Of {count(row['forecast_count'], 'forecast')} of the next {count(round(row['horizon_days']), 'day')} "
                f"that came due, the 80 % band held {percent(row['coverage_80_ratio'])}."
            )
        tables.append(
            table(
                "accuracy",
                "Forecasts as issued, whose days have all come",
                accuracy,
                {
                    "horizon_days": ("days", days), "account_count": ("accounts", str),
                    "forecast_count": ("forecasts", str), "first_issue_date": ("from", day),
                    "last_issue_date": ("to", day), **shares,
                },
            )
        )  # fmt: skip
    else:
        [issues] = found.fleet["issues"]
        since = f"; the first was issued on {day(issues['first_issue_date'])}" if issues["day_count"] else ""
        sentences.append(f"No forecast that was issued has come due yet{since}.")
    return Trust(sentences=sentences, svg=svg, tables=tables)


def _verdict(scores: Sequence[Row]) -> list[str]:
    import polars as pl

    from pipeline.forecasts.backtest_verdict import verdict

    return verdict(pl.DataFrame(list(scores), infer_schema_length=None))


# -- quality ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Rejected rows, schema drift, and stale data."""

    sentences: list[str]
    tables: list[HtmlTable]


def quality(found: Snapshot) -> Quality:
    """Summarise the state of the data."""
    [(rejects,)], [(drifts,)] = (
        [tuple(row.values()) for row in found.fleet[name]] for name in ("reject_count", "drift_count")
    )
    stale, fresh = found.fleet["stale"], found.fleet["freshness"]
    failing = sum(row["outcome"] != "ok" for row in fresh)
    where: dict[str, tuple[str, Spell]] = {"account_id": ("account", str), "endpoint": ("endpoint", str)}
    return Quality(
        sentences=[
            f"{count(rejects, 'rule')} broken by rows that were kept out."
            if rejects
            else "No row was rejected.",
            f"{count(drifts, 'change')} in the shape of vendors' answers."
            if drifts
            else "No answer changed its shape.",
            f"{count(len(stale), 'account')} without a fresh balance." if stale else "Every balance is fresh.",
            f"{failing} of {count(len(fresh), 'endpoint')} failed when last requested."
            if failing
            else f"Each of {count(len(fresh), 'endpoint')} succeeded when last requested.",
        ],
        tables=[
            table(
                "stale",
                "Accounts without a fresh balance",
                stale,
                {"account_id": ("account", str), "reading_state": ("reading", str),
                 "observed_at_utc": ("last good", instant), "reason": ("reason", str)},
                is_words=True,
            ),
            table(
                "rejects",
                "Rules that rows broke, the 50 most frequent",
                found.fleet["rejects"],
                {**where, "column_name": ("column", str), "check_name": ("rule", str), "reject_count": ("times", str),
                 "redacted_value": ("last value", _or_nothing), "observed_at_utc": ("last", instant),
                 "fetch_id": ("answer", str)},
                is_words=True,
            ),
            table(
                "drift",
                "Changes in the shape of answers, the newest 50",
                found.fleet["drift"],
                {**where, "column_name": ("field", str), "check_name": ("change", str),
                 "redacted_value": ("value", _or_nothing), "first_observed_at_utc": ("first seen", instant),
                 "fetch_id": ("answer", str)},
                is_words=True,
            ),
            table(
                "freshness",
                "Endpoints, those that failed first",
                fresh,
                {**where, "outcome": ("outcome", str), "status_code": ("status", _or_nothing),
                 "last_attempt_at_utc": ("last asked", instant), "last_observed_at_utc": ("last good", instant),
                 "reason": ("reason", _or_nothing), "failed_fetch_count": ("failed", str), "fetch_count": ("of", str)},
                is_words=True,
            ),
        ],
    )  # fmt: skip


def _or_nothing(value: object) -> str:
    return "" if value is None else str(value)
