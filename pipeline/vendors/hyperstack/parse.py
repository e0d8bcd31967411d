"""Fields of Hyperstack's answers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final

from pipeline.schema.exact_amounts import exact_money
from pipeline.vendors._port import Records, choice, flag, instant_utc, money, text, unit

_EXACT: Final = Context(prec=60)
_MINUTES_A_DAY: Final = Decimal(1440)


def _is_cut_off(row: Mapping[str, object]) -> object:
    """The opposite of `can_create_instance`; None unless it is stated in so many words."""
    return {"true": False, "false": True}.get(str(row.get("can_create_instance")).strip().lower())


CREDIT = Records(
    kind="balances",
    at="data",
    fields=(
        money("balance_amount", "credit", required=True),
        money("threshold_amount", "threshold"),
        flag("is_cut_off", "can_create_instance", documented=False, compute=_is_cut_off),
    ),
    constants={"unit_code": "USD"},
)

HISTORY = Records(
    kind="usage_days",
    at="billing_history.billing_history",
    # The components (vm_cost, volume_cost, ...) do not add up to the bill, so only the bill is usage; extra_json keeps
    # them.
    fields=(
        money("credits_amount", "metrics.incurred_bill", required=True),
        money("cost_amount", "metrics.incurred_bill"),
    ),
    constants={"cost_unit_code": "USD"},
    ignored=("attributes",),
    is_of_window=True,
    keeps_extra=True,
)

LAST_DAY_COST = Records(
    kind="vendor_claims",
    at="data",
    fields=(money("claim_amount", "total_cost", required=True),),
    constants={"claim": "last_day_cost", "unit_code": "USD"},
    ignored=("instances_cost", "volumes_cost", "clusters_cost"),
    covers_day_before=True,
)

_RESOURCE_TYPES = {
    "vm": "machine",
    "virtual_machine": "machine",
    "virtual-machine": "machine",
    "virtual machine": "machine",
    "instance": "machine",
    "volume": "volume",
    "snapshot": "snapshot",
    "cluster": "cluster",
    "bucket": "bucket",
}

RATES = Records(
    kind="resource_rates",
    at="data",
    fields=(
        text("resource_id", "resource_id", required=True),
        text("vendor_resource_type", "resource_type", required=True),
        choice("resource_kind", "resource_type", choices=_RESOURCE_TYPES, otherwise="other", absent="other"),
        text("resource_name", "name"),
        # NULL for a resource without a price.
        money("minute_amount", "bill_per_minute", documented=False),
        flag("is_active", "active"),
        flag("is_excluded", "exclude_billing"),
    ),
    constants={"unit_code": "USD"},
    ignored=("organization_id", "create_time", "terminate_time", "total_up_time", "total_bill"),
)


def _a_day(row: Mapping[str, object]) -> object:
    """The price of a day, of a price that is rounded as it is stored; 0 for a resource that is gone, not billed, or
    without a price. Anything that is no amount is returned in a list, which no reader of money accepts.
    """
    price = row.get("bill_per_minute")
    gone, excluded = str(row.get("active")).lower(), str(row.get("exclude_billing")).lower()
    if price is None or gone in ("false", "0") or excluded in ("true", "1"):
        return 0
    is_text = isinstance(price, str | int) and not isinstance(price, bool)
    amount = exact_money(str(price), rounds=True) if is_text else None
    return [price] if amount is None else format(_EXACT.multiply(Decimal(amount), _MINUTES_A_DAY), "f")


BURN_NOW = Records(
    kind="vendor_claims",
    at="data",
    fields=(money("claim_amount", "bill_per_minute", required=True, compute=_a_day),),
    constants={"claim": "burn_now", "unit_code": "USD"},
    ignored=(
        "resource_id", "resource_type", "name", "active", "exclude_billing",
        "organization_id", "create_time", "terminate_time", "total_up_time", "total_bill",
    ),
    # The burn of an account is that of its resources.
    parts_add_up=True,
    covers_next_days=1,
)  # fmt: skip

# Assumed: the words are not documented. An unknown status does not count as credited.
_PAYMENT_STATUSES = {
    "completed": "settled",
    "complete": "settled",
    "paid": "settled",
    "succeeded": "settled",
    "success": "settled",
    "successful": "settled",
    "settled": "settled",
    "pending": "pending",
    "processing": "pending",
    "created": "pending",
    "initiated": "pending",
    "failed": "void",
    "cancelled": "void",
    "canceled": "void",
    "declined": "void",
    "expired": "void",
}

PAYMENTS = Records(
    kind="payments",
    at="data",
    fields=(
        text("payment_id", "payment_id", required=True),
        instant_utc("ordered_at_utc", "created_at", required=True),
        # Assumed: the last change of a settled payment was its credit.
        instant_utc("paid_at_utc", "updated_at"),
        money("payment_amount", "amount", required=True),
        money("payment_tax_amount", "tax_amount"),
        unit("unit_code", "currency"),
        choice("payment_status", "status", choices=_PAYMENT_STATUSES, otherwise="unknown", absent="unknown"),
        text("payment_kind", "payment_type"),
        text("description", "description"),
    ),
    ignored=("paid_from", "transaction_id", "invoice", "auto_topup_id", "attempt_number", "gateway_response"),
)


def _is_on(row: Mapping[str, object]) -> object:
    """Whether the status is one of the words that can only mean yes; None if the row is about something else."""
    if "topup_amount" not in row or "status" not in row:
        return None
    return str(row["status"]).lower() in ("active", "enabled", "on", "true")


AUTO_TOPUP = Records(
    kind="auto_topups",
    fields=(
        flag("is_on", "status", required=True, compute=_is_on),
        # NULL if nothing is set up.
        text("auto_topup_status", "status", documented=False),
        money("threshold_amount", "threshold_amount"),
        money("topup_amount", "topup_amount"),
    ),
    constants={"unit_code": "USD"},
)


def resources(kind: str, at: str, ignored: tuple[str, ...] = ()) -> Records:
    """Days of one kind of resource; `at` is the documented key around its rows."""
    return Records(
        kind="resource_days",
        at=f"{at}.billing_history",
        fields=(
            text("resource_id", "attributes.id", required=True),
            text("resource_name", "attributes.resource_name"),
            money("resource_amount", "metrics.incurred_bill", required=True),
        ),
        constants={"resource_kind": kind, "unit_code": "USD"},
        ignored=ignored,
        is_of_window=True,
    )


def models(kind: str, at: str) -> Records:
    """Days of one kind of work on models, which is billed by tokens; its rows have no `id`."""
    return Records(
        kind="resource_days",
        at=f"{at}.billing_history",
        fields=(
            text("resource_id", "attributes.infrahub_id", "attributes.id", required=True),
            text("resource_name", "attributes.resource_name"),
            money("resource_amount", "metrics.incurred_bill", required=True),
        ),
        constants={"resource_kind": kind, "unit_code": "USD"},
        # Assumed: one model with several adapters is several rows of one resource.
        parts_add_up=True,
        is_of_window=True,
    )


def contracts(at: str) -> Records:
    """Days of contracts; only the names of their fields are documented, so an answer without such rows is no error."""
    return Records(
        kind="resource_days",
        at=f"{at}.billing_history",
        fields=(
            text("resource_id", "attributes.infrahub_id", "attributes.id", required=True),
            text("resource_name", "attributes.description", "attributes.resource_name"),
            money("resource_amount", "metrics.incurred_bill", required=True),
        ),
        constants={"resource_kind": "contract", "unit_code": "USD"},
        is_optional=True,
        is_of_window=True,
    )
