"""Hyperstack's API under `/hyperstack/v1`, after the vendor's SDK and OpenAPI; header `api_key: KEY`.

Assumed: times without an offset are UTC, windows are half-open, a missing window is the current calendar
month, ten rows a page, and the words of a payment's status.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pipeline.sandbox.api._api_base import Api, ApiRequest, ApiResponse, Credentials, Handler, page_of, whole
from pipeline.sandbox.encoding import Tree
from pipeline.sandbox.world.hyperstack_world import ORG_ID, HyperstackAccount, Resource

_ERROR_REASONS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "bad_request",
}

# Path, kind of resource, and the key of its rows: snapshots share the volumes' (documented).
_HISTORIES = {
    "virtual-machine": ("vm", "billing_history_vm", "Virtual Machine"),
    "volume": ("volume", "billing_history_volume", "Volume"),
    "snapshot": ("snapshot", "billing_history_volume", "Snapshot"),
    "cluster": ("cluster", "billing_history_cluster", "Cluster"),
    "bucket": ("bucket", "billing_history_bucket", "Bucket"),
}

# Work on models, billed by tokens: the envelope has `success`, and most share one key (documented).
_MODEL_HISTORIES = {
    "serverless_inference": "billing_history_serverless_inference",
    "fine_tuning": "billing_history_fine_tuning",
    "model_evaluation": "billing_history_serverless_inference",
    "data_synthesis": "billing_history_serverless_inference",
    "image_generation": "billing_history_serverless_inference",
}

_ENVIRONMENT = ("1", "default-CANADA-1")

Window = tuple[datetime, datetime]


def stamp(instant: datetime) -> str:
    """Return an instant as the vendor writes it, without an offset: `2024-07-29T15:51:28`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


