"""Endpoints of Hyperstack."""

from __future__ import annotations

from pipeline.http import RateLimit
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Permissions, Records, Service, Vendor, Window
from pipeline.vendors.hyperstack import parse

# One day a request: a first walk of a quarter is 93 requests, of the 500 a minute that all accounts share.
HISTORY_DAYS = 92

# It is not documented how far back a day may be restated: a few days each time, and two weeks once a day.
LOOK_BACK_DAYS = 3
DAILY_LOOK_BACK_DAYS = 14

# The costs of single resources are requested while they are new: today and the two days before.
RESOURCE_DAYS = 2

# The endpoint, its path below /billing/billing/history, its words, and its records. Snapshots share the volumes' key
# around the rows, and most work on models that of serverless inference. A cluster's nodes are parts of its own bill.
_RESOURCES = (
    ("machine_history", "virtual-machine", "machine", parse.resources("machine", "billing_history_vm")),
    ("volume_history", "volume", "volume", parse.resources("volume", "billing_history_volume")),
    ("snapshot_history", "snapshot", "snapshot", parse.resources("snapshot", "billing_history_volume")),
    ("cluster_history", "cluster", "cluster", parse.resources("cluster", "billing_history_cluster", ("nodes",))),
    ("bucket_history", "bucket", "bucket", parse.resources("bucket", "billing_history_bucket")),
    (
        "serverless_inference_history",
        "serverless_inference",
        "model in serverless inference",
        parse.models("serverless_inference", "billing_history_serverless_inference"),
    ),
    ("fine_tuning_history", "fine_tuning", "fine-tuning", parse.models("fine_tuning", "billing_history_fine_tuning")),
    (
        "model_evaluation_history",
        "model_evaluation",
        "evaluation of a model",
        parse.models("model_evaluation", "billing_history_serverless_inference"),
    ),
    (
        "data_synthesis_history",
        "data_synthesis",
        "synthesis of data",
        parse.models("data_synthesis", "billing_history_serverless_inference"),
    ),
    (
        "image_generation_history",
        "image_generation",
        "model that generates images",
        parse.models("image_generation", "billing_history_serverless_inference"),
    ),
)


def _resource_days(name: str, path: str, words: str, records: Records) -> Endpoint:
    at = records.at.removesuffix(".billing_history")
    return Endpoint(
        name=name,
        doc=f"GET /billing/billing/history/{path}, documented: cost of each {words} in a window.",
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
        records=(records,),
        envelope=("success" if records.parts_add_up else "status", "message", at),
        is_optional=True,
        is_extra=True,
    )


# Its answer is not documented, apart from the names of some fields: the envelope is that of its siblings.
_CONTRACTS = "billing_history_contract"


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
            name="usage",
            doc="GET /billing/billing/usage, documented: the price per minute of each active resource.",
            listing=Once(path="/billing/billing/usage"),
            records=(parse.RATES, parse.BURN_NOW),
            envelope=("status", "message", "data"),
            refresh="hourly",
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
        Endpoint(
            name="contract_history",
            doc="GET /billing/billing/history/contract, documented without its answer: cost of each contract in a "
            "window.",
            listing=Window(
                path="/billing/billing/history/contract",
                from_param="start_date",
                to_param="end_date",
                bounds="instants",
                look_back_days=RESOURCE_DAYS,
                chunk_days=1,
                history_days=RESOURCE_DAYS,
            ),
            records=(parse.contracts(_CONTRACTS),),
            envelope=("status", "message", _CONTRACTS),
            is_optional=True,
            is_extra=True,
        ),
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
        "A cluster's row may list its nodes, whose cost is part of the cluster's own and is not counted beside it. "
        "Whether machines list such nodes as well, or contracts the machines under them, is not documented: then the "
        "resources of a day in core.resource_days cost more than its usage in core.usage_days.",
        "Serverless inference, fine-tuning, model evaluation, data synthesis and image generation are known by "
        "infrahub_id, and rows of one id in one answer add up. Whether the organisation's bill includes them is not "
        "documented: if not, the balance falls by more than is billed, which core.balance_bridge shows as unexplained.",
        "The answer about contracts is not documented: it is read as its siblings are, from "
        f"{_CONTRACTS}.billing_history. If that is wrong, staging.schema_drift has an unknown_field.",
        "`can_create_instance` of false means that the credit is below the threshold, and that the vendor creates "
        "nothing more: the account is critical until an answer has true, or lacks it.",
        "The threshold of the credit is the only one that is read. /billing/billing/threshold lists the amounts at "
        "which the vendor sends e-mails, without any effect on resources; for alerts of your own, set "
        "alert_below_amount.",
        "Days left end at a credit of 0. Hyperstack suspends the resources of a prepaid account once its credit is "
        "below 0, so that the account lasts a little longer than stated, never less.",
        "The account is prepaid. A postpaid one is billed later, and its credit is no gauge: it stays the same while "
        "core.usage_days has spend, which core.balance_bridge shows as unexplained. No field of the API tells them "
        "apart.",
        "bill_per_minute is what leaves the credit for each minute of a resource; one without it has no price. All of "
        "them for a day are marts.current_burn and the claim burn_now, which marts.vendor_claim_accuracy and "
        "marts.forecast_accuracy compare with actual spend. Discounts, tokens and requests are not in it; if clusters "
        "and their machines are both listed, it is too high.",
        "last-day-cost covers the UTC day before the answer.",
        "A payment is credited without its tax, at updated_at, once its status is a word for paid; an unknown status "
        "is `unknown` in core.payments, and no top-up.",
        "A `status` of false beside data is no failure (a documented example has it): the HTTP status and the data "
        "decide.",
        "A permission of the key's user has a name like the documented `environment:list`; one that ends in list, get, "
        "read, view or retrieve only reads. `drawdown doctor` warns of any other.",
    ),
)
