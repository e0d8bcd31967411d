"""Endpoints of Hyperstack."""

from __future__ import annotations

from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Permissions, Service, Vendor, Window
from pipeline.vendors.hyperstack import parse

# One day a request: a first walk of a quarter is 93 requests, of the 500 a minute that all accounts share.
HISTORY_DAYS = 92

# It is not documented how far back a day may be restated: a few days each time, and two weeks once a day.
LOOK_BACK_DAYS = 3
DAILY_LOOK_BACK_DAYS = 14

# The costs of single resources are requested while they are new: today and the two days before.
RESOURCE_DAYS = 2

# The endpoint, its path below /billing/billing/history, the kind of resource, and the key around the rows, which
# snapshots share with volumes.
_RESOURCES = (
    ("machine_history", "virtual-machine", "machine", "billing_history_vm"),
    ("volume_history", "volume", "volume", "billing_history_volume"),
    ("snapshot_history", "snapshot", "snapshot", "billing_history_volume"),
    ("cluster_history", "cluster", "cluster", "billing_history_cluster"),
    ("bucket_history", "bucket", "bucket", "billing_history_bucket"),
)


def _resource_days(name: str, path: str, kind: str, at: str) -> Endpoint:
    return Endpoint(
        name=name,
        doc=f"GET /billing/billing/history/{path}, documented: cost of each {kind} in a window.",
        listing=Window(
            path=f"/billing/billing/history/{path}",
            from_param="start_date",
            to_param="end_date",
            bounds="instants",
            params={"per_page": "100"},
            look_back_days=RESOURCE_DAYS,
            chunk_days=1,
            history_days=RESOURCE_DAYS,
            page_param="page",
            page_count_at=f"{at}.pagination.pages",
        ),
        records=(parse.resources(kind, at),),
        envelope=("status", "message", at),
        is_optional=True,
        is_extra=True,
    )


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
    # Documented: "List My Permissions". A GET can stop a machine there, so a read-only key matters.
    permissions=Permissions(
        path="/auth/users/me/permissions",
        at="permissions",
        name="permission",
        reads=r".*:(list|get|read|view|retrieve)",
    ),
    endpoints=(
        Endpoint(
            name="credit",
            doc="GET /billing/user-credit/credit, documented: the credit and the organisation's threshold.",
            listing=Once(path="/billing/user-credit/credit"),
            records=(parse.CREDIT,),
            envelope=("status", "message", "data"),
            refresh="hourly",
        ),
        Endpoint(
            name="history",
            doc="GET /billing/billing/history, documented: the organisation's bill for a window.",
            listing=Window(
                path="/billing/billing/history",
                from_param="start_date",
                to_param="end_date",
                bounds="instants",
                look_back_days=LOOK_BACK_DAYS,
                daily_look_back_days=DAILY_LOOK_BACK_DAYS,
                chunk_days=1,
                history_days=HISTORY_DAYS,
            ),
            records=(parse.HISTORY,),
            envelope=("status", "message", "billing_history"),
            refresh="hourly",
            is_optional=True,
            is_extra=True,
        ),
        Endpoint(
            name="last_day_cost",
            doc="GET /billing/billing/last-day-cost, documented: cost of the day before; the day is not stated.",
            listing=Once(path="/billing/billing/last-day-cost"),
            records=(parse.LAST_DAY_COST,),
            envelope=("status", "message", "data"),
            is_optional=True,
            is_extra=True,
        ),
        Endpoint(
            name="payments",
            doc="GET /billing/payment/payment-details, documented: payments, credited or not.",
            listing=Once(path="/billing/payment/payment-details"),
            records=(parse.PAYMENTS,),
            envelope=("status", "message", "data"),
            refresh="hourly",
            is_optional=True,
            is_extra=True,
        ),
        Endpoint(
            name="auto_topup",
            doc="GET /billing/auto-topup/status, documented: trigger and amount of automatic top-ups.",
            listing=Once(path="/billing/auto-topup/status"),
            records=(parse.AUTO_TOPUP,),
            is_optional=True,
            is_extra=True,
        ),
        *(_resource_days(*each) for each in _RESOURCES),
    ),
    assumptions=(
        "Credit is in US dollars, as the console shows it; the API names no unit.",
        "Amounts are floats: digits beyond nine decimals are rounded half to even, counted in staging.schema_drift, "
        "and kept unchanged in extra_json.",
        "Billing windows are half-open and in UTC: a day is requested from its midnight to the next. If that is wrong, "
        "core.usage_days and the claim last_day_cost differ for the same day.",
        "A day without a row in its answer cost nothing. Today is partial; "
        f"the last {LOOK_BACK_DAYS} days are requested again each time, the last {DAILY_LOOK_BACK_DAYS} once a day. "
        f"A first run looks back {HISTORY_DAYS} days at most; `drawdown backfill` goes further. Spend begins after the "
        "last gap in the requested days.",
        "A key sees one organisation: several different rows in one window are all rejected (is_unique).",
        "incurred_bill is the amount that leaves the credit. The bills of single resources need not add up to it: the "
        "rest is `other`.",
        "last-day-cost covers the UTC day before the answer.",
        "A payment is credited without its tax, at updated_at, once its status is a word for paid; an unknown status "
        "is `unknown` in core.payments, and no top-up.",
        "A `status` of false beside data is no failure (a documented example has it): the HTTP status and the data "
        "decide.",
        "A permission of the key's user has a name like the documented `environment:list`; one that ends in list, get, "
        "read, view or retrieve only reads. `drawdown doctor` warns of any other.",
    ),
)
