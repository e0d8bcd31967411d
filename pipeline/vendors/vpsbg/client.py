"""Where VPSBG's answers are. The API calls itself beta: it may change without notice."""

from __future__ import annotations

from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Pages, Service, Vendor
from pipeline.vendors.vpsbg import parse

# Assumed: the documentation knows this page by title only ("List balance transactions").
TRANSACTIONS_PATH = "/balance/transactions"

# Assumed: the limit is per minute and its number is not published; 60 a minute is what sibling APIs allow at least.
REQUESTS_PER_MINUTE = 60

VENDOR = Vendor(
    name="vpsbg",
    title="VPSBG",
    base_url="https://api.vpsbg.eu/v1",
    auth=(AuthHeader(name="Authorization", setting="api_key_env", prefix="Bearer "),),
    rate_limit=RateLimit(requests=REQUESTS_PER_MINUTE, per_seconds=60, scope="key"),
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
            doc="GET /balance/transactions, assumed from its title: the ledger, a page at a time.",
            listing=Pages(
                path=TRANSACTIONS_PATH,
                params={"page": "1", "per_page": "100"},
                newest_first_by="created_at",
                look_back_days=35,
            ),
            records=(parse.TRANSACTIONS,),
            envelope=("data", "links", "meta"),
            refresh="hourly",
        ),
    ),
    assumptions=(
        "Balance transactions are at /balance/transactions in the envelope {data, links, meta} of its siblings; "
        "elsewhere the endpoint is `not_found` in marts.data_freshness and spend falls back to balance deltas.",
        "A transaction has id, amount and created_at; a row without one of them stands in staging.rejects.",
        "Amounts may be signed or not: core.ledger_conventions states the convention that the balances prove.",
        "An unknown transaction type becomes `other`, and keeps its word in vendor_entry_type.",
        "At most 60 requests a minute for a key; more shows as retried 429 answers.",
    ),
)
