"""Where Deepvue's answer is."""

from __future__ import annotations

from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Service, Vendor
from pipeline.vendors.deepvue import parse

VENDOR = Vendor(
    name="deepvue",
    title="Deepvue",
    base_url="https://production.deepvue.tech",
    # The samples put one placeholder into both headers; the reference names the first CLIENT_SECRET.
    auth=(
        AuthHeader(name="x-api-key", setting="api_key_env"),
        AuthHeader(name="client-id", setting="client_id_env"),
    ),
    # The smallest plan: 1 a second, 30 a minute, 1,000 a day. The middle one binds an hourly refresh.
    rate_limit=RateLimit(requests=30, per_seconds=60, scope="key"),
    settings=("unit",),
    service=Service(category="Identity", subcategory="Other (Identity)"),
    endpoints=(
        Endpoint(
            name="wallet",
            doc="GET /v1/internal/wallet-balance, documented: the balance, without a unit.",
            listing=Once(path="/v1/internal/wallet-balance"),
            records=(parse.WALLET,),
            success_at="success",
            refresh="hourly",
        ),
    ),
    assumptions=(
        'The balance is in one unit that the API does not name: yours to say (unit = "INR"); else it is unknown and '
        "never added to anything.",
        "An answer whose `success` is there and not true is not read, whatever balance it holds.",
        "There is no ledger and no usage: spend is the fall between two readings, a lower bound, because a top-up and "
        "spend in between net out.",
        "Plans allow at least 30 requests a minute; a smaller one shows as retried 429 answers.",
    ),
)
