"""Hyperstack's account: bursts of GPU machines billed by the minute, volumes, and automatic top-ups."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from pipeline.sandbox.world._world_base import ZERO, Account, Life, UsageDay, WorldEntry

ORG_ID = 1402

_DAY = timedelta(days=1)

# USD a minute, each a terminating decimal, so that every bill is exact.
_GPU_PRICES = {"H100-80G-PCIe": "0.0315", "A100-80G-PCIe": "0.0225", "L40": "0.0165"}

# A bucket this cheap bills about 1.48e-11 a day, as the documented example does.
_BUCKET_PRICE = "1.0277165E-14"


@dataclass(frozen=True, slots=True)
class Resource:
    """Something billed by the full minute from `started_at` to `ended_at`; prices in USD a minute."""

    resource_id: int
    uuid: str
    kind: str
    name: str
    price: Decimal
    list_price: Decimal
    started_at: datetime
    ended_at: datetime | None

    def minutes(self, until: datetime) -> int:
        """Return the full minutes billed up to `until`."""
        end = until if self.ended_at is None else min(until, self.ended_at)
        return max(0, int((end - self.started_at).total_seconds() // 60))

    def bill(self, start: datetime, end: datetime) -> Decimal:
        """Return the USD billed in the half-open window; windows laid side by side add up exactly."""
        # A client asks for many short windows, and most resources are long gone or not there yet.
        if end <= self.started_at or (self.ended_at is not None and self.ended_at <= start):
            return ZERO
        return (self.minutes(end) - self.minutes(start)) * self.price

    def is_active(self, now: datetime) -> bool:
        """Tell whether it is still billed at `now`."""
        return self.started_at <= now and (self.ended_at is None or now < self.ended_at)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment in USD, credited without its tax and only once it is settled as `completed`."""

    payment_id: str
    created_at: datetime
    settled_at: datetime
    outcome: str
    amount: Decimal
    payment_type: str
    auto_topup_id: int | None = None
    attempt_number: int = 1

    def status(self, now: datetime) -> str:
        """Return `pending` until it settles, then `completed` or `failed`."""
        return self.outcome if self.settled_at <= now else "pending"


class HyperstackAccount(Account):
    """A Hyperstack organisation in USD; its credit falls with every billed minute and may go below zero."""

    vendor = "hyperstack"

    def __init__(
        self,
        account_id: str,
        opened_at: datetime,
        resources: Iterable[Resource],
        payments: Iterable[Payment],
        *,
        threshold: Decimal,
        topup_threshold: Decimal,
        topup_amount: Decimal,
    ) -> None:
        self.resources = tuple(resources)
        self.payments = tuple(sorted(payments, key=lambda payment: payment.created_at))
        self.threshold = threshold
        self.topup_threshold = topup_threshold
        self.topup_amount = topup_amount
        settled = [
            WorldEntry(1 + number, payment.settled_at, "top_up", payment.amount, f"Payment {payment.payment_id}")
            for number, payment in enumerate(self.payments)
            if payment.outcome == "completed"
        ]
        super().__init__(account_id, "USD", opened_at, settled)

    def bill(self, start: datetime, end: datetime, kind: str | None = None) -> Decimal:
        """Return the USD billed in [start, end), for one kind of resource or all."""
        return sum((resource.bill(start, end) for resource in self.resources if kind in (None, resource.kind)), ZERO)

    def balance_at(self, instant: datetime) -> Decimal:
        """Return the credit in USD: completed payments less everything billed so far."""
        return super().balance_at(instant) - self.bill(self.opened_at, instant)

    def usage(self, until: datetime) -> list[UsageDay]:
        """Return the billed days, oldest first; `quantity` is billed minutes over all resources."""
        totals: dict[date, tuple[int, Decimal]] = {}
        for resource in self.resources:
            start = datetime.combine(resource.started_at.date(), time(), UTC)
            last = until if resource.ended_at is None else min(until, resource.ended_at)
            while start < last:
                end = min(start + _DAY, until)
                used = resource.minutes(end) - resource.minutes(start)
                minutes, amount = totals.get(start.date(), (0, ZERO))
                totals[start.date()] = (minutes + used, amount + used * resource.price)
                start += _DAY
        return [
            UsageDay(day, minutes, amount, is_partial=day == until.date())
            for day, (minutes, amount) in sorted(totals.items())
            if minutes
        ]

    def ledger(self, until: datetime) -> list[WorldEntry]:
        """Return completed payments and one usage entry a day, oldest first; they sum to the credit."""
        entries = super().ledger(until)
        for number, day in enumerate(self.usage(until)):
            midnight = datetime.combine(day.day, time(), UTC)
            at = until if day.is_partial else midnight + _DAY - timedelta(microseconds=1)
            entries.append(WorldEntry(100_000 + number, at, "usage", -day.amount, "Usage", quantity=day.quantity))
        return sorted(entries, key=lambda entry: (entry.at, entry.entry_id))


