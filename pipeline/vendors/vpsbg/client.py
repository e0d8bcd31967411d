"""Endpoints of VPSBG. The API calls itself beta: it may change without notice."""

from __future__ import annotations

from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Pages, Service, Vendor
from pipeline.vendors.vpsbg import parse

# Assumed: the documentation only has this page's title ("List balance transactions").
TRANSACTIONS_PATH = "/balance/transactions"

# Assumed until an answer states it: the size is not published; 60 a minute is the minimum of similar APIs.
REQUESTS_PER_MINUTE = 60

VENDOR = Vendor(
    name="vpsbg",
    title="VPSBG",
    base_url="https://api.vpsbg.eu/v1",
    auth=(AuthHeader(name="Authorization", setting="api_key_env", prefix="Bearer "),),
    # Documented: the limit is per minute, and each answer states it in X-RateLimit-Limit.
    rate_limit=RateLimit(requests=REQUESTS_PER_MINUTE, per_seconds=60, scope="key", is_stated=True),
    tax_basis="gross",
    service=Service(category="Compute", subcategory="Virtual Machines"),
    endpoints=(
        Endpoint(
            name="balance",
            doc="GET /balance, documented: the balance with VAT, its limit, estimates, unconfirmed deposits.",
            listing=Once(path="/balance"),
            records=(parse.BALANCE, parse.ESTIMATED_EXPENSES, parse.SHORTFALL),
            refresh="hourly",
        ),
        Endpoint(
            name="transactions",
            doc="GET /balance/transactions, assumed from its title: the ledger, in pages.",
            listing=Pages(
                path=TRANSACTIONS_PATH,
                params={"page": "1", "per_page": "100"},
                newest_first_by="created_at",
                look_back_days=35,
            ),
            records=(parse.TRANSACTIONS,),
            envelope=("data", "links", "meta"),
            refresh="hourly",
            is_optional=True,
        ),
        Endpoint(
            name="orders",
            doc="GET /orders, documented: orders, their payment, and the part paid from the balance.",
            listing=Pages(
                path="/orders",
                # Without a filter the API documents a status that no order has, which excludes unpaid ones.
                params={
                    "page": "1",
                    "per_page": "100",
                    "filter[status]": "processing,cancelled,paid,awaiting_payment",
                },
                newest_first_by="created_at",
                # An order may stay unpaid for this long.
                look_back_days=92,
            ),
            records=(parse.ORDERS,),
            envelope=("data", "links", "meta"),
            # As urgent as the ledger that they replace.
            refresh="hourly",
            is_optional=True,
            is_extra=True,
        ),
        Endpoint(
            name="invoices",
            doc="GET /invoices, documented: invoices, 30 a page.",
            listing=Pages(
                path="/invoices",
                params={"page": "1"},
                newest_first_by="created_at",
                look_back_days=92,
            ),
            records=(parse.INVOICES,),
            envelope=("data", "links", "meta"),
            is_optional=True,
            is_extra=True,
        ),
        Endpoint(
            name="servers",
            doc="GET /servers, documented: cost and due date of each server's next renewal.",
            listing=Pages(
                path="/servers",
                params={"page": "1", "per_page": "50", "filter[status]": "active,suspended"},
                newest_first_by=None,
            ),
            records=(parse.SERVERS,),
            envelope=("data", "links", "meta"),
            is_optional=True,
            is_extra=True,
        ),
    ),
    assumptions=(
        "Balance transactions are at /balance/transactions in the envelope {data, links, meta} of its siblings; if "
        "not, the endpoint is `not_found` in marts.data_freshness, and paid orders replace the ledger.",
        "A transaction has id, amount and created_at; a row without one of them is in staging.rejects.",
        "Amounts may be signed or not: core.ledger_conventions states the convention that the balances prove.",
        "An unknown transaction type becomes `other`, with the vendor's word in vendor_entry_type.",
        "Paid orders replace the ledger (entry_source `orders` in core.ledger_entries) until it answers once. "
        "They are credited or taken from the balance at payment_date, and do not include refunds: these then appear as "
        "unexplained changes of the balance.",
        "The services that an order paid for are only in GET /orders/{id}, one request an order, which is not made: "
        "core.orders has the type of an order, and its amounts as a whole.",
        "A listing's `next` link keeps its filter and page size, or drops them and accepts them again: they are added "
        "if they are missing.",
        "A server is renewed at expiry_at for renew_amount_with_vat, or else for plan.price_with_vat times "
        "billing_cycle; whether that includes its addons is not known. Compare core.known_charges with later charges.",
        "A due time of 21:00Z or 22:00Z is midnight in Sofia: due_date is the UTC day, and so the day before there.",
        "At most 60 requests a minute for a key, or fewer if an answer states a smaller X-RateLimit-Limit; exceeding "
        "the limit shows as retried 429 answers.",
    ),
)
