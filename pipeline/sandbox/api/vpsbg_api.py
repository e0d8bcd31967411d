"""VPSBG's API under `/vpsbg/v1`, after the vendor's developer hub; `Authorization: Bearer KEY`, GET only.

Assumed, as the documentation shows none of it: the error bodies, the rate limit's size, and everything about
`/balance/transactions` beyond its title, its verb and the envelope of its siblings.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from urllib.parse import urlencode

from pipeline.sandbox.api._api_base import Api, ApiRequest, ApiResponse, Credentials, Handler, bearer, page_of, whole
from pipeline.sandbox.encoding import Tree
from pipeline.sandbox.world import WorldEntry
from pipeline.sandbox.world._world_base import ZERO
from pipeline.sandbox.world.vpsbg_world import SOFIA, VAT_RATE, Order, Server, VpsbgAccount, without_vat

# Assumed: the documentation says that a limit a minute exists, not how high it is.
REQUESTS_A_MINUTE = 60

ORDER_STATUSES = ("processing", "cancelled", "paid", "awaiting_payment")
SERVER_STATUSES = ("active", "processing", "suspended", "terminated")

# Documented, though no order ever has the status `pending_payment`: without a filter only paid orders come.
DEFAULT_ORDER_FILTER = "pending_payment,paid"
DEFAULT_SERVER_FILTER = "active,suspended"

# Assumed names of the transactions' types.
_TRANSACTION_TYPES = {"top_up": "deposit", "renewal": "renewal", "usage": "addon", "refund": "refund"}


def stamp(instant: datetime) -> str:
    """Return an instant as the vendor writes it: `2024-10-16T12:06:12.000000Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class VpsbgApi(Api[VpsbgAccount]):
    """The five documented lists and readings; amounts in EUR, signed as each endpoint has them."""

    vendor = "vpsbg"
    prefix = "/vpsbg/v1"

    def routes(self) -> Mapping[str, Handler[VpsbgAccount]]:
        """Return the handlers by documented path."""
        return {
            "/balance": self.balance,
            "/balance/transactions": self.transactions,
            "/orders": self.orders,
            "/invoices": self.invoices,
            "/servers": self.servers,
        }

    def presented(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,  # noqa: ARG002 - only headers have its keys
    ) -> Credentials | None:
        """Return the bearer token."""
        return bearer(headers)

    def error(self, status: int, message: str) -> ApiResponse:
        """Return `{"message"}` (assumed)."""
        return ApiResponse(status, {"message": message})

    def unauthorized(self, headers: Mapping[str, str]) -> ApiResponse:  # noqa: ARG002 - the same for any headers
        """Return 401 (documented: no valid token provided)."""
        return self.error(401, "Unauthenticated.")

    def rate_limit_headers(self, recent: Sequence[float]) -> dict[str, str]:
        """Return the announced limit; it is never enforced, so at least one request always remains."""
        used = sum(1 for at in recent if at > recent[-1] - 60)
        remaining = max(1, REQUESTS_A_MINUTE - used)
        return {"X-RateLimit-Limit": str(REQUESTS_A_MINUTE), "X-RateLimit-Remaining": str(remaining)}

    def balance(self, account: VpsbgAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /balance`, every documented field; no `last_deposit` yet is null (assumed)."""
        now = request.now
        balance = account.balance_at(now)
        estimated = account.upcoming(now, days=30).to_integral_value(ROUND_CEILING)
        shortfall = max(ZERO, (estimated - balance).to_integral_value(ROUND_CEILING))
        deposits = [order for order in account.orders if order.order_type == "deposit" and order.status(now) == "paid"]
        last = max(deposits, key=lambda order: order.paid_at or order.created_at, default=None)
        return ApiResponse(
            200,
            {
                "balance": balance,
                "balance_limit": 0,
                "estimated_expenses": int(estimated),
                "shortfall": int(shortfall),
                "currency": account.unit,
                "has_valid_card": account.has_valid_card,
                "last_deposit": None
                if last is None or last.paid_at is None
                else {
                    "amount": without_vat(last.gross),
                    "amount_with_vat": last.gross,
                    "payment_method": last.method,
                    "payment_date": stamp(last.paid_at),
                },
                "unconfirmed_bitcoin_deposits": [
                    {
                        "tx_hash": deposit.tx_hash,
                        "tx_amount": deposit.tx_amount,
                        "amount": without_vat(deposit.gross),
                        "amount_with_vat": deposit.gross,
                        "noticed_on": stamp(deposit.noticed_at),
                    }
                    for deposit in account.bitcoin
                    if deposit.noticed_at <= now < deposit.confirmed_at
                ],
            },
        )

    def transactions(self, account: VpsbgAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /balance/transactions` (assumed), newest first.

        `amount` is signed, credits positive. It is what the balance moved by, VAT included; only on an
        account whose rows are net it excludes VAT, and `amount_with_vat` is what the balance moved by.
        """
        entries = reversed(account.ledger(request.now))
        return self._paged(request, [_transaction(account, entry) for entry in entries], 15, 100)

    def orders(self, account: VpsbgAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /orders`, newest first, filtered by `filter[status]`."""
        wanted = request.query.get("filter[status]", DEFAULT_ORDER_FILTER).split(",")
        unknown = set(wanted) - {*ORDER_STATUSES, *DEFAULT_ORDER_FILTER.split(",")}
        if unknown:
            return _invalid("filter[status]", "The selected filter[status] is invalid.")
        known = [order for order in reversed(account.orders) if order.created_at <= request.now]
        rows = [_order(order, request.now) for order in known if order.status(request.now) in wanted]
        return self._paged(request, rows, 15, 100)

    def invoices(self, account: VpsbgAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /invoices`, newest first, 30 a page (documented): `original` if paid, or `proform`."""
        rows = [
            _invoice(order, request.now)
            for order in reversed(account.orders)
            if order.created_at <= request.now and order.status(request.now) != "cancelled"
        ]
        return self._paged(request, rows, 30, None)

    def servers(self, account: VpsbgAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /servers`, at most 50 a page, filtered by `filter[status]`."""
        wanted = request.query.get("filter[status]", DEFAULT_SERVER_FILTER).split(",")
        if set(wanted) - set(SERVER_STATUSES):
            return _invalid("filter[status]", "The selected filter[status] is invalid.")
        known = [server for server in account.servers if server.created_at <= request.now]
        rows = [
            _server(account, server, request.now) for server in known if _server_status(server, request.now) in wanted
        ]
        return self._paged(request, rows, 15, 50)

    def _paged(self, request: ApiRequest, rows: list[Tree], default: int, largest: int | None) -> ApiResponse:
        page = whole(request.query.get("page"), 1)
        if page is None:
            return _invalid("page", "The page must be an integer of at least 1.")
        per_page = whole(request.query.get("per_page"), default) if largest is not None else default
        if per_page is None or (largest is not None and per_page > largest):
            return _invalid("per_page", f"The per page must be an integer between 1 and {largest}.")
        kept = {name: value for name, value in request.query.items() if name != "page"}
        last = max(1, -(-len(rows) // per_page))

        def link(number: int) -> str:
            return f"{request.url}?{urlencode({**kept, 'page': number})}"

        data = page_of(rows, page, per_page)
        previous = link(page - 1) if page > 1 else None
        following = link(page + 1) if page < last else None
        return ApiResponse(
            200,
            {
                "data": data,
                "links": {"first": link(1), "last": link(last), "prev": previous, "next": following},
                "meta": {
                    "current_page": page,
                    "from": (page - 1) * per_page + 1 if data else None,
                    "last_page": last,
                    "links": [
                        {"url": previous, "label": "« Previous", "active": False},
                        *({"url": link(n), "label": str(n), "active": n == page} for n in range(1, last + 1)),
                        {"url": following, "label": "Next »", "active": False},
                    ],
                    "path": request.url,
                    "per_page": per_page,
                    "to": (page - 1) * per_page + len(data) if data else None,
                    "total": len(rows),
                },
            },
        )


def _invalid(name: str, message: str) -> ApiResponse:
    return ApiResponse(422, {"message": message, "errors": {name: [message]}})


def _transaction(account: VpsbgAccount, entry: WorldEntry) -> Tree:
    row = {
        "id": entry.entry_id,
        "type": _TRANSACTION_TYPES[entry.kind],
        "amount": entry.amount,
        "currency": account.unit,
        "status": "completed",
        "description": entry.description,
        "created_at": stamp(entry.at),
    }
    if account.rows_are_net:
        row |= {"amount": entry.net_amount, "amount_with_vat": entry.gross_amount}
    return row


def _order(order: Order, now: datetime) -> Tree:
    status = order.status(now)
    paid = status == "paid"
    return {
        "id": order.order_id,
        "tax_rate": VAT_RATE,
        "amount": without_vat(order.gross),
        "amount_with_vat": order.gross,
        "amount_from_balance": order.gross if paid and order.method == "balance" else ZERO,
        "payment_method": order.method,
        "status": status,
        "type": order.order_type,
        "auto_pay": order.method == "balance",
        "promo_applicable": False,
        "created_at": stamp(order.created_at),
        "due_at": stamp(order.due_at),
        "payment_date": stamp(order.paid_at) if paid and order.paid_at is not None else None,
        "promo": None,
        "payment_information": None,
    }


def _invoice(order: Order, now: datetime) -> Tree:
    day = order.created_at.astimezone(SOFIA).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "id": 1_000 + order.order_id,
        "invoice_number": f"{order.order_id:010d}",
        "created_at": stamp(day),
        "amount": without_vat(order.gross),
        "amount_with_vat": order.gross,
        "type": "original" if order.status(now) == "paid" else "proform",
        "order_ids": [order.order_id],
    }


def _server_status(server: Server, now: datetime) -> str:
    return "terminated" if server.ended_at is not None and server.ended_at <= now else "active"


def _server(account: VpsbgAccount, server: Server, now: datetime) -> Tree:
    renewal = server.next_renewal(now)
    expiry_at = renewal.expiry_at if renewal is not None else server.ended_at or now
    row = {
        "id": server.server_id,
        "hostname": server.hostname,
        "billing_cycle": server.cycle_months,
        "plan": {
            "id": 100 + len(server.plan),
            "type": "cloud-vps",
            "name": server.plan,
            "minimum_billing_cycle": 1,
            "available": True,
            "price": without_vat(server.monthly_gross),
            "price_with_vat": server.monthly_gross,
        },
        "status": _server_status(server, now),
        "virtualization": "kvm",
        "locked": False,
        "created_at": stamp(server.created_at),
        "expiry_at": stamp(expiry_at),
        "auto_renew": server.ended_at is None,
        "addons": [{"name": "backups", "quantity": 60}],
    }
    if account.rows_are_net:
        # The fuller object; the addons' naive created_at is the vendor's own.
        naive = (server.created_at + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
        row |= {
            "renew_amount": without_vat(server.renew_gross),
            "renew_amount_with_vat": server.renew_gross,
            "potential_expiry_at": stamp(expiry_at),
            "cancel_request": None,
            "addons": [
                {
                    "name": "backups",
                    "quantity": 60,
                    "amount": Decimal(0),
                    "amount_with_vat": Decimal(0),
                    "created_at": naive,
                    "ended_at": None,
                }
            ],
        }
    return row
