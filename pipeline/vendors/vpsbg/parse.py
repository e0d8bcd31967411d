"""What VPSBG's answers mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal

from pipeline.vendors._port import Records, choice, instant, money, text, unit

_PLAIN_AMOUNT = re.compile(r"[0-9]{1,29}(\.[0-9]{1,9})?")
_EXACT = Context(prec=60)


def _pending(row: Mapping[str, object]) -> object:
    """Unconfirmed bitcoin deposits, summed with VAT as the balance is; None where there are none.

    What cannot be read for certain is returned in a list, which no reader of money takes: the row is rejected and the
    reject shows it.
    """
    deposits = row.get("unconfirmed_bitcoin_deposits")
    if not deposits:
        return None
    total = Decimal(0)
    for deposit in deposits if isinstance(deposits, list) else [deposits]:
        if not isinstance(deposit, Mapping):
            return [deposit]
        value = deposit.get("amount_with_vat")
        if value is None:
            value = deposit.get("amount")
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int) or not _PLAIN_AMOUNT.fullmatch(str(value)):
            return [value]
        total = _EXACT.add(total, Decimal(value))
    return format(total, "f")


_DOCUMENTED_BALANCE_KEYS = (
    "balance", "balance_limit", "estimated_expenses", "estimated_funds", "shortfall", "currency", "has_valid_card",
    "last_deposit", "unconfirmed_bitcoin_deposits",
)  # fmt: skip

BALANCE = Records(
    kind="balances",
    fields=(
        money("balance_amount", "balance", required=True),
        unit("unit_code", "currency", required=True),
        money("limit_amount", "balance_limit"),
        money("unconfirmed_amount", "unconfirmed_bitcoin_deposits", compute=_pending),
    ),
    ignored=_DOCUMENTED_BALANCE_KEYS,
)

ESTIMATED_EXPENSES = Records(
    kind="vendor_claims",
    # The schema says `estimated_expenses`, its own example `estimated_funds`.
    fields=(
        money("claim_amount", "estimated_expenses", "estimated_funds", required=True),
        unit("unit_code", "currency"),
    ),
    constants={"claim": "estimated_expenses"},
    covers_next_days=30,
    ignored=_DOCUMENTED_BALANCE_KEYS,
    is_optional=True,
)

SHORTFALL = Records(
    kind="vendor_claims",
    fields=(money("claim_amount", "shortfall", required=True), unit("unit_code", "currency")),
    constants={"claim": "shortfall"},
    covers_next_days=30,
    ignored=_DOCUMENTED_BALANCE_KEYS,
    is_optional=True,
)

# Assumed, from the types that orders have and from what a balance can do.
_KINDS = {
    "deposit": "top_up",
    "top-up": "top_up",
    "topup": "top_up",
    "top_up": "top_up",
    "payment": "top_up",
    "credit": "top_up",
    "renewal": "renewal",
    "renew": "renewal",
    "renew-service": "renewal",
    "auto-renewal": "renewal",
    "new-service": "usage",
    "scale-service": "usage",
    "new-addon": "usage",
    "scale-addon": "usage",
    "addon": "usage",
    "new-floating-ip": "usage",
    "combined": "usage",
    "custom": "usage",
    "order": "usage",
    "purchase": "usage",
    "usage": "usage",
    "charge": "usage",
    "debit": "usage",
    "refund": "refund",
    "adjustment": "adjustment",
    "correction": "adjustment",
    "tax": "tax",
    "vat": "tax",
}

# Assumed. A row without a status stands in the ledger, so it moved the balance.
_STATUSES = {
    "completed": "settled",
    "complete": "settled",
    "confirmed": "settled",
    "paid": "settled",
    "settled": "settled",
    "success": "settled",
    "successful": "settled",
    "pending": "pending",
    "processing": "pending",
    "unconfirmed": "pending",
    "awaiting_payment": "pending",
    "cancelled": "void",
    "canceled": "void",
    "failed": "void",
    "declined": "void",
    "rejected": "void",
    "expired": "void",
}


TRANSACTIONS = Records(
    kind="ledger_entries",
    at="data",
    fields=(
        text("entry_id", "id", required=True),
        money("stated_amount", "amount", required=True),
        instant("effective_at_utc", "created_at", required=True),
        money("gross_amount", "amount_with_vat", documented=False),
        unit("unit_code", "currency", documented=False),
        text("vendor_entry_type", "type", documented=False),
        choice("entry_kind", "type", choices=_KINDS, otherwise="other", absent="other", documented=False),
        choice(
            "entry_status",
            "status",
            choices=_STATUSES,
            otherwise="unknown",
            documented=False,
            absent="settled",
        ),
        text("description", "description", documented=False),
    ),
    keeps_extra=True,
)
