"""Fields of Hyperstack's answers."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.vendors._port import Records, choice, flag, instant_utc, money, text, unit


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
