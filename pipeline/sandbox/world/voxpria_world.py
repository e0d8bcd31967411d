"""Voxpria's accounts: credits bought in packs and used by voice calls in a weekly pattern."""

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from pipeline.sandbox.world._world_base import ZERO, Account, Life, WorldEntry

# Documented: a voice call costs 3 credits a minute.
CREDITS_A_MINUTE = 3

# Shares of a day's calls by UTC hour: office hours with a dip at noon.
_HOURS = {7: 4, 8: 8, 9: 12, 10: 13, 11: 10, 12: 6, 13: 9, 14: 12, 15: 11, 16: 9, 17: 6}

_OFFICE_WEEK = (1.0, 1.1, 1.05, 1.1, 0.9, 0.15, 0.0)
_CAMPAIGN_WEEK = (1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.75)


class VoxpriaAccount(Account):
    """A Voxpria account; its unit is the credit, and only whole credits exist.

    `restated_day` was first reported without its late call records; from `restated_at` on the report has
    them. The balance knew them all along.
    """

    vendor = "voxpria"

    def __init__(
        self,
        account_id: str,
        opened_at: datetime,
        entries: Iterable[WorldEntry],
        *,
        restated_day: date | None = None,
        restated_at: datetime | None = None,
    ) -> None:
        super().__init__(account_id, "voxpria-credit", opened_at, entries)
        self.restated_day = restated_day
        self.restated_at = restated_at

    def dry_at(self, after: datetime) -> datetime | None:
        """Return the first instant after `after` at which the balance pays for no minute of voice."""
        for entry in self.entries:
            if entry.at > after and self.balance_at(entry.at) < CREDITS_A_MINUTE:
                return entry.at
        return None


def _hours(rng: random.Random, day: datetime, mean_calls: float) -> Iterable[WorldEntry]:
    """Yield one usage entry for each hour of `day` that saw a call."""
    calls = max(0, round(rng.gauss(mean_calls, mean_calls * 0.18))) if mean_calls else 0
    by_hour: dict[int, int] = {}
    for hour in rng.choices(list(_HOURS), weights=list(_HOURS.values()), k=calls):
        by_hour[hour] = by_hour.get(hour, 0) + 1
    for hour, count in sorted(by_hour.items()):
        minutes = sum(rng.choices((1, 2), weights=(9, 1), k=count))
        at = day + timedelta(hours=hour, minutes=rng.randint(0, 59), seconds=rng.randint(0, 59))
        credits = Decimal(-CREDITS_A_MINUTE * minutes)
        yield WorldEntry(0, at, "usage", credits, "Voice calls", quantity=count)


def _pack(at: datetime, credits: int) -> WorldEntry:
    return WorldEntry(0, at, "top_up", Decimal(credits), "Credit pack")


def _numbered(entries: Iterable[WorldEntry]) -> list[WorldEntry]:
    ordered = sorted(entries, key=lambda entry: entry.at)
    return [replace(entry, entry_id=1 + number) for number, entry in enumerate(ordered)]


def main(account_id: str, life: Life) -> VoxpriaAccount:
    """Return a healthy account: quiet weekends, a pack now and then, one day restated later."""
    rng = life.rng(account_id, "calls")
    first_at = life.opened_at + timedelta(minutes=20)
    usage: list[WorldEntry] = []
    for number, day in enumerate(life.days()):
        closed = rng.random() < 0.03
        growth = 1 + number / 2_000
        hours = list(_hours(rng, day, 40 * growth * _OFFICE_WEEK[day.weekday()]))
        usage += [entry for entry in hours if not closed and first_at < entry.at <= life.ends_at]

    # The latest day over at the initial now with call records to spare: recent enough for a short look-back.
    restated_day, restated_at = None, None
    over = [entry.at.date() for entry in usage if entry.at.date() < life.initial_now.date()]
    spare = [day for day in sorted(set(over)) if over.count(day) > 3]
    if spare:
        restated_day = spare[-1]
        restated_at = life.initial_now + timedelta(hours=12)
        late = [entry for entry in usage if entry.at.date() == restated_day][-3:]
        usage = [replace(entry, known_at=restated_at) if entry in late else entry for entry in usage]

    entries = [_pack(first_at, 5_000)]
    balance = entries[0].amount
    recent = life.initial_now - timedelta(days=6)
    for entry in usage:
        # Bought ahead shortly before the initial now, so that the demo's healthy account looks healthy.
        enough = 4_000 if recent <= entry.at <= life.initial_now else 1_200
        if balance < enough:
            entries.append(_pack(entry.at - timedelta(minutes=1), 5_000))
            balance += 5_000
        entries.append(entry)
        balance += entry.amount
    return VoxpriaAccount(
        account_id, life.opened_at, _numbered(entries), restated_day=restated_day, restated_at=restated_at
    )


def campaign(account_id: str, life: Life) -> VoxpriaAccount:
    """Return an account about to run dry: six weeks of heavy calling, three days left at the initial now.

    After the initial now it runs dry, stays idle for two days, is refilled and continues.
    """
    rng = life.rng(account_id, "calls")
    first_at = life.opened_at + timedelta(minutes=20)
    usage: list[WorldEntry] = []
    started_at = life.initial_now - timedelta(days=42)
    for day in life.days():
        mean = (380 if day >= started_at else 55) * _CAMPAIGN_WEEK[day.weekday()]
        usage += [entry for entry in _hours(rng, day, mean) if first_at < entry.at <= life.ends_at]

    past = [entry for entry in usage if entry.at <= life.initial_now]
    week_ago = life.initial_now - timedelta(days=7)
    used = -sum((entry.amount for entry in past if entry.at > week_ago), ZERO)
    pace = used / min(7, max(1, (life.initial_now - life.opened_at).days))
    target = max(100, 50 * round(3 * pace / 50))

    entries = [_pack(first_at, 2_000)]
    balance = entries[0].amount
    last_refill_at = max(life.initial_now - timedelta(days=14), life.opened_at)
    for entry in past:
        if balance + entry.amount < 400 and entry.at <= last_refill_at:
            entries.append(_pack(entry.at - timedelta(minutes=1), 5_000))
            balance += 5_000
        entries.append(entry)
        balance += entry.amount
    # The last refill is sized backwards, from what must be left at the initial now.
    missing = target - int(balance)
    if missing > 0:
        entries.append(_pack(last_refill_at + timedelta(minutes=25), missing))
        balance += missing

    refill_at: datetime | None = None
    for entry in usage[len(past) :]:
        if refill_at is not None:
            if entry.at < refill_at:
                continue
            entries.append(_pack(refill_at, 15_000))
            balance += 15_000
            refill_at = None
        if balance + entry.amount < 0:
            minutes = int(balance) // CREDITS_A_MINUTE
            cut = Decimal(-CREDITS_A_MINUTE * minutes)
            entry = replace(entry, amount=cut, quantity=min(entry.quantity, minutes))
        if entry.amount:
            entries.append(entry)
            balance += entry.amount
        if balance < CREDITS_A_MINUTE:
            refill_at = entry.at + timedelta(days=2)
    return VoxpriaAccount(account_id, life.opened_at, _numbered(entries))
