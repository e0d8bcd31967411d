"""The API of a vendor that is declared in TOML, under `/<vendor>`: its examples, if the credentials are right."""

import base64
from collections.abc import Mapping

import msgspec

from pipeline.sandbox.api._api_base import Api, ApiRequest, ApiResponse, Credentials, Handler
from pipeline.sandbox.world.declared_world import DeclaredAccount, DeclaredVendor


class DeclaredApi(Api[DeclaredAccount]):
    """Answers of one declared vendor."""

    def __init__(
        self, declared: DeclaredVendor, accounts: Mapping[str, DeclaredAccount], credentials: Mapping[str, Credentials]
    ) -> None:
        super().__init__(accounts, credentials)
        self.vendor = declared.name
        self.prefix = f"/{declared.name}"
        self.declared = declared

    def routes(self) -> Mapping[str, Handler[DeclaredAccount]]:
        """Return the handlers by path, with the account's own parts in it."""
        return {
            path_of(account, path): self._answering(endpoint)
            for account in self.accounts.values()
            for endpoint, path in self.declared.paths.items()
        }

    def _answering(self, endpoint: str) -> Handler[DeclaredAccount]:
        def answer(account: DeclaredAccount, request: ApiRequest) -> ApiResponse:
            if request.path != path_of(account, self.declared.paths[endpoint]):
                return self.error(404, "Not Found")
            body = account.bodies.get(endpoint)
            return self.error(404, "Not Found") if body is None else ApiResponse(200, msgspec.Raw(body))

        return answer

    def presented(self, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> Credentials | None:
        """Return the credentials of a request, if they follow the declaration."""
        found: list[str] = []
        for auth in self.declared.auth:
            if "header" in auth:
                prefix, value = auth.get("prefix", ""), headers.get(auth["header"].lower(), "")
                found.append(value.removeprefix(prefix) if value.startswith(prefix) else "")
            elif "query" in auth:
                found.append((query or {}).get(auth["query"], ""))
            else:
                scheme, _, pair = headers.get("authorization", "").partition(" ")
                user, _, password = base64.b64decode(pair).decode().partition(":") if scheme == "Basic" else ("",) * 3
                found += [user, password] if auth["basic"][0].endswith("_env") else [password]
        return Credentials(found[0], "".join(found[1:])) if all(found) else None

    def error(self, status: int, message: str) -> ApiResponse:
        """Return an error in a usual form."""
        return ApiResponse(status, {"error": {"message": message}})

    def unauthorized(self, headers: Mapping[str, str]) -> ApiResponse:  # noqa: ARG002 - as every vendor's
        """Return the answer to missing or unknown credentials."""
        return self.error(401, "invalid credentials")


def path_of(account: DeclaredAccount, path: str) -> str:
    """Return a declared path with the account's own parts in it."""
    for key in account.declared.settings:
        path = path.replace(f"{{{key}}}", part_of(account, key))
    return path


def part_of(account: DeclaredAccount, key: str) -> str:
    """Return the invented value of one of the account's settings."""
    return f"{key}-of-{account.account_id}".replace("_", "-")