class HyperstackApi(Api[HyperstackAccount]):
    """Credit, payments and billing, in USD."""

    vendor = "hyperstack"
    prefix = "/hyperstack/v1"

    def routes(self) -> Mapping[str, Handler[HyperstackAccount]]:
        """Return the handlers by documented path."""
        billing = "/billing/billing"
        return {
            "/billing/user-credit/credit": self.credit,
            f"{billing}/last-day-cost": self.last_day_cost,
            f"{billing}/usage": self.usage,
            f"{billing}/history": self.history,
            **{f"{billing}/history/{name}": self._resource_history(name) for name in _HISTORIES},
            **{f"{billing}/history/{name}": self._model_history(name) for name in _MODEL_HISTORIES},
            f"{billing}/history/contract": self.contract_history,
            "/billing/payment/payment-details": self.payments,
            "/billing/auto-topup/status": self.auto_topup,
            "/auth/users/me/permissions": self.permissions,
        }

    def presented(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,  # noqa: ARG002 - only headers have its keys
    ) -> Credentials | None:
        """Return the bare key of the `api_key` header."""
        key = headers.get("api_key", "")
        return Credentials(key) if key else None

    def error(self, status: int, message: str) -> ApiResponse:
        """Return `{"status": false, "message", "error_reason"}`; for 5xx the older `{"message"}`."""
        if status >= 500:
            return ApiResponse(status, {"message": message})
        reason = _ERROR_REASONS.get(status, "error")
        return ApiResponse(status, {"status": False, "message": message, "error_reason": reason})

    def unauthorized(self, headers: Mapping[str, str]) -> ApiResponse:  # noqa: ARG002 - the same for any headers
        """Return 401 (documented)."""
        return self.error(401, "API Key authentication failed")

    def credit(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /billing/user-credit/credit`."""
        credit = account.balance_at(request.now)
        return _success(
            "Getting user credit info successful",
            data={
                "credit": credit,
                "threshold": account.threshold,
                "can_create_instance": credit >= account.threshold,
            },
        )

    def permissions(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:  # noqa: ARG002 - all keys' are alike
        """Answer `GET /auth/users/me/permissions`."""
        return _success("Getting my permissions successfully", permissions=list(_PERMISSIONS))

    def last_day_cost(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /billing/billing/last-day-cost`: the UTC day before, without saying which."""
        end = request.now.replace(hour=0, minute=0, second=0, microsecond=0)
        start = end - timedelta(days=1)
        return _success(
            "Getting last day cost successful",
            data={
                "instances_cost": account.bill(start, end, "vm"),
                "volumes_cost": account.bill(start, end, "volume"),
                "clusters_cost": account.bill(start, end, "cluster"),
                "total_cost": account.bill(start, end),
            },
        )

    def usage(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /billing/billing/usage?deleted&environment`: what is active, or what has ended."""
        deleted = request.query.get("deleted", "false").lower() == "true"
        environment = request.query.get("environment")
        rows = [
            _metrics(resource, request.now)
            for resource in account.resources
            if resource.started_at <= request.now
            and resource.is_active(request.now) is not deleted
            and (environment is None or environment in _ENVIRONMENT)
        ]
        return _success("Getting billing metrics successful", data=rows)

    def history(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /billing/billing/history?start_date&end_date`; no component has clusters, buckets."""
        window = _window(request)
        if window is None:
            return self.error(400, "start_date and end_date must be YYYY-MM-DDTHH:MM:SS in order")
        listed = sum(
            (_listed(resource, window) for resource in account.resources),
            Decimal(0),
        )
        row = {
            "attributes": {"id": str(ORG_ID)},
            "metrics": {
                "incurred_bill": account.bill(*window),
                "non_discounted_bill": listed,
                "vm_cost": account.bill(*window, "vm"),
                "volume_cost": account.bill(*window, "volume"),
                "snapshot_cost": account.bill(*window, "snapshot"),
                "contract_cost": Decimal(0),
            },
        }
        return _success(
            "Billing History Retrieved Successfully.",
            billing_history={"org_id": ORG_ID, "total_count": 1, "billing_history": [row]},
        )

    def payments(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /billing/payment/payment-details`, newest first; `tax_amount` is never credited."""
        now = request.now
        rows = [
            {
                "amount": payment.amount,
                "tax_amount": payment.amount / 5,
                "currency": account.unit,
                "paid_from": "bank_transfer" if payment.payment_type == "bank" else "card",
                "status": payment.status(now),
                "gateway_response": None,
                "payment_type": payment.payment_type,
                "description": "Credit top-up",
                "transaction_id": f"txn_{payment.payment_id[4:]}",
                "invoice": f"INV-{payment.payment_id[4:]}" if payment.status(now) == "completed" else None,
                "payment_id": payment.payment_id,
                "auto_topup_id": payment.auto_topup_id,
                "attempt_number": payment.attempt_number,
                "created_at": stamp(payment.created_at),
                "updated_at": stamp(payment.settled_at if payment.settled_at <= now else payment.created_at),
            }
            for payment in reversed(account.payments)
            if payment.created_at <= now
        ]
        return _success("Getting payment info successful", data=rows)

    def auto_topup(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:  # noqa: ARG002 - a setting
        """Answer `GET /billing/auto-topup/status`, which has no envelope."""
        return ApiResponse(
            200,
            {
                "status": "active",
                "threshold_amount": account.topup_threshold,
                "topup_amount": account.topup_amount,
            },
        )

    def _resource_history(self, name: str) -> Callable[[HyperstackAccount, ApiRequest], ApiResponse]:
        kind, key, title = _HISTORIES[name]

        def answer(account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
            window = _window(request)
            page = whole(request.query.get("page"), 1)
            per_page = whole(request.query.get("per_page"), 10)
            if window is None or page is None or per_page is None:
                return self.error(400, "start_date, end_date, page and per_page must be valid")
            rows = [_history_row(resource, window, request.now) for resource in _billed(account, kind, window)]
            found = _success(
                f"Billing History for {title} Retrieved Successfully.", **{key: _paged(rows, page, per_page)}
            )
            if name == "bucket":
                # The documented success example of this endpoint says so.
                found.body["status"] = False
            return found

        return answer

    def _model_history(self, name: str) -> Callable[[HyperstackAccount, ApiRequest], ApiResponse]:
        def answer(account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
            window = _window(request)
            page = whole(request.query.get("page"), 1)
            per_page = whole(request.query.get("per_page"), 10)
            if window is None or page is None or per_page is None:
                return self.error(400, "start_date, end_date, page and per_page must be valid")
            rows = [_model_row(resource, window) for resource in _billed(account, name, window)]
            body = {"success": True, "message": "success", _MODEL_HISTORIES[name]: _paged(rows, page, per_page)}
            return ApiResponse(200, body)

        return answer

    def contract_history(self, account: HyperstackAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /billing/billing/history/contract`, which has no pages; its envelope is assumed."""
        window = _window(request)
        if window is None:
            return self.error(400, "start_date and end_date must be YYYY-MM-DDTHH:MM:SS in order")
        rows = [
            {
                "attributes": {
                    "infrahub_id": resource.resource_id,
                    "description": resource.name,
                    "gpu_type": "H100-80G-PCIe",
                    "status": "ACTIVE" if resource.is_active(request.now) else "EXPIRED",
                },
                "metrics": {"incurred_bill": resource.bill(*window), "price_per_hour": resource.price * 60},
            }
            for resource in _billed(account, "contract", window)
        ]
        listed = {"org_id": ORG_ID, "total_count": len(rows), "billing_history": rows}
        return _success("Billing History for Contract Retrieved Successfully.", billing_history_contract=listed)


def _billed(account: HyperstackAccount, kind: str, window: Window) -> list[Resource]:
    """The resources of one kind that are billed in the window."""
    start, end = window
    return [each for each in account.resources if each.kind == kind and each.minutes(end) > each.minutes(start)]


def _paged(rows: list[Tree], page: int, per_page: int) -> Tree:
    return {
        "org_id": ORG_ID,
        "total_count": len(rows),
        "pagination": {"page": page, "pages": -(-len(rows) // per_page), "per_page": per_page},
        "billing_history": page_of(rows, page, per_page),
    }


def _success(message: str, **rest: Tree) -> ApiResponse:
    return ApiResponse(200, {"status": True, "message": message, **rest})


def _window(request: ApiRequest) -> Window | None:
    now = request.now
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    try:
        start = _instant(request.query["start_date"]) if "start_date" in request.query else month
        end = _instant(request.query["end_date"]) if "end_date" in request.query else now
    except ValueError:
        return None
    return (min(start, now), min(end, now)) if start <= end else None


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)


def _listed(resource: Resource, window: Window) -> Decimal:
    return (resource.minutes(window[1]) - resource.minutes(window[0])) * resource.list_price


# The documented example, and its like: a key that may list and no more.
_PERMISSIONS = (
    {"id": 7613, "resource": "Environment", "permission": "environment:list"},
    {"id": 7640, "resource": "Billing", "permission": "billing:list"},
)


def _metrics(resource: Resource, now: datetime) -> Tree:
    active = resource.is_active(now)
    ended_at = resource.ended_at if not active else None
    return {
        "resource_id": resource.resource_id,
        "organization_id": ORG_ID,
        "resource_type": resource.kind,
        "name": resource.name,
        "bill_per_minute": resource.price if active else None,
        "create_time": stamp(resource.started_at),
        "terminate_time": stamp(ended_at) if ended_at is not None else None,
        "total_up_time": resource.minutes(now),
        "total_bill": resource.minutes(now) * resource.price,
        "active": active,
        "exclude_billing": False,
    }


def _model_row(resource: Resource, window: Window) -> Tree:
    bill = resource.bill(*window)
    tokens = resource.minutes(window[1]) - resource.minutes(window[0])
    return {
        "attributes": {
            "base_model": "org/model-8b",
            "base_model_display_name": "Model 8B",
            "lora_adapter": None,
            "infrahub_id": resource.resource_id,
            "resource_name": resource.name,
            "status": "ACTIVE",
        },
        "metrics": {
            "incurred_bill": bill,
            "non_discounted_bill": tokens * resource.list_price,
            "input_tokens": tokens,
            "input_tokens_incurred_bill": bill / 4,
            "input_tokens_non_discounted_bill": tokens * resource.list_price / 4,
            "output_tokens": tokens,
            "output_tokens_incurred_bill": bill * 3 / 4,
            "output_tokens_non_discounted_bill": tokens * resource.list_price * 3 / 4,
        },
    }


def _history_row(resource: Resource, window: Window, now: datetime) -> Tree:
    """A row of a window; that of a cluster also lists its two nodes, which are parts of it."""
    minutes = resource.minutes(window[1]) - resource.minutes(window[0])
    row = _flat_row(resource, minutes, resource.bill(*window), now)
    if resource.kind == "cluster":
        node = _flat_row(resource, minutes, resource.bill(*window) / 2, now)
        row["nodes"] = [
            {**node, "attributes": {**node["attributes"], "id": f"{resource.uuid}-node-{number}"}} for number in (1, 2)
        ]
    return row


def _flat_row(resource: Resource, minutes: int, bill: Decimal, now: datetime) -> Tree:
    return {
        "attributes": {
            "id": resource.uuid,
            "infrahub_id": resource.resource_id,
            "resource_name": resource.name,
            "status": "ACTIVE" if resource.is_active(now) else "DELETED",
            "contract_id": None,
        },
        "metrics": {
            "incurred_bill": bill,
            "price_per_hour": resource.price * 60,
            # Seconds: the documentation says hours, but its own example only works with seconds.
            "usage_time": minutes * 60,
        },
    }
