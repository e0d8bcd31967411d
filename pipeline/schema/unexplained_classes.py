"""Classes of unexplained amounts, with their texts, and those that are not missing money.

`core.balance_residuals` assigns the class; the column `unexplained_class` lists all of them.
"""

from __future__ import annotations

from typing import Final

EXPECTED: Final = ("boundary", "pending_deposit", "rounding")
"""Not missing money: booked on the other side of an interval's boundary, on its way, or below the last stated digit."""

MEANINGS: Final = {
    "missing_entry": "an entry seems to be missing",
    "amount_mismatch": "there is an entry, but the balance moved by another amount",
    "duplicate_entry": "an entry seems to be booked twice",
    "tax": "it is the tax of an entry",
    "unit_price": "usage was billed at a price other than stated",
    "pending_deposit": "unconfirmed deposits changed by it",
    "restated": "the vendor changed figures that it had stated",
    "boundary": "it was booked in one interval and moved the balance in the next",
    "rounding": "it is smaller than the last digit that the vendor states",
    "unit_change": "the unit of the balance changed in between",
    "unknown": "no known cause matches it",
}
"""Text of each class; docs/reconciliation.md has the rules."""
