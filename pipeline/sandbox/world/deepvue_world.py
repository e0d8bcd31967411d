"""Deepvue's accounts: a wallet from which each identity check takes a few rupees."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from pipeline.sandbox.world._world_base import Account, Life, WorldEntry

_WEEK = (1.0, 1.05, 1.0, 1.1, 1.0, 0.5, 0.25)

# Rupees a check; the halves make the wallet's balance now an integer, now a decimal number.
_PRICES = ("1.5", "2", "3", "4.5")


class DeepvueAccount(Account):
    """A Deepvue wallet in INR, a unit that the API itself never names."""

    vendor = "deepvue"
    disabled_at: datetime | None = None
    """Instant from which the vendor refuses the client."""

    def __init__(self, account_id: str, opened_at: datetime, entries: Iterable[WorldEntry]) -> None:
        ordered = sorted(entries, key=lambda entry: entry.at)
        numbered = [replace(entry, entry_id=1 + number) for number, entry in enumerate(ordered)]
        super().__init__(account_id, "INR", opened_at, numbered)


def _checks(rng: random.Random, day: datetime, mean: float) -> Iterable[WorldEntry]:
    checks = max(0, round(rng.gauss(mean, mean * 0.2)))
    by_hour: dict[int, list[str]] = {}
    for hour in (rng.randint(3, 14) for _ in range(checks)):
        by_hour.setdefault(hour, []).append(rng.choice(_PRICES))
    for hour, prices in sorted(by_hour.items()):
        at = day + timedelta(hours=hour, minutes=rng.randint(0, 59), seconds=rng.randint(0, 59))
        amount = -sum(map(Decimal, prices), Decimal(0))
        yield WorldEntry(0, at, "usage", amount, "Identity checks", quantity=len(prices))


def _topup(at: datetime, rupees: int) -> WorldEntry:
    return WorldEntry(0, at, "top_up", Decimal(rupees), "Wallet recharge")


def _wallet(
    life: Life, account_id: str, first: WorldEntry, busy_from: datetime, mean: float, topup: int
) -> list[WorldEntry]:
    rng = life.rng(account_id, "checks")
    entries = [first]
    balance = first.amount
    recent = life.initial_now - timedelta(days=5)
    for day in life.days():
        for entry in _checks(rng, day, mean * _WEEK[day.weekday()]):
            if not busy_from < entry.at <= life.ends_at:
                continue
            # Recharged ahead shortly before the initial now, so that the demo's healthy wallet looks healthy.
            enough = topup * 3 // 5 if recent <= entry.at <= life.initial_now else topup // 8
            if balance < enough:
                entries.append(_topup(entry.at - timedelta(minutes=1), topup))
                balance += topup
            entries.append(entry)
            balance += entry.amount
    return entries


def main(account_id: str, life: Life) -> DeepvueAccount:
    """Return a healthy wallet with a recharge every few weeks."""
    first = _topup(life.opened_at + timedelta(minutes=15), 10_000)
    return DeepvueAccount(account_id, life.opened_at, _wallet(life, account_id, first, first.at, 85, 10_000))


def new(account_id: str, life: Life) -> DeepvueAccount:
    """Return a wallet opened three hours before the initial now: one recharge, and not a single check yet."""
    opened_at = life.initial_now - timedelta(hours=3)
    first = _topup(opened_at, 1_000)
    busy_from = life.initial_now + timedelta(hours=1)
    return DeepvueAccount(account_id, opened_at, _wallet(life, account_id, first, busy_from, 30, 1_000))
