"""Endpoints of Voxpria."""

from __future__ import annotations

from pipeline.http import RateLimit, Refusal
from pipeline.vendors._port import AuthHeader, Endpoint, Once, Service, Vendor, Window
from pipeline.vendors.voxpria import parse

VENDOR = Vendor(
    name="voxpria",
    title="Voxpria",
    base_url="https://app.voxpria.com",
    auth=(AuthHeader(name="Authorization", setting="api_key_env", prefix="Bearer "),),
    # Documented, with the limit in the X-RateLimit-Limit of each answer.
    rate_limit=RateLimit(requests=1000, per_seconds=3600, scope="key", is_stated=True),
    refusals=(
        Refusal(
            status_code=401,
            remedy="check the value of {variables}, and at Voxpria that this key has not been revoked",
        ),
        Refusal(
            status_code=403,
            remedy="at Voxpria, give the key in {variables} the scope `credits`, and if it has an IP allow-list, add "
            "this computer's public address",
        ),
    ),
    unit_code="voxpria-credit",
    usage_prices={"minutes": "3", "sms": "1", "transcription-minutes": "1"},
    settings=("credit_price_amount", "credit_price_currency", "credit_prices"),
    service=Service(category="AI and Machine Learning", subcategory="Generative AI", virtual_currency="Credits"),
    endpoints=(
        Endpoint(
            name="credits",
            doc="GET /api/v1/credits, documented: the balance in credits.",
            listing=Once(path="/api/v1/credits"),
            records=(parse.CREDITS,),
            envelope=("success", "data"),
            success_at="success",
            refresh="hourly",
        ),
        Endpoint(
            name="usage",
            doc="GET /api/v1/credits/usage, documented: calls, credits and cost by day, and their total.",
            listing=Window(
                path="/api/v1/credits/usage",
                from_param="startDate",
                to_param="endDate",
                look_back_days=3,
                chunk_days=92,
            ),
            records=(parse.USAGE, parse.TOTAL),
            envelope=("success", "data"),
            success_at="success",
            refresh="hourly",
        ),
    ),
    assumptions=(
        "Pages of the vendor name two addresses. `https://api.voxpria.com`, set as the account's `base_url`, should "
        "answer the same to the same header; if one of them does not serve the key, it shows as `not_found` or "
        "`unauthorised`.",
        "Days are UTC days and endDate is inclusive; otherwise today's row is missing from core.usage_days.",
        "A day without a row had no usage, until a later answer has one. A day with a rejected row is unknown: "
        "`is_complete` is false in core.spend_daily until an answer states it.",
        "Rows of one day in one answer are parts of it, and add up; compare the claim usage_total.",
        "If an answer has `success` and it is not true, nothing in it is read.",
        "Today's row is partial until the day is over; it is requested again for 3 days.",
        "The cost of a credit is your setting (credit_price_amount, credit_prices); the vendor's own `cost` is kept "
        "separately.",
        "A `$` in `cost` means US dollars.",
        "A voice minute costs 3 credits, an SMS 1, a transcription minute 1, as the price list states; only "
        "`drawdown afford` uses that.",
    ),
)
