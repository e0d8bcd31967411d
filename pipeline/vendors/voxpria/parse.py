"""Fields of Voxpria's answers."""

from __future__ import annotations

from pipeline.vendors._port import Records, choice, date, dollars, instant, money, number

CREDITS = Records(
    kind="balances",
    at="data",
    fields=(
        money("balance_amount", "balance", required=True),
        # Any word but `credits` would be another unit: rejected, not guessed.
        choice("unit_code", "currency", choices={"credits": "voxpria-credit"}, otherwise=None),
        instant("effective_at_utc", "lastUpdated"),
    ),
)

USAGE = Records(
    kind="usage_days",
    at="data.usage",
    fields=(
        date("usage_date", "date", required=True),
        number("usage_quantity", "calls"),
        money("credits_amount", "creditsUsed", required=True),
        dollars("cost_amount", "cost"),
    ),
    constants={"usage_unit": "calls", "cost_unit_code": "USD"},
    # Assumed: a day that is listed twice is split, by campaign for example.
    parts_add_up=True,
)

TOTAL = Records(
    kind="vendor_claims",
    at="data.total",
    fields=(money("claim_amount", "creditsUsed", required=True),),
    constants={"claim": "usage_total", "unit_code": "voxpria-credit"},
    ignored=("calls", "cost"),
    covers_window=True,
    is_optional=True,
)
