"""Voxpria's API under `/voxpria`, after the vendor's Credits API page; `Authorization: Bearer KEY`.

Assumed: days are UTC, `endDate` is inclusive, days without calls are left out, both dates default to the
last 30 days, and errors are `{"success": false, "error"}`.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from pipeline.sandbox.api._api_base import Api, ApiRequest, ApiResponse, Credentials, Handler, bearer
from pipeline.sandbox.encoding import Tree
from pipeline.sandbox.world.voxpria_world import VoxpriaAccount

# Documented.
REQUESTS_AN_HOUR = 1_000

# Implied by the documented usage example: 135 credits cost "$13.50".
DOLLARS_A_CREDIT = Decimal("0.10")


class VoxpriaApi(Api[VoxpriaAccount]):
    """The balance and the usage history, both in whole credits."""

    vendor = "voxpria"
    prefix = "/voxpria"

    def routes(self) -> Mapping[str, Handler[VoxpriaAccount]]:
        """Return the handlers by documented path."""
        return {"/api/v1/credits": self.credits, "/api/v1/credits/usage": self.usage}

    def presented(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,  # noqa: ARG002 - only headers have its keys
    ) -> Credentials | None:
        """Return the bearer token, or the key of the alternative header `X-API-Key`."""
        key = headers.get("x-api-key", "")
        return bearer(headers) or (Credentials(key) if key else None)

    def error(self, status: int, message: str) -> ApiResponse:
        """Return `{"success": false, "error"}` (assumed)."""
        return ApiResponse(status, {"success": False, "error": message})

    def unauthorized(self, headers: Mapping[str, str]) -> ApiResponse:  # noqa: ARG002 - the same for any headers
        """Return 401 (assumed)."""
        return self.error(401, "Invalid API key")

    def rate_limit_headers(self, recent: Sequence[float]) -> dict[str, str]:
        """Return the documented headers; the limit is not enforced, so one request always remains."""
        window = 3_600
        start = recent[-1] - recent[-1] % window
        used = sum(1 for at in recent if at >= start)
        return {
            "X-RateLimit-Limit": str(REQUESTS_AN_HOUR),
            "X-RateLimit-Remaining": str(max(1, REQUESTS_AN_HOUR - used)),
            "X-RateLimit-Reset": str(int(start + window)),
        }

    def credits(self, account: VoxpriaAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /api/v1/credits`; `lastUpdated` is when the balance last moved."""
        ledger = account.ledger(request.now)
        updated = ledger[-1].at if ledger else account.opened_at
        balance = account.balance_at(request.now)
        return ApiResponse(
            200,
            {
                "success": True,
                "data": {
                    "balance": balance,
                    "currency": "credits",
                    "lastUpdated": f"{updated:%Y-%m-%dT%H:%M:%SZ}",
                },
            },
        )

    def usage(self, account: VoxpriaAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /api/v1/credits/usage?startDate&endDate`, newest first, with the total of its rows."""
        today = request.now.date()
        start = _day(request.query.get("startDate"), today - timedelta(days=29))
        end = _day(request.query.get("endDate"), today)
        if start is None or end is None or end < start:
            return self.error(400, "startDate and endDate must be dates (YYYY-MM-DD) in order")
        days = [day for day in reversed(account.usage(request.now)) if start <= day.day <= end]
        rows = [{"date": day.day.isoformat(), **_used(day.quantity, day.amount)} for day in days]
        total = _used(sum(day.quantity for day in days), sum((day.amount for day in days), Decimal(0)))
        return ApiResponse(200, {"success": True, "data": {"usage": rows, "total": total}})


def _used(calls: int, credits: Decimal) -> Tree:
    return {"calls": calls, "creditsUsed": int(credits), "cost": f"${credits * DOLLARS_A_CREDIT:.2f}"}


def _day(text: str | None, default: date) -> date | None:
    if text is None:
        return default
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return None
