"""What Hyperstack's answers mean."""

from __future__ import annotations

from pipeline.vendors._port import Records, money

CREDIT = Records(
    kind="balances",
    at="data",
    fields=(
        money("balance_amount", "credit", required=True),
        money("threshold_amount", "threshold"),
    ),
    constants={"unit_code": "USD"},
    ignored=("can_create_instance",),
)
