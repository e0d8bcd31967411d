"""Reduction of a world that violates a property to the smallest one that does: fewer accounts, then plainer ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.lattice.build_properties import Violation
from tests.lattice.combinations import Combination

Item = TypeVar("Item")


def smallest(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """A subset of the items that fails, and no longer does without any of the tried parts; found by bisection."""
    left = list(items)
    size = len(left) // 2
    while size:
        for begin in range(0, len(left), size):
            part, rest = left[begin : begin + size], left[:begin] + left[begin + size :]
            if len(part) < len(left) and fails(part):
                left, size = part, len(part) // 2
                break
            if rest and len(part) < len(rest) and fails(rest):
                left, size = rest, min(size, len(rest) // 2)
                break
        else:
            size //= 2
    return left


def plainest(combination: Combination, fails: Callable[[Combination], bool]) -> Combination:
    """The combination with as many plain values as possible that still fails."""
    tried = {combination}
    while True:
        for plainer in combination.plainer():
            if plainer not in tried:
                tried.add(plainer)
                if fails(plainer):
                    combination = plainer
                    break
        else:
            return combination


def summary(violations: Sequence[Violation], combinations: Sequence[Combination], most: int = 4) -> str:
    """Violations by property: how many accounts violate it, and those in the plainest states, each once."""
    by_name: dict[str, list[Violation]] = defaultdict(list)
    for each in violations:
        by_name[each.name].append(each)
    lines = []
    for name, found in sorted(by_name.items()):
        accounts: dict[str | None, list[Violation]] = defaultdict(list)
        for each in found:
            accounts[each.account_id].append(each)
        lines.append(f"{name}: {len(found)} violations, {len(accounts)} accounts")
        states = {account_id: str(combinations[place_of(account_id)]) if account_id else "" for account_id in accounts}
        for account_id in sorted(accounts, key=lambda account_id: (states[account_id].count(" "), states[account_id]))[
            :most
        ]:
            lines.append(
                f"    {account_id or 'everybody'}: {states[account_id]}: {accounts[account_id][0].words[:400]}"
            )
    return "\n".join(lines)


def place_of(account_id: str) -> int:
    """Position of an unusual account's combination in the list of its world."""
    return int(account_id.split("-")[1])
