"""Every column, defined once: its name, type, unit, meaning and bounds.

A table (`pipeline.schema.tables`) only lists names from here, so the same quantity has the same name, type and
meaning wherever it appears. The name's suffix tells the unit; `suffix_problem` holds names to that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipeline.schema.severities import ALERT_RULES, SEVERITIES


class Type(StrEnum):
    """Column types, valued by their DuckDB spelling."""

    TEXT = "VARCHAR"
    BOOLEAN = "BOOLEAN"
    INTEGER = "BIGINT"
    DATE = "DATE"
    INSTANT = "TIMESTAMP WITH TIME ZONE"
    MONEY = "DECIMAL(38,9)"
    RATE = "DECIMAL(18,9)"
    NUMBER = "DOUBLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, wherever it is used."""

    name: str
    type: Type
    doc: str
    unit: str | None = None
    """What one of it is: seconds, days, rows, `unit_code` for money, ratio."""
    minimum: int | None = None
    maximum: int | None = None
    allowed: tuple[str, ...] = ()
    """For text: the only values there are."""


_SUFFIXES: Final[dict[str, Type]] = {
    "_at_utc": Type.INSTANT,
    "_of_utc": Type.INSTANT,
    "_date": Type.DATE,
    "_month": Type.DATE,
    "_seconds": Type.NUMBER,
    "_months": Type.NUMBER,
    "_days": Type.NUMBER,
    "_ratio": Type.NUMBER,
    "_probability": Type.NUMBER,
    "_amount": Type.MONEY,
    "_rate": Type.RATE,
    "_rows": Type.INTEGER,
    "_count": Type.INTEGER,
    "_number": Type.INTEGER,
    "_id": Type.TEXT,
    "_code": Type.TEXT,
}
_UNITS: Final[dict[str, str]] = {
    "_seconds": "seconds",
    "_months": "months",
    "_days": "days",
    "_ratio": "ratio",
    "_probability": "probability",
    "_rows": "rows",
    "_date": "UTC day",
    "_month": "first day of the UTC month",
    "_at_utc": "UTC instant",
    "_of_utc": "UTC instant",
}
# FOCUS, the FinOps Open Cost and Usage Specification, names its columns in CamelCase and ours beside them x_CamelCase.
# `.sqlfluff` knows them by the same pattern.
_FOCUS_NAME: Final = re.compile(r"(x_)?([A-Z][a-z]+)+")
_FOCUS_SUFFIXES: Final[dict[str, Type]] = {
    "Cost": Type.MONEY,
    "Price": Type.MONEY,
    "Quantity": Type.MONEY,
    "Start": Type.INSTANT,
    "End": Type.INSTANT,
}
# Names that people already know under another type than their suffix would give.
_EXCEPTIONS: Final = frozenset({"status_code", "invoice_number"})


def suffix_of(name: str) -> str | None:
    """The unit-bearing suffix of a column's name, longest first, or None."""
    found = [suffix for suffix in _SUFFIXES if name.endswith(suffix)]
    return max(found, key=len) if found else None


def is_focus_name(name: str) -> bool:
    """Tell whether a column keeps the name that FOCUS gives it, or stands beside such columns as `x_...`."""
    return bool(_FOCUS_NAME.fullmatch(name))


def _focus_problem(column: Column) -> str | None:
    if column.name.startswith("x_Is"):
        wanted = Type.BOOLEAN
    else:
        wanted = next((kind for suffix, kind in _FOCUS_SUFFIXES.items() if column.name.endswith(suffix)), Type.TEXT)
    return None if column.type is wanted else f"{column.name} must be {wanted}, not {column.type}"


def suffix_problem(column: Column) -> str | None:
    """What is wrong between a column's name and its type or unit, or None."""
    if column.name in _EXCEPTIONS:
        return None
    if is_focus_name(column.name):
        return _focus_problem(column)
    suffix = suffix_of(column.name)
    if column.name.startswith(("is_", "has_")):
        return None if column.type is Type.BOOLEAN else f"{column.name} must be BOOLEAN"
    if column.type is Type.BOOLEAN:
        return f"{column.name} is BOOLEAN, so its name begins with is_ or has_"
    if suffix is None:
        bearing = {Type.MONEY: "_amount", Type.INSTANT: "_at_utc"}.get(column.type)
        return f"{column.name} is {column.type}, so its name ends with {bearing}" if bearing else None
    if _SUFFIXES[suffix] is not column.type:
        return f"{column.name} ends with {suffix}, so it must be {_SUFFIXES[suffix]}, not {column.type}"
    if suffix in _UNITS and column.unit != _UNITS[suffix]:
        return f"{column.name} ends with {suffix}, so its unit is {_UNITS[suffix]!r}, not {column.unit!r}"
    return None


def _text(name: str, doc: str, *allowed: str) -> Column:
    return Column(name=name, type=Type.TEXT, doc=doc, allowed=allowed)


def _money(name: str, doc: str, unit: str = "unit_code", minimum: int | None = None) -> Column:
    return Column(name=name, type=Type.MONEY, doc=doc, unit=unit, minimum=minimum)


