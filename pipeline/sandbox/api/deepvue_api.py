"""Deepvue's API under `/deepvue`, after the wallet-balance page; headers `x-api-key` and `client-id`.

Assumed: a missing header is 422 with `detail` as an array, as the vendor's framework answers by default.
"""

from collections.abc import Mapping

from pipeline.sandbox.api._api_base import Api, ApiRequest, ApiResponse, Credentials, Handler
from pipeline.sandbox.world.deepvue_world import DeepvueAccount


class DeepvueApi(Api[DeepvueAccount]):
    """The wallet's balance: a bare number without unit, time or history."""

    vendor = "deepvue"
    prefix = "/deepvue"

    def routes(self) -> Mapping[str, Handler[DeepvueAccount]]:
        """Return the handlers by documented path."""
        return {"/v1/internal/wallet-balance": self.wallet_balance}

    def presented(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,  # noqa: ARG002 - only headers have its keys
    ) -> Credentials | None:
        """Return the secret and the client id, both of which are required."""
        key, client_id = headers.get("x-api-key", ""), headers.get("client-id", "")
        return Credentials(key, client_id) if key and client_id else None

    def error(self, status: int, message: str) -> ApiResponse:
        """Return the documented `{"detail"}`."""
        return ApiResponse(status, {"detail": message})

    def unauthorized(self, headers: Mapping[str, str]) -> ApiResponse:
        """Return the documented 401, or 422 naming each missing header (assumed)."""
        missing = [name for name in ("x-api-key", "client-id") if not headers.get(name)]
        if not missing:
            return self.error(401, "Invalid client_id or client_secret, access Denied")
        detail = [{"loc": ["header", name], "msg": "field required", "type": "missing"} for name in missing]
        return ApiResponse(422, {"detail": detail})

    def wallet_balance(self, account: DeepvueAccount, request: ApiRequest) -> ApiResponse:
        """Answer `GET /v1/internal/wallet-balance`; to a disabled client, the documented 400."""
        if account.disabled_at is not None and account.disabled_at <= request.now:
            return self.error(400, "Inactive client_id")
        return ApiResponse(200, {"current_balance": account.balance_at(request.now), "success": True})
