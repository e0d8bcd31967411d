"""Accounts as rows of marts.account_status."""

from decimal import Decimal
from typing import Any


def account(account_id: str, severity: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "vendor": "vpsbg",
        "balance_amount": Decimal("100.5"),
        "unit_code": "EUR",
        "reading_state": "fresh",
        "severity": severity,
        "reason": f"The reason of {account_id}.",
    } | more


def table(text: str) -> list[list[str]]:
    """Cells of the account table, cut at the columns of the rule under the header."""
    header, rule, *lines = text.split("\n\n")[0].splitlines()
    starts = [index for index, sign in enumerate(rule) if sign == "─" and (index == 0 or rule[index - 1] == " ")]
    return [
        [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        for line in [header, *lines]
    ]
