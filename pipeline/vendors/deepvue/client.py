"""Endpoints of Deepvue."""

from __future__ import annotations

from pipeline.http import HttpOutcome, RateLimit, Refusal
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
    # Documented: the smallest plan has three limits that hold together.
    rate_limit=RateLimit(requests=1, per_seconds=1, also=((30, 60), (1000, 86400)), scope="key"),
    # Documented: a disabled client gets 400, and not 401 or 403.
    refusals=(
        Refusal(
            status_code=400,
            says="Inactive client_id",
            outcome=HttpOutcome.forbidden,
            remedy="Deepvue has disabled this client; have its support enable it, or set another one in {variables}",
        ),
    ),
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
        "Plans allow at least 1 request a second, 30 a minute and 1,000 a day; a smaller limit shows as retried 429 "
        "answers.",
    ),
)
