import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.sandbox_faults import Sandbox, start

NOW = datetime(2026, 3, 18, 13, 37, tzinfo=UTC)

Get = Callable[..., httpx.Response]


def credentials(sandbox: Sandbox, account: str) -> dict[str, str]:
    stem = "SANDBOX_" + account.upper().replace("-", "_")
    key = sandbox.keys[f"{stem}_KEY"]
    vendor = account.split("-")[0]
    if vendor == "hyperstack":
        return {"api_key": key}
    if vendor == "deepvue":
        return {"x-api-key": key, "client-id": sandbox.keys[f"{stem}_CLIENT_ID"]}
    return {"Authorization": f"Bearer {key}", "Accept": "application/json"}


@pytest.fixture(scope="session")
def one_sandbox() -> Iterator[Sandbox]:
    with start(now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox: Sandbox) -> Iterator[Sandbox]:
    yield one_sandbox
    one_sandbox.clear_faults()
    one_sandbox.move_clock(NOW)


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5, trust_env=False) as client:
        yield client


@pytest.fixture
def get(sandbox: Sandbox, client: httpx.Client) -> Get:
    """`get(account, path, **query)` as that account, at that account's vendor."""

    def get(account: str, path: str, **query: Any) -> httpx.Response:
        url = sandbox.base_url(account.split("-")[0]) + path
        return client.get(url, params=query, headers=credentials(sandbox, account))

    return get


@pytest.fixture
def exact() -> Callable[[httpx.Response], Any]:
    """Decode a body without a float on the way."""

    def exact(response: httpx.Response) -> Any:
        assert response.status_code == 200, response.text
        return json.loads(response.content, parse_float=Decimal)

    return exact


@pytest.fixture
def headers_of(sandbox: Sandbox) -> Callable[[str], dict[str, str]]:
    return lambda account: credentials(sandbox, account)
