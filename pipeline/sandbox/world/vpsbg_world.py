"""VPSBG's accounts: servers renewed on known days, deposits with 20 % VAT, small purchases, a refund."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from pipeline.sandbox.world._world_base import ZERO, Account, Kind, Life, WorldEntry

VAT_RATE = Decimal("1.2")
CENT = Decimal("0.01")

# The documented examples stamp due dates 21:00Z or 22:00Z, which is midnight in Sofia.
SOFIA = ZoneInfo("Europe/Sofia")


def without_vat(gross: Decimal) -> Decimal:
    """Return the amount before VAT, to the cent (50 becomes 41.67, as in the documented example)."""
    return (gross / VAT_RATE).quantize(CENT, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Renewal:
    """One period of one server: paid from the balance at `charged_at`, shortly before `expiry_at`."""

    charged_at: datetime
    expiry_at: datetime


@dataclass(frozen=True, slots=True)
class Server:
    """A server; `monthly_gross` is EUR a month with VAT, and a renewal costs that times `cycle_months`."""

    server_id: int
    hostname: str
    plan: str
    monthly_gross: Decimal
    cycle_months: int
    renew_day: int
    created_at: datetime
    ended_at: datetime | None = None
    renewals: tuple[Renewal, ...] = ()

    @property
    def renew_gross(self) -> Decimal:
        """What one renewal takes from the balance, EUR with VAT."""
        return self.monthly_gross * self.cycle_months

    def next_renewal(self, now: datetime) -> Renewal | None:
        """Return the first renewal not yet paid at `now`."""
        return next((renewal for renewal in self.renewals if renewal.charged_at > now), None)


@dataclass(frozen=True, slots=True)
class Order:
    """An order; amounts in EUR. It exists from `created_at` and is paid at `paid_at`, unless cancelled."""

    order_id: int
    order_type: str
    gross: Decimal
    created_at: datetime
    due_at: datetime
    paid_at: datetime | None
    method: str
    cancelled_at: datetime | None = None

    def status(self, now: datetime) -> str:
        """Return one of the documented statuses."""
        if self.paid_at is not None and self.paid_at <= now:
            return "paid"
        if self.cancelled_at is not None and self.cancelled_at <= now:
            return "cancelled"
        return "processing" if self.method == "bitcoin" else "awaiting_payment"


@dataclass(frozen=True, slots=True)
class BitcoinDeposit:
    """A deposit seen on the chain at `noticed_at` that becomes credit only at `confirmed_at`."""

    tx_hash: str
    tx_amount: str
    gross: Decimal
    noticed_at: datetime
    confirmed_at: datetime


class VpsbgAccount(Account):
    """A VPSBG account in EUR; its balance includes VAT.

    `rows_are_net` is the VAT puzzle: the transaction rows' `amount` excludes VAT while the balance moves by
    `amount_with_vat`.
    """

    vendor = "vpsbg"

    def __init__(
        self,
        account_id: str,
        opened_at: datetime,
        entries: Iterable[WorldEntry],
        *,
        servers: Iterable[Server],
        orders: Iterable[Order],
        bitcoin: Iterable[BitcoinDeposit] = (),
        rows_are_net: bool = False,
        has_valid_card: bool = True,
    ) -> None:
        super().__init__(account_id, "EUR", opened_at, entries)
        self.servers = tuple(servers)
        self.orders = tuple(sorted(orders, key=lambda order: (order.created_at, order.order_id)))
        self.bitcoin = tuple(bitcoin)
        self.rows_are_net = rows_are_net
        self.has_valid_card = has_valid_card

    def upcoming(self, now: datetime, days: int) -> Decimal:
        """Return the renewals, EUR with VAT, that will be charged within `days` after `now`."""
        until = now + timedelta(days=days)
        return sum(
            (
                server.renew_gross
                for server in self.servers
                for renewal in server.renewals
                if now < renewal.charged_at <= until
            ),
            ZERO,
        )


@dataclass(slots=True)
class _Charge:
    at: datetime
    gross: Decimal
    kind: Kind
    description: str
    due_at: datetime
    order_type: str


@dataclass(slots=True)
class _Books:
    """Turns charges into entries and orders, and deposits before the balance would fall under a floor."""

    life: Life
    account_id: str
    entries: list[WorldEntry] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)

    def write(self, at: datetime, kind: Kind, gross: Decimal, description: str) -> None:
        net = without_vat(gross)
        self.entries.append(WorldEntry(0, at, kind, gross, description, net_amount=net, gross_amount=gross))

    def deposit(self, at: datetime, gross: Decimal, method: str = "card", noticed_at: datetime | None = None) -> None:
        self.write(at, "top_up", gross, f"Deposit by {method}")
        created_at = noticed_at or at - timedelta(minutes=4)
        self.orders.append(Order(0, "deposit", gross, created_at, created_at + timedelta(days=7), at, method))

    def run(self, charges: Iterable[_Charge], *, floor: Decimal, deposits: tuple[str, ...]) -> None:
        rng = self.life.rng(self.account_id, "deposits")
        first_at = min(entry.at for entry in self.entries)
        for charge in sorted(charges, key=lambda charge: charge.at):
            balance = sum((entry.amount for entry in self.entries if entry.at <= charge.at), ZERO)
            while deposits and balance - charge.gross < floor:
                gross = Decimal(rng.choice(deposits))
                at = charge.at - timedelta(hours=rng.randint(2, 20), minutes=rng.randint(0, 59))
                self.deposit(max(at, first_at + timedelta(minutes=1)), gross)
                balance += gross
            self.write(charge.at, charge.kind, -charge.gross, charge.description)
            created_at = charge.at - timedelta(days=7) if charge.kind == "renewal" else charge.at
            self.orders.append(
                Order(
                    0,
                    charge.order_type,
                    charge.gross,
                    max(created_at, first_at),
                    charge.due_at,
                    charge.at,
                    "balance",
                )
            )

    def numbered(self) -> tuple[list[WorldEntry], list[Order]]:
        entries = sorted(self.entries, key=lambda entry: entry.at)
        orders = sorted(self.orders, key=lambda order: order.created_at)
        return (
            [replace(entry, entry_id=41_000 + number) for number, entry in enumerate(entries)],
            [replace(order, order_id=7_000 + number) for number, order in enumerate(orders)],
        )


def _renewals(server: Server, life: Life, account_id: str) -> Iterator[Renewal]:
    rng = life.rng(account_id, f"renewals of {server.hostname}")
    # Past the horizon too: at the last moved clock a server still shows when it will expire.
    last = life.ends_at + timedelta(days=400)
    year, month = server.created_at.year, server.created_at.month
    while True:
        expiry_at = datetime(year, month, server.renew_day, tzinfo=SOFIA).astimezone(UTC)
        if expiry_at > last:
            return
        if expiry_at > server.created_at + timedelta(days=1):
            charged_at = expiry_at - timedelta(minutes=rng.randint(5, 40), seconds=rng.randint(0, 59))
            if server.ended_at is not None and charged_at > server.ended_at:
                return
            yield Renewal(charged_at, expiry_at)
        month += server.cycle_months
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1


def _servers(
    life: Life, account_id: str, rows: Iterable[tuple[str, str, str, int, int]], first_id: int
) -> list[Server]:
    servers = [
        Server(first_id + number, hostname, plan, Decimal(gross), cycle, day, life.opened_at + timedelta(hours=3))
        for number, (hostname, plan, gross, cycle, day) in enumerate(rows)
    ]
    return [replace(server, renewals=tuple(_renewals(server, life, account_id))) for server in servers]


def _renewal_charges(servers: Iterable[Server], life: Life) -> list[_Charge]:
    return [
        _Charge(
            renewal.charged_at,
            server.renew_gross,
            "renewal",
            f"Renewal: {server.hostname}",
            renewal.expiry_at,
            "renew-service",
        )
        for server in servers
        for renewal in server.renewals
        if renewal.charged_at <= life.ends_at
    ]


def _addon_charges(life: Life, account_id: str, odds: float) -> list[_Charge]:
    rng = life.rng(account_id, "addons")
    charges = []
    for day in life.days():
        wanted, hour, minute = rng.random() < odds, rng.randint(7, 18), rng.randint(0, 59)
        gross = Decimal(rng.choice(["0.60", "1.20", "1.80", "2.40"]))
        at = day + timedelta(hours=hour, minutes=minute)
        if wanted and life.opened_at + timedelta(days=1) < at <= life.ends_at:
            charges.append(_Charge(at, gross, "usage", "Snapshot storage", at, "new-addon"))
    return charges


def main(account_id: str, life: Life) -> VpsbgAccount:
    """Return a healthy account: six servers, deposits well before the money is needed, one refund."""
    servers = _servers(
        life,
        account_id,
        [
            ("web-1", "cloud-vps-2gb", "9.00", 1, 3),
            ("web-2", "cloud-vps-2gb", "9.00", 1, 8),
            ("db-1", "cloud-vps-8gb", "26.40", 1, 11),
            ("build-1", "cloud-vps-4gb", "15.60", 1, 20),
            ("mail-1", "cloud-vps-2gb", "8.40", 1, 25),
            ("edge-1", "cloud-vps-1gb", "6.00", 3, 15),
        ],
        2_800,
    )
    books = _Books(life, account_id)
    books.deposit(life.opened_at + timedelta(hours=2), Decimal("240.00"))
    refund_at = life.initial_now - min(timedelta(days=40), (life.initial_now - life.opened_at) / 2)
    books.write(refund_at, "refund", Decimal("7.20"), "Refund: unused snapshot storage")
    charges = _renewal_charges(servers, life) + _addon_charges(life, account_id, odds=0.08)
    books.run(charges, floor=Decimal("160.00"), deposits=("120.00", "180.00", "240.00"))
    entries, orders = books.numbered()
    return VpsbgAccount(account_id, life.opened_at, entries, servers=servers, orders=orders)


def agency(account_id: str, life: Life) -> VpsbgAccount:
    """Return the VAT puzzle: rows net of VAT, a balance with VAT, and a bitcoin deposit not yet confirmed."""
    servers = _servers(
        life,
        account_id,
        [
            ("client-a", "cloud-vps-4gb", "15.60", 1, 2),
            ("client-b", "cloud-vps-4gb", "15.60", 1, 6),
            ("client-c", "cloud-vps-8gb", "26.40", 1, 14),
            ("client-d", "cloud-vps-2gb", "9.10", 1, 22),
            ("staging", "cloud-vps-2gb", "9.10", 1, 27),
        ],
        3_100,
    )
    rng = life.rng(account_id, "bitcoin")
    pending = BitcoinDeposit(
        tx_hash=f"{rng.getrandbits(256):064x}",
        tx_amount="0.002793",
        gross=Decimal("69.62"),
        noticed_at=max(life.initial_now - timedelta(hours=5), life.opened_at),
        confirmed_at=life.initial_now + timedelta(hours=18),
    )
    books = _Books(life, account_id)
    books.deposit(life.opened_at + timedelta(hours=2), Decimal("150.00"))
    books.deposit(pending.confirmed_at, pending.gross, "bitcoin", pending.noticed_at)
    charges = _renewal_charges(servers, life) + _addon_charges(life, account_id, odds=0.02)
    books.run(charges, floor=Decimal("60.00"), deposits=("50.00", "100.00"))
    books.orders.append(
        Order(
            0,
            "scale-service",
            Decimal("12.00"),
            created_at=life.opened_at + timedelta(hours=9),
            due_at=life.opened_at + timedelta(days=9),
            paid_at=None,
            method="card",
            cancelled_at=life.opened_at + timedelta(days=9),
        )
    )
    entries, orders = books.numbered()
    return VpsbgAccount(
        account_id,
        life.opened_at,
        entries,
        servers=servers,
        orders=orders,
        bitcoin=[pending],
        rows_are_net=True,
    )


def idle(account_id: str, life: Life) -> VpsbgAccount:
    """Return an account whose only server ended long ago; the rest of its balance stays."""
    ended_at = life.opened_at + (life.initial_now - life.opened_at) * 2 / 5
    server = Server(
        3_400,
        "old-blog",
        "cloud-vps-1gb",
        Decimal("6.00"),
        1,
        9,
        life.opened_at + timedelta(hours=3),
        ended_at,
    )
    server = replace(server, renewals=tuple(_renewals(server, life, account_id)))
    charges = _renewal_charges([server], life)
    books = _Books(life, account_id)
    books.deposit(
        life.opened_at + timedelta(hours=2),
        Decimal("37.40") + sum((charge.gross for charge in charges), ZERO),
    )
    books.run(charges, floor=ZERO, deposits=())
    entries, orders = books.numbered()
    return VpsbgAccount(account_id, life.opened_at, entries, servers=[server], orders=orders, has_valid_card=False)
