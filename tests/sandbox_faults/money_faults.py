"""Faults of amounts.

Without a given money field, a behaviour uses the one that the endpoint is read for (`money_field`).
"""

from collections.abc import Callable

import msgspec

from pipeline.sandbox.api._api_base import ApiResponse
from pipeline.sandbox.encoding import Tree
from pipeline.sandbox.exchange import Exchange
from tests.sandbox_faults.registry import fault, on_objects

_MONEY_FIELDS = {
    "vpsbg": {"/balance": "balance", "/servers": "price_with_vat", "": "amount"},
    "hyperstack": {
        "/billing/user-credit/credit": "credit",
        "/billing/billing/last-day-cost": "total_cost",
        "/billing/billing/usage": "total_bill",
        "/billing/payment/payment-details": "amount",
        "/billing/auto-topup/status": "topup_amount",
        "": "incurred_bill",
    },
    "voxpria": {"/api/v1/credits": "balance", "": "creditsUsed"},
    "deepvue": {"": "current_balance"},
}


def money_field(vendor: str, path: str) -> str:
    """Return the name of the amount that an endpoint is read for."""
    fields = _MONEY_FIELDS[vendor]
    return fields.get(path, fields[""])


def _money(name: str, doc: str, change: Callable[[dict[str, Tree], str], dict[str, Tree]]) -> None:
    async def behaviour(x: Exchange, *, field: str | None = None) -> None:
        target = field or money_field(x.vendor, x.path)

        def spoil(found: dict[str, Tree]) -> dict[str, Tree]:
            return change(found, target) if target in found else found

        await x.give(ApiResponse(x.answer.status, on_objects(x.answer.body, spoil)))

    behaviour.__name__, behaviour.__doc__ = name, doc
    fault(behaviour)


def _money_value(name: str, doc: str, value: Tree) -> None:
    _money(name, doc, lambda found, target: {**found, target: value})


_money(
    "money_missing",
    "Leave the money field out of every object.",
    lambda found, target: {key: value for key, value in found.items() if key != target},
)
_money(
    "money_renamed",
    "Call the money field `value` in every object.",
    lambda found, target: {"value" if key == target else key: value for key, value in found.items()},
)
_money_value("money_null", "Send null for money.", None)
_money_value("money_not_available", 'Send "n/a" for money.', "n/a")
_money_value("money_nan", "Send the bare word NaN for money.", msgspec.Raw(b"NaN"))
_money_value("money_overflow", "Send 1e999999 for money.", msgspec.Raw(b"1e999999"))
_money_value("money_forty_digits", "Send forty digits for money.", msgspec.Raw(b"1234567890" * 4))
_money_value("money_ten_decimals", "Send money with ten decimals.", msgspec.Raw(b"12.3456789012"))
_money_value("money_dollars", 'Send "$13.50" for money.', "$13.50")
_money_value("money_grouped", 'Send "1,234.50" for money.', "1,234.50")
_money_value("money_sentinel", "Send -1 for money, as APIs do that do not know it.", -1)


@fault
async def money_is(x: Exchange, *, value: str) -> None:
    """Send a given amount for money, as after a top-up."""
    target = money_field(x.vendor, x.path)

    def spoil(found: dict[str, Tree]) -> dict[str, Tree]:
        return {**found, target: msgspec.Raw(value.encode())} if target in found else found

    await x.give(ApiResponse(x.answer.status, on_objects(x.answer.body, spoil)))
