"""Where Hyperstack's answers are."""

from __future__ import annotations

from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Service, Vendor
from pipeline.vendors.hyperstack import parse

VENDOR = Vendor(
    name="hyperstack",
    title="Hyperstack",
    base_url="https://infrahub-api.nexgencloud.com/v1",
    auth=(AuthHeader(name="api_key", setting="api_key_env"),),
    # Documented: 500 a minute for a source address, then 429 for the rest of the minute, without headers.
    rate_limit=RateLimit(requests=500, per_seconds=60, scope="address"),
    unit_code="USD",
    # Costs such as 1.48e-11 are sums of floats.
    money_is_float=True,
    service=Service(category="Compute", subcategory="Virtual Machines"),
    endpoints=(
        Endpoint(
            name="credit",
            doc="GET /billing/user-credit/credit, documented: the credit and the organisation's threshold.",
            listing=Once(path="/billing/user-credit/credit"),
            records=(parse.CREDIT,),
            envelope=("status", "message", "data"),
            refresh="hourly",
        ),
    ),
    assumptions=(
        "Credit is in US dollars, as the console shows it; the API names no unit.",
        "Amounts are floats: what lies beyond nine decimals is rounded half to even, counted in staging.schema_drift, "
        "and kept as it was in extra_json.",
        "A `status` of false beside data is no failure (a documented example has it): the HTTP status and the data "
        "count.",
    ),
)
