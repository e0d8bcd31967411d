"""Fields of Deepvue's answer."""

from __future__ import annotations

from pipeline.vendors._port import Records, money

WALLET = Records(
    kind="balances",
    fields=(money("balance_amount", "current_balance", required=True),),
    ignored=("success",),
)
