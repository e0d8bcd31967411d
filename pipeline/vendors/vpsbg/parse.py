"""Fields of VPSBG's answers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal

from pipeline.schema.exact_amounts import exact_money
from pipeline.vendors._port import Records, choice, flag, instant, money, number, text, unit

_EXACT = Context(prec=60)


def _amount(value: object) -> Decimal | None:
    """An amount that is part of a computed one; None if it is not exact."""
    text = exact_money(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    return None if text is None else Decimal(text)


def _pending(row: Mapping[str, object]) -> object:
    """Unconfirmed bitcoin deposits, summed with VAT as the balance is; None if there are none.

    Ambiguous values are returned in a list, which no reader of money accepts: the amount is then NULL, and the drift
    shows the value.
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
        amount = _amount(value)
        if amount is None or amount < 0:
            return [value]
        total = _EXACT.add(total, amount)
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
    # The schema has `estimated_expenses`, its own example `estimated_funds`.
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

# Assumed from the types of orders and the possible movements of a balance.
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

# Assumed. A row without a status is in the ledger, so it moved the balance.
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
    # Orders and invoices also have ids, times and amounts, but move the balance by different amounts.
    foreign=("amount_from_balance", "order_ids"),
    keeps_extra=True,
)

# The documented types. All but deposits are purchases; `custom` and `combined` do not state of what.
_ORDER_KINDS = {
    "deposit": "top_up",
    "renew-service": "renewal",
    "new-service": "usage",
    "scale-service": "usage",
    "new-addon": "usage",
    "scale-addon": "usage",
    "new-floating-ip": "usage",
    "combined": "usage",
    "custom": "usage",
}

ORDERS = Records(
    kind="orders",
    at="data",
    fields=(
        text("order_id", "id", required=True),
        instant("ordered_at_utc", "created_at", required=True),
        instant("due_at_utc", "due_at"),
        # NULL until it is paid.
        instant("paid_at_utc", "payment_date"),
        choice("order_kind", "type", choices=_ORDER_KINDS, otherwise="other", absent="other"),
        text("vendor_order_type", "type"),
        choice("order_status", "status", choices=_STATUSES, otherwise="unknown", required=True),
        money("net_amount", "amount"),
        money("gross_amount", "amount_with_vat", required=True),
        # If orders replace the ledger, an order that took nothing from the balance is no entry.
        money("from_balance_amount", "amount_from_balance", decisive=True),
    ),
    ignored=("tax_rate", "payment_method", "auto_pay", "promo", "promo_applicable", "payment_information"),
)


def _order_ids(row: Mapping[str, object]) -> object:
    """Ids of an invoice's orders, comma-separated; None if it has none."""
    ids = row.get("order_ids")
    if not isinstance(ids, list):
        return ids
    return ",".join(str(each) for each in ids) or None


INVOICES = Records(
    kind="invoices",
    at="data",
    fields=(
        text("invoice_id", "id", required=True),
        text("invoice_number", "invoice_number", required=True),
        instant("invoiced_at_utc", "created_at", required=True),
        choice(
            "invoice_kind",
            "type",
            choices={"original": "original", "proform": "proforma", "proforma": "proforma"},
            otherwise="other",
            absent="other",
        ),
        money("net_amount", "amount"),
        money("gross_amount", "amount_with_vat", required=True),
        text("order_ids", "order_ids", compute=_order_ids),
    ),
)


def _renewal(row: Mapping[str, object]) -> object:
    """Cost of a server's next renewal with VAT, as the balance is; None if not stated.

    The plan's price is for a month, and a renewal for `billing_cycle` months. Ambiguous values are returned in a list,
    which no reader of money accepts.
    """
    stated = row.get("renew_amount_with_vat")
    if stated is not None:
        return stated
    plan, months = row.get("plan"), row.get("billing_cycle")
    price = plan.get("price_with_vat") if isinstance(plan, Mapping) else None
    if price is None or months is None:
        return None
    amount = _amount(price)
    if amount is None or _cycle(row) is None:
        return [price, months]
    return format(_EXACT.multiply(amount, Decimal(str(months))), "f")


def _cycle(row: Mapping[str, object]) -> object:
    """Months between renewals; any other value is ignored."""
    months = row.get("billing_cycle")
    is_cycle = isinstance(months, int) and not isinstance(months, bool) and 0 < months <= _LONGEST_CYCLE
    return months if is_cycle else None


def _is_renewed(row: Mapping[str, object]) -> object:
    """Whether the server renews automatically: it is enabled, and no end was requested."""
    return row.get("auto_renew") if not row.get("cancel_request") else False


# Ten years: a longer period is no billing cycle.
_LONGEST_CYCLE = 120

SERVERS = Records(
    kind="known_charges",
    at="data",
    fields=(
        text("charge_id", "id", required=True),
        instant("due_at_utc", "expiry_at", required=True),
        money("charge_amount", "renew_amount_with_vat", required=True, documented=False, compute=_renewal),
        number("cycle_months", "billing_cycle", compute=_cycle),
        text("description", "hostname"),
        flag("is_automatic", "auto_renew", required=True, compute=_is_renewed),
    ),
    # Documented, in either of the two shapes of a server.
    ignored=(
        "plan",
        "status",
        "created_at",
        "addons",
        "renew_amount",
        "renew_amount_with_vat",
        "potential_expiry_at",
        "cancel_request",
        "virtualization",
        "locked",
    ),
)
