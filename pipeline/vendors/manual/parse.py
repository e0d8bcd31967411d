"""Columns of a file of readings."""

from __future__ import annotations

from pipeline.vendors._port import Records, any_unit, instant_utc, money

READINGS = Records(
    kind="balances",
    fields=(
        instant_utc("observed_at_utc", "observed_at_utc", required=True),
        money("balance_amount", "balance_amount", required=True),
        any_unit("unit_code", "unit_code", required=True),
    ),
)
