"""The classes of unexplained amounts: what each says, and which are no missing money.

`core.balance_residuals` finds the class; the column `unexplained_class` lists those that there are.
"""

from __future__ import annotations

from typing import Final

EXPECTED: Final = ("boundary", "pending_deposit", "rounding")
"""No missing money: booked beside the boundary of two intervals, on its way, or less than the last digit that is
stated."""

MEANINGS: Final = {
    "missing_entry": "an entry seems to be missing",
    "amount_mismatch": "there is an entry, but the balance moved by another amount",
    "duplicate_entry": "an entry seems to be booked twice",
    "tax": "it is the tax of an entry",
    "unit_price": "usage was billed at a price other than stated",
    "pending_deposit": "it is what unconfirmed deposits changed by",
    "restated": "the vendor changed figures that it had stated",
    "boundary": "it was booked in one interval and moved the balance in the next",
    "rounding": "it is smaller than the last digit that the vendor states",
    "unit_change": "the unit of the balance changed in between",
    "unknown": "no known cause matches it",
}
"""What each class says, for people: docs/reconciliation.md has the rules."""