def main(account_id: str, life: Life) -> HyperstackAccount:
    """Return a healthy account: GPU bursts every few days, topped up automatically above its threshold."""
    resources = _resources(account_id, life)
    threshold, amount = Decimal(100), Decimal(300)
    payments = _payments(account_id, life, resources, threshold, amount)
    return HyperstackAccount(
        account_id,
        life.opened_at,
        resources,
        payments,
        threshold=Decimal(20),
        topup_threshold=threshold,
        topup_amount=amount,
    )


def _resources(account_id: str, life: Life) -> list[Resource]:
    rng = life.rng(account_id, "resources")
    found: list[Resource] = []

    def add(kind: str, name: str, price: str, start: datetime, end: datetime | None, discount: str = "1") -> None:
        start = start.replace(second=0, microsecond=0)
        end = end.replace(second=0, microsecond=0) if end is not None else None
        uuid = str(UUID(int=rng.getrandbits(128), version=4))
        list_price = Decimal(price)
        found.append(Resource(0, uuid, kind, name, list_price * Decimal(discount), list_price, start, end))

    opened_at = life.opened_at + timedelta(hours=1)
    add("vm", "gateway", "0.0012", opened_at, None)
    add("volume", "models", "0.00021", opened_at, None)
    add("volume", "datasets", "0.00014", opened_at + timedelta(hours=1), None)
    add("snapshot", "gateway-weekly", "0.000015", opened_at + timedelta(hours=2), None)
    add("bucket", "run-logs", _BUCKET_PRICE, opened_at + timedelta(hours=2), None)
    cluster_at = life.initial_now - (life.initial_now - life.opened_at) / 6
    add("cluster", "eval-cluster", "0.0105", cluster_at, cluster_at + timedelta(days=5))

    burst_at = opened_at + timedelta(hours=6)
    number = 0
    while burst_at < life.ends_at:
        number += 1
        flavour = rng.choice(list(_GPU_PRICES))
        hours = rng.randint(4, 32)
        for machine in range(rng.randint(1, 3)):
            start = burst_at + timedelta(minutes=rng.randint(0, 30))
            end = start + timedelta(hours=hours, minutes=rng.randint(0, 59))
            # The H100s run under a discount, so that the discounted and the listed bill differ.
            discount = "0.9" if flavour.startswith("H100") else "1"
            add("vm", f"train-{number:03d}-{machine}-{flavour}", _GPU_PRICES[flavour], start, end, discount)
        add("volume", f"scratch-{number:03d}", "0.0003", burst_at, burst_at + timedelta(hours=hours + 6))
        burst_at += timedelta(hours=rng.randint(80, 200))
    found.sort(key=lambda resource: resource.started_at)
    return [replace(resource, resource_id=8_400 + number) for number, resource in enumerate(found)]


def _payments(
    account_id: str, life: Life, resources: list[Resource], threshold: Decimal, amount: Decimal
) -> list[Payment]:
    rng = life.rng(account_id, "payments")
    payments: list[Payment] = []

    def pay(at: datetime, usd: Decimal, kind: str, outcome: str = "completed", attempt: int = 1) -> datetime:
        auto_topup_id = 77 if kind == "auto_topup" else None
        settled_at = at + timedelta(minutes=rng.randint(2, 9))
        payment_id = f"pay_{rng.getrandbits(48):012x}"
        payments.append(Payment(payment_id, at, settled_at, outcome, usd, kind, auto_topup_id, attempt))
        return settled_at

    pay(life.opened_at + timedelta(minutes=10), Decimal(500), "manual")
    transfer_at = max(life.initial_now - timedelta(hours=2), life.opened_at + timedelta(minutes=20))
    transfer = Payment(
        "pay_bank_transfer", transfer_at, transfer_at + timedelta(days=2), "completed", Decimal(250), "bank"
    )
    payments.append(transfer)

    credit = Decimal(500)
    step = timedelta(hours=3)
    at = life.opened_at + timedelta(hours=1)
    waiting = list(resources)
    running: list[Resource] = []
    transfer_counted = False
    # One payment by hand shortly before the initial now, so that the demo's healthy account looks healthy.
    prepared = False
    while at < life.ends_at:
        while waiting and waiting[0].started_at < at + step:
            running.append(waiting.pop(0))
        credit -= sum((resource.bill(at, at + step) for resource in running), ZERO)
        running = [resource for resource in running if resource.ended_at is None or resource.ended_at > at + step]
        at += step
        if not transfer_counted and transfer.settled_at <= at:
            credit += transfer.amount
            transfer_counted = True
        if not prepared and at >= life.initial_now - timedelta(days=3):
            prepared = True
            if at < life.initial_now - step:
                pay(at, Decimal(500), "manual")
                credit += 500
        if credit < threshold:
            first_at = at
            if rng.random() < 0.15:
                pay(first_at, amount, "auto_topup", outcome="failed")
                first_at += timedelta(minutes=15)
            pay(first_at, amount, "auto_topup", attempt=1 if first_at == at else 2)
            credit += amount
    return payments