def _measure(name: str, doc: str, *, minimum: int | None = None, maximum: int | None = None) -> Column:
    """A column whose suffix says its type and unit."""
    suffix = suffix_of(name)
    assert suffix is not None, name  # noqa: S101 - a definition, checked at import
    return Column(name=name, type=_SUFFIXES[suffix], doc=doc, unit=_UNITS.get(suffix), minimum=minimum, maximum=maximum)


def _flag(name: str, doc: str) -> Column:
    return Column(name=name, type=Type.BOOLEAN, doc=doc)


def _focus_instant(name: str, doc: str) -> Column:
    return Column(name=name, type=Type.INSTANT, doc=doc, unit="UTC instant")


ENTRY_KINDS: Final = ("top_up", "usage", "renewal", "refund", "adjustment", "tax", "other")
ENTRY_STATUSES: Final = ("settled", "pending", "void", "unknown")
EVIDENCE_LEVELS: Final = ("ledger", "usage", "balance")
ENTRY_SOURCES: Final = ("ledger", "orders", "payments")
INVOICE_KINDS: Final = ("original", "proforma", "other")
RESOURCE_KINDS: Final = ("machine", "volume", "snapshot", "cluster", "bucket", "other")
READING_STATES: Final = ("fresh", "stale", "unknown")

UNEXPLAINED_CLASSES: Final = (
    "missing_entry",
    "amount_mismatch",
    "duplicate_entry",
    "tax",
    "unit_price",
    "pending_deposit",
    "restated",
    "boundary",
    "rounding",
    "unit_change",
    "unknown",
)
METHODS: Final = ("none", "mean_28d", "prior", "donors", "weeks", "blocks", "full")
ANOMALY_KINDS: Final = ("spike", "step", "stop", "restatement", "unit_changed", "convention_changed")
ALERT_STATES: Final = ("open", "acknowledged", "recovered")
ALERT_EVENTS: Final = ("opened", "escalated", "acknowledged", "recovered")
DELIVERY_STATES: Final = ("delivered", "pending", "withdrawn", "not_told")
FX_SOURCES: Final = ("same_unit", "ecb", "credit_price", "credit_price+ecb")

SERVICE_CATEGORIES: Final = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Compute",
    "Databases",
    "Developer Tools",
    "Multicloud",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Networking",
    "Security",
    "Storage",
    "Web",
    "Other",
)
"""The categories of FOCUS 1.4."""

TAX_BASES: Final = ("gross", "net", "unknown")
AMOUNT_BASES: Final = ("stated", "with_tax")
SIGN_CONVENTIONS: Final = ("signed", "inverted", "by_kind")

