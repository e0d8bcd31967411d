"""Endpoints of Deepvue."""

from __future__ import annotations

from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Service, Vendor
from pipeline.vendors.deepvue import parse

VENDOR = Vendor(
    name="deepvue",
    title="Deepvue",
    base_url="https://production.deepvue.tech",
    # The samples use one placeholder in both headers; the reference names the first CLIENT_SECRET.
    auth=(
        AuthHeader(name="x-api-key", setting="api_key_env"),
        AuthHeader(name="client-id", setting="client_id_env"),
    ),
    # The smallest plan: 1 a second, 30 a minute, 1,000 a day. The limit per minute is the relevant one for an hourly
    # refresh.
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
        'The balance is in one unit that the API does not name: set it (unit = "INR"); otherwise it is unknown and '
        "never added to anything.",
        "If an answer has `success` and it is not true, nothing in it is read.",
        "There is no ledger and no usage: spend is the fall between two readings, a lower bound, because a top-up and "
        "spend in between net out.",
        "Plans allow at least 30 requests a minute; a smaller limit shows as retried 429 answers.",
    ),
)