_DEFINITIONS: Final = (
    # -- ids
    _text("account_id", "The account's name in accounts.toml."),
    _text("vendor", "The vendor's folder name in pipeline/vendors."),
    _text("endpoint", "The vendor's endpoint, by its name in the vendor's folder."),
    _text("fetch_id", "One request's answer in landing; sorts by the real time of the request."),
    _text("named_fetch_id", "The record in landing of the newest run whose accounts.toml names the account."),
    _text("opening_fetch_id", "The answer that stated the opening balance."),
    _text("closing_fetch_id", "The answer that stated the closing balance."),
    _text("run_id", "The run that made the request, as Dagster names it."),
    _text("entry_id", "The vendor's id of a ledger entry."),
    _text("charge_id", "The vendor's id of what is charged for, such as a server."),
    _text("order_id", "The vendor's id of an order."),
    _text("order_ids", "The vendor's ids of the orders that an invoice is about, comma-separated."),
    _text("invoice_id", "The vendor's id of an invoice."),
    _text("invoice_number", "The number printed on an invoice."),
    _text("payment_id", "The vendor's id of a payment."),
    _text("resource_id", "The vendor's id of a resource, such as a machine or a volume."),
    _text("version_id", "The Drawdown version that wrote it."),
    Column(name="row_number", type=Type.INTEGER, doc="Position in the answer, from 1.", unit=None, minimum=1),
    Column(name="page_number", type=Type.INTEGER, doc="Page or window of a listing, from 1.", minimum=1),
    # -- instants and days
    _measure("observed_at_utc", "When Drawdown asked."),
    _measure("effective_at_utc", "When the vendor says that it happened."),
    _measure("loaded_at_utc", "When the row was loaded into the warehouse; differs between rebuilds."),
    _measure("issued_at_utc", "When the forecast was made, by the run's clock."),
    _measure("backtested_at_utc", "When the backtest was made."),
    _measure("fetched_at_utc", "When the answer was complete, by the run's clock."),
    _measure("started_at_utc", "When it began, by the run's clock."),
    _measure("as_of_utc", "The instant that the build speaks of: the clock of the newest run."),
    _measure("first_observed_at_utc", "When Drawdown first saw it."),
    _measure("last_observed_at_utc", "The newest good reading."),
    _measure("last_attempt_at_utc", "The newest request, good or bad."),
    _measure("polled_at_utc", "When the ledger or usage was last asked for in the run of the closing balance."),
    _measure("opened_at_utc", "The balance reading that the interval begins with."),
    _measure("closed_at_utc", "The next good reading of the balance, which belongs to the interval."),
    _measure("from_at_utc", "The first instant that it holds: a reading; 1970-01-01 for the first."),
    _measure("to_at_utc", "The instant from which it holds no longer; NULL for the newest."),
    _measure("bridge_date", "The day that the intervals closed on."),
    _measure("bridge_month", "The month that the intervals closed in."),
    _measure("ordered_at_utc", "When it was ordered or begun, by the vendor's clock."),
    _measure("due_at_utc", "When the vendor wants to be paid."),
    _measure("paid_at_utc", "When it was paid, by the vendor's clock; NULL where it is not."),
    _measure("invoiced_at_utc", "When it was issued, by the vendor's clock."),
    _measure("due_date", "The UTC day of due_at_utc: midnight in a zone east of Greenwich is the UTC day before."),
    _measure("usage_date", "The day of the usage."),
    _measure("spend_date", "The day of the spend."),
    _measure("spend_month", "The month of the spend."),
    _measure("first_closed_at_utc", "closed_at_utc of the earliest of the intervals."),
    _measure("evidence_month", "The month that the intervals closed in."),
    _measure("proven_month", "The first month whose balances prove a convention; NULL where none does."),
    _measure("touched_month", "A month to recompute."),
    _measure("window_from_date", "First day asked for; NULL where everything was asked for."),
    _measure("window_to_date", "Last day asked for, inclusive."),
    _measure("covers_from_date", "First day that the claim speaks of."),
    _measure("covers_to_date", "Last day that the claim speaks of, inclusive."),
    _measure("issue_date", "The UTC day on which a forecast was issued."),
    _measure("first_issue_date", "issue_date of the earliest forecast that is counted."),
    _measure("last_issue_date", "issue_date of the newest forecast that is counted."),
    _measure("first_date", "The first day that is spoken of."),
    _measure("last_date", "The last day that is spoken of, inclusive."),
    _measure("risk_passed_date", "The first day by whose end the chance of having run dry is above the accepted one."),
    _measure(
        "order_by_date", "The last day on which an order arrives in time; the day of the advice where it is late."
    ),
    _measure("arrival_date", "order_by_date plus topup_lead_days."),
    _measure("cover_until_date", "The last day that the top-up is meant to last, or that was looked at."),
    _measure("forecast_date", "The UTC day that is spoken of; of a total, its last day."),
    _measure("runway_p10_date", "Dry by this day with probability 0.1; NULL where that is beyond the horizon."),
    _measure(
        "runway_p50_date",
        "As likely as not dry by this day; without a forecast, the day that the balance lasts to at burn_28d_amount. "
        "NULL where a forecast expects it to last beyond its 90 days, and where the mean says more than ten years.",
    ),
    _measure(
        "runway_p50_without_topups_date",
        "As likely as not dry by this day if the vendor's automatic top-ups failed; NULL where they are not in the "
        "forecast, and where it would last beyond the horizon all the same.",
    ),
    _measure("runway_p90_date", "Dry by this day with probability 0.9; NULL where that is beyond the horizon."),
    # -- money
    _money("balance_amount", "The balance, as the vendor stated it; may be negative."),
    _money("threshold_amount", "The vendor's own low-balance threshold."),
    _money("limit_amount", "The credit limit that the vendor grants."),
    _money("unconfirmed_amount", "Deposits seen but not yet credited; no part of the balance."),
    _money("stated_amount", "The amount as the vendor's row states it, its sign untouched."),
    _money("first_stated_amount", "The same in the earliest answer that stated the row."),
    _money("entry_amount", "What it moved the balance by, signed: credits positive, debits negative."),
    _money("opening_amount", "The balance at opened_at_utc."),
    _money("closing_amount", "The balance at closed_at_utc."),
    _money("opening_unconfirmed_amount", "unconfirmed_amount at opened_at_utc."),
    _money("closing_unconfirmed_amount", "unconfirmed_amount at closed_at_utc."),
    _money("stated_usage_amount", "Usage between the two readings, as stated by now."),
    _money("first_usage_amount", "The same by what was stated first of each whole day."),
    _money("top_up_amount", "Money paid in: documented, or inferred from a rise (see inferred_top_up_amount)."),
    _money(
        "inferred_top_up_amount",
        "The part of top_up_amount that no document tells: a rise where only balances or usage are known.",
    ),
    _money("refund_amount", "What the vendor gave back, and what it took back as a refund."),
    _money("usage_amount", "What was used: negative. Where only balances are known it is what they fell by."),
    _money("renewal_amount", "Renewals of what runs on: negative."),
    _money("adjustment_amount", "Adjustments, and entries of a kind that the vendor does not tell."),
    _money("pending_amount", "Entries that are not settled yet, where the balance has moved by them already."),
    _money("tax_amount", "Taxes booked as entries of their own."),
    _money("unexplained_amount", "What the balance moved by beyond all that is known."),
    _money("residual_amount", "What the balance moved by beyond what is documented: inferred, or unexplained."),
    _money("day_start_amount", "The balance with what had been spent of its day added back: where a forecast starts."),
    _money(
        "mean_pinball_amount", "Mean pinball loss of the quantiles, or of the one number that there is: less is better."
    ),
    *(
        _money(f"p{level}_amount", f"What is spent is at most this with probability 0.{level}.")
        for level in ("05", "10", "25", "50", "75", "90", "95")
    ),
    _money("actual_amount", "What came on the day; of several days, the mean of a day."),
    _money("expected_amount", "p50 of the day as forecast; of several days, the mean of a day."),
    _money("low_amount", "p05 of the day as forecast; of several days, the mean: the range of a single day."),
    _money("high_amount", "p95 of the day as forecast; of several days, the mean: the range of a single day."),
    _money("first_entry_amount", "entry_amount by the earliest answer that stated the entry."),
    _money("net_amount", "Without VAT, where the vendor says so."),
    _money("gross_amount", "With VAT, where the vendor says so."),
    _money("credits_amount", "Units of the account's balance used on the day; below zero where they were given back."),
    _money(
        "cost_amount",
        "The vendor's own statement of cost, kept apart from the balance's unit.",
        "cost_unit_code",
    ),
    _money("charge_amount", "What will be charged, with VAT where the balance includes it.", minimum=0),
    _money("from_balance_amount", "What was taken from the balance for it; the rest was paid otherwise."),
    _money("payment_amount", "What was paid in, without its tax: what becomes credit."),
    _money("payment_tax_amount", "The tax paid on top; no part of the credit."),
    _money("resource_amount", "What the vendor bills for the resource on the day."),
    _money("claim_amount", "What the vendor claims."),
    _money("mean_error_amount", "Mean of claimed less actual; above zero the vendor claims too much."),
    _money("mean_absolute_error_amount", "Mean size of the error."),
    _money("spend_amount", "Money or credits that left the account for service; refunds of service lower it."),
    _money(
        "reporting_amount",
        "The same in the reporting currency; NULL where it cannot be converted.",
        "reporting_unit_code",
    ),
    _money(
        "burn_7d_amount",
        "Mean spend a day, of what was spent in unit_code, over the complete days among the 7 up to the newest of "
        "them; to nine decimals, halves away from zero.",
    ),
    _money(
        "burn_28d_amount",
        "Mean spend a day, of what was spent in unit_code, over the complete days among the 28 up to the newest of "
        "them; to nine decimals, halves away from zero.",
    ),
    _money(
        "expected_balance_amount",
        "balance_amount less what is expected to have been spent by as_of_utc, never below 0, where the reading is "
        "stale or a day old; else, and where automatic top-ups are in the forecast, balance_amount. Limits are held "
        "to it.",
    ),
    _money("topup_amount", "What to pay in, tax not added: each time, where top-ups are automatic."),
    _money("alert_below_amount", "The owner's own limit: below it the account is at least a warning."),
    _money("topup_gross_amount", "topup_amount with the tax that is added to it; NULL where none is known of."),
    _money("spend_quantile_amount", "What spend up to cover_until_date stays within, but for the accepted risk."),
    _money("needed_amount", "spend_quantile_amount less day_start_amount, never below 0."),
    _money("topup_minimum_amount", "The smallest top-up that the vendor takes."),
    _text("unit_code", "ISO 4217 code, a vendor's unit such as voxpria-credit, or unknown."),
    _text("cost_unit_code", "The unit of cost_amount."),
    _text("reporting_unit_code", "The reporting currency, ISO 4217."),
    _text("tax_basis", "Whether amounts include VAT.", *TAX_BASES),
    Column(name="tax_rate", type=Type.RATE, doc="VAT as a share of the net amount: 0.2 is 20 %.", minimum=0),
    # -- counts, measures
    Column(name="usage_quantity", type=Type.NUMBER, doc="How much was used, in usage_unit."),
    _text("usage_unit", "What usage_quantity counts, such as calls."),
    Column(name="received_rows", type=Type.INTEGER, doc="Rows in the answer.", unit="rows", minimum=0),
    Column(name="accepted_rows", type=Type.INTEGER, doc="Rows that met the contract.", unit="rows", minimum=0),
    Column(
        name="rejected_rows",
        type=Type.INTEGER,
        doc="Rows quarantined in staging.rejects.",
        unit="rows",
        minimum=0,
    ),
    Column(
        name="refused_newest_row",
        type=Type.INTEGER,
        doc="In an answer of several readings, such as a file kept by hand: the number of the refused row that is, or "
        "may be, the newest of them; NULL where the newest was accepted.",
        minimum=1,
    ),
    _measure("attempt_count", "Requests made for this answer, retries included.", minimum=0),
    _measure("fetch_count", "Answers in landing.", minimum=0),
    _measure("failed_fetch_count", "Answers that were failures.", minimum=0),
    _measure("origin_count", "Past days that were forecast from.", minimum=0),
    _measure(
        "separate_origin_count", "How many of these days can be picked so that no two horizons overlap.", minimum=0
    ),
    _measure("forecast_count", "Forecasts whose days have all come.", minimum=0),
    _measure("entry_count", "Ledger entries.", minimum=0),
    _measure(
        "tested_interval_count",
        "Intervals between balances that held entries to test a sign convention on.",
        minimum=0,
    ),
    _measure("reconciled_interval_count", "Intervals that the convention explains to the last digit.", minimum=0),
    _measure("interval_count", "Intervals between balances.", minimum=0),
    _measure("balance_decimal_count", "Digits after the point of the two balances, zeros at the end aside.", minimum=0),
    _measure("document_decimal_count", "Digits after the point of the documents, zeros at the end aside.", minimum=0),
    _measure("unexplained_interval_count", "Intervals with an unexplained amount.", minimum=0),
    _measure("claim_count", "Days with a claim.", minimum=0),
    _measure("due_claim_count", "Claims of which every day has been observed whole since.", minimum=0),
    _measure("exact_claim_count", "Claims that came true to the last digit.", minimum=0),
    _measure("absolute_error_ratio", "Sum of the errors' sizes over the sum of what came.", minimum=0),
    _measure(
        "pinball_ratio",
        "Loss of the quantiles of the total over that of the 28-day mean: less is better; NULL where that was right.",
        minimum=0,
    ),
    _measure(
        "median_error_ratio",
        "Error of p50 of the total over that of the 28-day mean: less is better; NULL where that was right.",
        minimum=0,
    ),
    *(
        _measure(f"{name}_ratio", doc, minimum=0, maximum=1)
        for name, doc in (
            ("coverage_80", "The share of totals that came between p10 and p90: 0.8 is right."),
            ("coverage_90", "The share of totals that came between p05 and p95: 0.9 is right."),
            ("below_80", "The share of totals that came under p10: 0.1 is right."),
            ("above_80", "The share of totals that came over p90: 0.1 is right."),
            ("nominal", "The level of the quantile: the share of totals that ought to be at or below it."),
            ("observed", "The share of totals that were at or below it."),
            ("mean_pit", "Where totals fell in their forecasts on average, from 0 to 1: 0.5 is right."),
        )
    ),
    Column(
        name="brier_score",
        type=Type.NUMBER,
        doc="Mean squared error of P(dry within the horizon): 0 is perfect, 0.25 a coin.",
        minimum=0,
        maximum=1,
    ),
    _measure("cycle_months", "After how many months it comes again; NULL where the vendor does not tell.", minimum=0),
    _measure("horizon_days", "How many days are spoken of.", minimum=0),
    _measure("age_seconds", "Age at as_of_utc; NULL where there was nothing yet.", minimum=0),
    _measure("stale_after_seconds", "The age at which a reading no longer tells the present.", minimum=0),
    _measure("elapsed_seconds", "How long it took.", minimum=0),
    _measure("history_days", "Complete, observed days of spend behind an estimate.", minimum=0),
    _measure(
        "runway_days",
        "Days from as_of_utc until the account is as likely as not dry; 0 where nothing is left. Without a forecast, "
        "and where the forecast expects it to last beyond its 90 days, balance_amount over burn_28d_amount, less the "
        "days since the reading; NULL where that is not above 90 in the latter case, where nothing is spent, and from "
        "ten years on.",
        minimum=0,
    ),
    _measure(
        "runway_without_topups_days",
        "runway_days if the vendor's automatic top-ups failed; NULL where none are in the forecast, and where it would "
        "be NULL for the same reasons.",
        minimum=0,
    ),
    _measure(
        "alert_below_days",
        "The owner's own limit: with fewer days left the account is at least a warning.",
        minimum=0,
    ),
    _measure("topup_cover_days", "Days that a top-up is to last, from its credit.", minimum=1),
    _measure("topup_lead_days", "Days from ordering a top-up to its credit.", minimum=0),
    _measure("depleted_probability", "P(the balance is below zero by the end of the day).", minimum=0, maximum=1),
    _measure(
        "below_threshold_probability",
        "P(the balance is below threshold_amount by the end of the day); NULL without a threshold.",
        minimum=0,
        maximum=1,
    ),
    _measure(
        "below_threshold_30d_probability",
        "P(the balance is below threshold_amount within 30 days); NULL without a threshold.",
        minimum=0,
        maximum=1,
    ),
    _measure(
        "beyond_horizon_probability", "P(the balance lasts longer than the 90 days looked at).", minimum=0, maximum=1
    ),
    _measure(
        "tail_probability",
        "The chance of a day, or days, at least so unlikely, above or below; never told below one in a million.",
        minimum=0,
        maximum=1,
    ),
    _measure("topup_risk_probability", "The chance of running dry that the owner accepts.", minimum=0, maximum=1),
    _measure("with_topup_probability", "P(dry by cover_until_date), if topup_amount arrives.", minimum=0, maximum=1),
    _measure("without_topup_probability", "P(dry by cover_until_date), if nothing is paid in.", minimum=0, maximum=1),
    _measure(
        "depleted_7d_probability", "P(dry within 7 days of the reading); NULL without a forecast.", minimum=0, maximum=1
    ),
    _measure(
        "depleted_30d_probability",
        "P(dry within 30 days of the reading); NULL without a forecast.",
        minimum=0,
        maximum=1,
    ),
    Column(
        name="status_code",
        type=Type.INTEGER,
        doc="HTTP status; NULL where no answer came.",
        minimum=100,
        maximum=599,
    ),
    # -- states and words
    _text("entry_kind", "What moved the balance.", *ENTRY_KINDS),
    _text("entry_status", "Whether it counts: only settled entries move money.", *ENTRY_STATUSES),
    _text(
        "entry_source",
        "Which listing tells it: the vendor's ledger; its paid orders, where it shows this key no ledger (they miss "
        "refunds); or its payments, where only top-ups are itemised.",
        *ENTRY_SOURCES,
    ),
    _text("order_kind", "What the order is for, in the words of entry_kind.", *ENTRY_KINDS),
    _text("order_status", "settled: it is paid; pending: it waits to be; void: it was cancelled.", *ENTRY_STATUSES),
    _text("vendor_order_type", "The vendor's own word for the order's type."),
    _text("invoice_kind", "original: for what was paid; proforma: before it was.", *INVOICE_KINDS),
    _text("payment_status", "Whether it became credit: only settled payments do.", *ENTRY_STATUSES),
    _text("payment_kind", "The vendor's own word for how the payment came about."),
    _text("auto_topup_status", "The vendor's own word for whether top-ups are automatic."),
    _text("resource_kind", "What kind of resource it is.", *RESOURCE_KINDS),
    _text("resource_name", "The name that the account's owner gave it."),
    _text("vendor_entry_type", "The vendor's own word for the entry's type."),
    _text("description", "The vendor's own words for the entry."),
    _text(
        "sign_convention",
        "How the vendor's amounts are signed: signed (credits positive), inverted, or by_kind "
        "(never negative; the kind tells).",
        *SIGN_CONVENTIONS,
    ),
    _text(
        "amount_basis",
        "What the balance moves by: the ledger's amounts as stated, or those with tax.",
        *AMOUNT_BASES,
    ),
    _text(
        "unexplained_class",
        "What the unexplained amount looks like; NULL where all is explained.",
        *UNEXPLAINED_CLASSES,
    ),
    _text(
        "residual_class",
        "What a residual looks like: money of a kind that can be inferred, or a class of what stays unexplained.",
        *UNEXPLAINED_CLASSES,
        "inferred_top_up",
        "inferred_refund",
        "inferred_usage",
    ),
    _text(
        "history_class",
        "What had to come later until the interval read as it does: an entry that was not in the ledger when the "
        "interval closed, or figures that the vendor stated anew.",
        "late_entry",
        "restated",
    ),
    _text("entry_ids", "The ledger entries that the row rests on, in alphabetical order, parted by blanks."),
    _text(
        "assumed_convention",
        "The sign_convention that holds until a month proves one, by the kinds.",
        *SIGN_CONVENTIONS,
    ),
    _text("reconciled_by", "The conventions that come to what the balance moved by, a blank behind each; may be none."),
    _text("proof", "Why the convention was chosen.", "reconciled", "mixed_signs", "assumed"),
    _text("claim", "What the claim is about."),
    _text(
        "evidence_level",
        "How well spend is known: itemised in a ledger, itemised by usage day, or only as balance "
        "deltas (a lower bound).",
        *EVIDENCE_LEVELS,
    ),
    _text("basis", "Where this row's spend comes from.", *EVIDENCE_LEVELS),
    _text(
        "reading_state",
        "fresh: the newest request gave it, and it is not older than stale_after_seconds; stale: an older reading is "
        "kept, or the newest row of the answer was refused; unknown: there is none.",
        *READING_STATES,
    ),
    _text(
        "severity",
        "How soon somebody must act, by the last good balance and forecast, also where the reading is stale; unknown "
        "where nothing is known to judge by.",
        *SEVERITIES,
    ),
    _text("reason", "Why, in a sentence or two."),
    _text("anomaly_kind", "What was seen: see docs/forecasts.md.", *ANOMALY_KINDS),
    _text(
        "forecaster",
        "Who forecast: Drawdown, the mean of the last 7 or 28 days, each weekday as it was last, or the vendor's own "
        "estimate.",
        "drawdown",
        "mean_7d",
        "mean_28d",
        "seasonal_naive",
        "vendor",
    ),
    _text("topup_advice", "What to order and by when, in one sentence. It advises; nothing is ever paid."),
    _text(
        "auto_topup_model",
        "Whether the vendor's automatic top-ups are in the forecast: off, or on and its terms known or not.",
        "off",
        "modelled",
        "not_modelled",
    ),
    _text("method", "How an estimate was made: see docs/forecast-method.md.", *METHODS),
    _text("outcome", "How the request ended: ok, or the kind of failure."),
    _text("record_kind", "The kind of record that a row was read as."),
    _text("check_name", "The rule that a row or an answer broke."),
    _text("column_name", "The column or vendor field that it is about."),
    _text("redacted_value", "What stood there, cut short, secrets replaced."),
    _text("team", "The owner's cost centre."),
    _text("tags", "The owner's tags, as a JSON object."),
    _text("focus_tags", "tags and team in one JSON object, as FOCUS has its Tags; NULL where there are none."),
    _text("extra_json", "Vendor fields that Drawdown has no column for, as JSON text."),
    _text("table_name", "Schema and table."),
    _text("table_doc", "What one row of the table is."),
    _text(
        "source",
        "The columns that it is made of, comma-separated; else the tables, files or settings. NULL for what is counted "
        "or always the same.",
    ),
    _text(
        "vendor_fields",
        "The fields of the vendors' answers at the far end, comma-separated: vendor, endpoint, path. NULL where a "
        "table that Python makes stands in between, and where no field does.",
    ),
    _text("data_type", "DuckDB type."),
    _text("unit", "What one of it is."),
    _text("doc", "What it means."),
    Column(name="schema_version", type=Type.INTEGER, doc="The version of the tables' layout.", minimum=1),
    _text("fingerprint", "A hash of every table's columns and constraints."),
    _text("definitions_hash", "A hash of all comments, views and macros."),
    _text("select_hash", "A hash of a model's parsed SELECT, and of the views, macros and models that it reads."),
    _text("rule_name", "The rule that is broken, in words."),
    _text("identity", "A keyed hash of the account's vendor, address and secrets, made by the run."),
    _text("formerly_json", "The names that the account had before, as its settings list them."),
    _text("former_account_id", "A name that the account had in accounts.toml before."),
    _text("folder", "A folder, relative to the landing folder."),
    Column(name="modified_ns", type=Type.INTEGER, doc="Its modification time.", unit="nanoseconds since 1970"),
    _text("item", "What the row of the build information is about."),
    _text("value", "Its value, as text."),
    # -- booleans
    _flag("is_polled", "Usage or ledger was asked for in the same run as the closing balance."),
    _flag("has_late", "An entry of it was first seen after its closing balance was asked for."),
    _flag("has_restated", "An entry or a usage day of it said something else at first."),
    _flag("is_automatic", "It will be charged without anybody's doing."),
    _flag("is_late", "The last day on which an order would have arrived in time is past."),
    _flag("is_capped", "The forecast ends before the days that the top-up is to cover."),
    _flag("is_on", "The vendor's word says that top-ups are automatic."),
    _flag("is_partial", "The day was not over when it was observed."),
    _flag(
        "is_complete",
        "The evidence covers all of it; no later answer is expected to change it, restatements aside.",
    ),
    _flag("is_reading", "The answer was to hold the account's balance."),
    _flag("has_documented_top_ups", "Payments into the account are listed: no rise of its balance is inferred."),
    _flag("is_configured", "Stands in accounts.toml of the newest run."),
    _text(
        "same_as_account_id",
        "The account that it repeats: the same vendor, address and keys under another name. Totals leave it out; NULL "
        "for every other account.",
    ),
    _flag("is_lower_bound", "Top-ups and spend between two readings net out, so true spend may be higher."),
    _flag("is_spread", "Spread evenly over the days between two readings."),
    _flag("is_nullable", "May be NULL."),
    _flag("is_key", "Part of the table's key."),
    # -- alerts
    _text("event_id", "Account (`*` for all), rule and a running number: `vpsbg-main/runway/3`, `*/run_failed/1`."),
    _text("rule", "What is watched: see docs/alerts.md.", *ALERT_RULES),
    _text("event", "What happened to the alert.", *ALERT_EVENTS),
    _text("alert_state", "open; acknowledged: somebody has it in hand; or recovered.", *ALERT_STATES),
    _text("message", "What people are told of it."),
    _text("recipients", "The variables whose URLs are told of it, comma-separated; NULL where nobody is."),
    _text(
        "delivery_state",
        "pending: held for the quiet hours, or to be tried again; withdrawn: it was over, acknowledged, or its "
        "recipient no longer named, before it was told; not_told: it is for nobody.",
        *DELIVERY_STATES,
    ),
    _text("delivery_problem", "Why a recipient was not told, without the URL; NULL where all is well."),
    _text("acknowledged_by", "Who has it in hand, by the name of the user on the machine."),
    _text("acknowledgement_note", "What was said at that."),
    Column(
        name="format_version",
        type=Type.INTEGER,
        doc="The format of what Drawdown itself landed, by its kind; NULL where it was landed before there was one.",
        minimum=1,
    ),
    _text("entry_json", "An entry of the journal, as landed."),
    _measure("happened_at_utc", "When it happened: the clock of the run that saw it, or of the acknowledgement."),
    _measure("quarantined_at_utc", "The clock of the run that first found the rule broken."),
    _measure("since_at_utc", "When alert_state became what it is."),
    _measure("acknowledged_at_utc", "When somebody took it in hand; NULL where nobody has."),
    _measure(
        "told_at_utc", "When somebody was last told of it, as far as the build's run knew; NULL where nobody was."
    ),
    _measure("delivered_at_utc", "When the last of the recipients was told, as far as the build's run knew."),
    _measure("delivery_attempt_count", "Attempts to send it, over all recipients.", minimum=0),
    _flag("is_possibly_repeated", "A recipient may have had it twice: a process died or a connection broke."),
    # -- currencies
    _measure("rate_date", "The day that the rate is of, as the European Central Bank names it."),
    _measure("conversion_date", "The day that an amount is of."),
    _measure(
        "fx_rate_date",
        "The day of the exchange rate: that of the amount or up to 7 days before; NULL where no rate was used.",
    ),
    _measure("from_date", "The first day that it holds; 1970-01-01 where it has none."),
    _measure("to_date", "The last day that it holds; NULL for the newest."),
    _measure("oldest_fx_rate_date", "The oldest exchange rate among those used; NULL where none was."),
    Column(
        name="eur_rate",
        type=Type.RATE,
        doc="Units of the currency for one euro, as published.",
        unit="unit_code per EUR",
        minimum=0,
    ),
    Column(
        name="reporting_eur_rate",
        type=Type.RATE,
        doc="Units of the reporting currency for one euro, as published for the same day.",
        unit="reporting_unit_code per EUR",
        minimum=0,
    ),
    _text(
        "fx_source",
        "How the amount in the reporting currency came about: the same unit, the ECB's reference rate, the owner's "
        "price of a credit, or that price and the rate; NULL where it cannot be converted.",
        *FX_SOURCES,
    ),
    _money("price_amount", "What one credit cost the owner.", "price_unit_code", minimum=0),
    _text("price_unit_code", "The currency that credits were paid in."),
    _money(
        "reporting_balance_amount",
        "The balance in the reporting currency, at the rate of its day; NULL where it cannot be converted.",
        "reporting_unit_code",
    ),
    _money(
        "reporting_burn_28d_amount",
        "burn_28d_amount in the reporting currency, at the rate of the balance's day.",
        "reporting_unit_code",
    ),
    _money("unconverted_amount", "The part of the spend that could not be converted."),
    _text(
        "unconverted_balances",
        "What could not be converted, as a text: `12314.5 INR, 3700 voxpria-credit`; accounts whose unit is unknown "
        "each by itself; empty where there is none.",
    ),
    _measure("account_count", "Accounts; two names for one account at its vendor count once.", minimum=0),
    _measure("converted_account_count", "Accounts whose balance is in the reporting currency.", minimum=0),
    _measure("unconverted_account_count", "Accounts whose balance could not be converted.", minimum=0),
    _measure("unread_account_count", "Accounts whose balance was never read.", minimum=0),
    _measure("stale_account_count", "Accounts whose last good balance is counted, though it is stale.", minimum=0),
    *(_measure(f"{each}_account_count", f"Accounts whose severity is {each}.", minimum=0) for each in SEVERITIES),
    # -- FOCUS 1.4, by its own names; docs/focus.md
    _money("BilledCost", "What was paid in, or invoiced; 0 for what the prepaid balance covered.", "BillingCurrency"),
    _money("EffectiveCost", "What was used up; 0 for a prepayment, which its drawdown follows.", "BillingCurrency"),
    _money("ListCost", "EffectiveCost, or the BilledCost of a purchase: list prices are unknown.", "BillingCurrency"),
    _money("ContractedCost", "ListCost: no negotiated prices are known.", "BillingCurrency"),
    _money("PricingCurrencyEffectiveCost", "EffectiveCost in the unit that the balance is kept in.", "PricingCurrency"),
    _text("BillingCurrency", "ISO 4217: the balance's currency, or the one that its credits were paid in."),
    _text("PricingCurrency", "ISO 4217, or the name of a virtual currency such as Credits."),
    _text("BillingAccountId", "The account; `:` and the currency behind it where that is not its usual one."),
    _text("BillingAccountName", "NULL: vendors name none."),
    _focus_instant("BillingPeriodStart", "First instant of the UTC month, our convention."),
    _focus_instant("BillingPeriodEnd", "First instant of the following UTC month."),
    _focus_instant("ChargePeriodStart", "First instant: of the UTC day of the charge, or of the estimated interval."),
    _focus_instant("ChargePeriodEnd", "First instant after it."),
    _text("ChargeCategory", "What kind of charge it is.", "Usage", "Purchase", "Tax", "Credit", "Adjustment"),
    _text("ChargeClass", "NULL: no charge corrects an invoiced period.", "Correction"),
    _text("ChargeDescription", "The vendor's own words for it."),
    _text("ChargeFrequency", "How often it occurs.", "One-Time", "Recurring", "Usage-Based"),
    _money("ConsumedQuantity", "How much was used, where the vendor says so.", "ConsumedUnit", minimum=0),
    _text("ConsumedUnit", "What ConsumedQuantity counts, such as Calls."),
    _money("PricingQuantity", "NULL: vendors state no price of a unit.", "PricingUnit"),
    _text("PricingUnit", "NULL, as PricingQuantity."),
    _text("HostProviderName", "NULL: vendors do not say whose machines they run on."),
    _text("InvoiceIssuerName", "Who is paid."),
    _text("ServiceProviderName", "Who sells the service; the account's name where readings are kept by hand."),
    _text("ServiceName", "What is sold; the provider's name where it sells one thing."),
    _text("ServiceCategory", "The kind of service.", *SERVICE_CATEGORIES),
    _text("ServiceSubcategory", "The kind within ServiceCategory."),
    _text("Tags", "focus_tags of the account."),
    _text("x_AccountId", "account_id."),
    _text("x_ChargeId", "What the charge was made of: `entry/...`, `usage/...` or `balance/...`."),
    _text("x_ClosingFetchId", "The answer that stated the balance which an estimated interval closes with."),
    _money("x_CreditPrice", "What one credit cost; NULL for currencies.", "BillingCurrency", minimum=0),
    _text("x_EntryId", "entry_id of the ledger entry, if it is one."),
    _text("x_EvidenceLevel", "evidence_level of the account.", *EVIDENCE_LEVELS),
    _text("x_FetchId", "The answer that states it; NULL for an estimate, which two answers give."),
    _flag("x_IsEstimated", "Made of a fall of the balance, and stated by nobody."),
    _text("x_MeasurementMethod", "What it was made of.", "ledger_entry", "usage_day", "balance_delta"),
    _text("x_OpeningFetchId", "The answer that stated the balance which an estimated interval opens with."),
    _text("x_Vendor", "vendor."),
)

COLUMNS: Final[dict[str, Column]] = {column.name: column for column in _DEFINITIONS}
"""Every column by name."""
