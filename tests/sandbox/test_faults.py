import base64
import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.sandbox_faults import FAULTS, Sandbox
from tests.sandbox_faults.registry import describe

Get = Callable[..., httpx.Response]

ROWS = ("vpsbg-main", "/balance/transactions")
BALANCE = ("vpsbg-main", "/balance")


@dataclass
class Probe:
    sandbox: Sandbox
    get: Get

    def ask(
        self, fault: str, where: tuple[str, str] = BALANCE, query: dict[str, Any] | None = None, **params: Any
    ) -> httpx.Response:
        """Put a fault for one request, then make the request."""
        account, path = where
        self.sandbox.put_fault(fault, account=account, path=path, exact=True, times=1, **params)
        return self.get(account, path, **(query or {}))


@pytest.fixture
def probe(sandbox: Sandbox, get: Get) -> Probe:
    return Probe(sandbox, get)


def broken(probe: Probe, fault: str, error: type[Exception], **params: Any) -> None:
    with pytest.raises(error):
        probe.ask(fault, **params)


def check_status(probe: Probe) -> None:
    assert probe.ask("status", code=503).json() == {"message": "Simulated failure"}
    assert probe.ask("status", code=502, body="oops").text == "oops"
    own = probe.ask("status", where=("hyperstack-main", "/billing/user-credit/credit"), code=422)
    assert (own.status_code, own.json()["status"]) == (422, False)


def check_rate_limited(probe: Probe) -> None:
    for header in ("3", "1.5", "-1", "Wed, 18 Mar 2026 14:00:00 GMT", "soon"):
        response = probe.ask("rate_limited", retry_after=header)
        assert (response.status_code, response.headers["Retry-After"]) == (429, header)
    assert "Retry-After" not in probe.ask("rate_limited", retry_after=None).headers


def check_hang(probe: Probe) -> None:
    broken(probe, "hang", httpx.TransportError, seconds=0.05)


def check_slow(probe: Probe) -> None:
    began = time.monotonic()
    assert probe.ask("slow", seconds=0.2).json() == probe.get(*BALANCE).json()
    assert time.monotonic() - began > 0.2


def check_reset(probe: Probe) -> None:
    broken(probe, "reset", httpx.TransportError)


def check_truncated(probe: Probe) -> None:
    broken(probe, "truncated", httpx.RemoteProtocolError)


def check_truncated_chunk(probe: Probe) -> None:
    broken(probe, "truncated_chunk", httpx.RemoteProtocolError)


def check_truncated_unframed(probe: Probe) -> None:
    whole, half = probe.get(*BALANCE).content, probe.ask("truncated_unframed").content
    assert half
    assert whole.startswith(half)
    assert len(half) < len(whole)


def check_html(probe: Probe) -> None:
    assert probe.ask("html").headers["content-type"].startswith("text/html")


def check_empty(probe: Probe) -> None:
    response = probe.ask("empty")
    assert (response.status_code, response.content) == (200, b"")


def check_no_content(probe: Probe) -> None:
    assert probe.ask("no_content").status_code == 204


def check_invalid_json(probe: Probe) -> None:
    with pytest.raises(json.JSONDecodeError):
        probe.ask("invalid_json").json()


def check_invalid_utf8(probe: Probe) -> None:
    with pytest.raises(UnicodeDecodeError):
        probe.ask("invalid_utf8").content.decode()


def check_bom(probe: Probe) -> None:
    assert probe.ask("bom").content == b"\xef\xbb\xbf" + probe.get(*BALANCE).content


def check_deep_nesting(probe: Probe) -> None:
    with pytest.raises(RecursionError):
        json.loads(probe.ask("deep_nesting").content)


def check_gzip_bomb(probe: Probe) -> None:
    response = probe.ask("gzip_bomb", megabytes=8)
    assert int(response.headers["content-length"]) < 50_000
    assert response.content == bytes(8_000_000)


def check_huge_body(probe: Probe) -> None:
    assert len(probe.ask("huge_body", megabytes=3).content) == 3_000_002


def check_bad_gzip(probe: Probe) -> None:
    broken(probe, "bad_gzip", httpx.DecodingError)


def check_redirect(probe: Probe) -> None:
    response = probe.ask("redirect", location="https://elsewhere.invalid/")
    assert (response.status_code, response.headers["location"]) == (302, "https://elsewhere.invalid/")


def check_echo_key(probe: Probe) -> None:
    key = probe.get(*BALANCE).request.headers["authorization"].removeprefix("Bearer ")
    for response in (probe.ask("echo_key"), probe.ask("echo_key", code=401)):
        assert key in response.text
    disguised = base64.b64encode(f"api:{key}".encode()).decode()
    assert f"Basic {disguised}" in probe.ask("echo_key", disguise="basic").text


def check_echo_key_in_rows(probe: Probe) -> None:
    key = probe.get(*BALANCE).request.headers["authorization"].removeprefix("Bearer ")
    response = probe.ask("echo_key_in_rows", ROWS)
    assert key not in response.text
    assert {row["description"] for row in response.json()["data"]} == {key}


def check_echo_key_in_headers(probe: Probe) -> None:
    key = probe.get(*BALANCE).request.headers["authorization"].removeprefix("Bearer ")
    response = probe.ask("echo_key_in_headers", code=303)
    assert response.status_code == 303
    assert all(key in response.headers[name] for name in ("location", "content-type", "set-cookie", "x-request-key"))


def check_foreign_next(probe: Probe) -> None:
    assert probe.ask("foreign_next", ROWS).json()["links"]["next"].startswith("https://foreign.invalid/")


def check_cyclic_next(probe: Probe) -> None:
    assert probe.ask("cyclic_next", ROWS, {"page": 3}).json()["links"]["next"].endswith("?page=1")


def check_endless_next(probe: Probe) -> None:
    body = probe.ask("endless_next", ROWS, {"page": 900}).json()
    assert body["links"]["next"].endswith("?page=901")
    assert body["data"]
    history = ("hyperstack-main", "/billing/billing/history/virtual-machine")
    window = {"start_date": "2026-01-01T00:00:00", "end_date": "2026-03-01T00:00:00", "page": 70}
    machines = probe.ask("endless_next", history, window).json()["billing_history_vm"]
    assert (machines["pagination"]["pages"], bool(machines["billing_history"])) == (71, True)


def check_duplicate_rows(probe: Probe) -> None:
    rows = probe.get(*ROWS).json()["data"]
    assert probe.ask("duplicate_rows", ROWS).json()["data"] == [row for row in rows for _ in (0, 1)]


def check_empty_page(probe: Probe) -> None:
    assert probe.ask("empty_page", ROWS).json()["data"] == []
    usage = probe.ask("empty_page", ("voxpria-main", "/api/v1/credits/usage")).json()["data"]
    assert (usage["usage"], "total" in usage) == ([], True)


def check_skipped_rows(probe: Probe) -> None:
    assert probe.ask("skipped_rows", ROWS).json() == probe.get(*ROWS).json()
    rows = probe.get(*ROWS, page=2).json()["data"]
    assert probe.ask("skipped_rows", ROWS, {"page": 2}, rows=2).json()["data"] == rows[2:]


def check_unknown_field(probe: Probe) -> None:
    body = probe.ask("unknown_field", ROWS).json()
    assert "introduced_field" in body
    assert all(row["introduced_field"] == "new" for row in body["data"])


def check_field_renamed(probe: Probe) -> None:
    body = probe.ask("field_renamed", field="estimated_expenses", to="estimated_funds").json()
    assert "estimated_funds" in body
    assert "estimated_expenses" not in body


def check_truncated_gzip(probe: Probe) -> None:
    whole = gzip.compress(probe.get(*BALANCE).content, mtime=0)
    try:
        half = probe.ask("truncated_gzip")
    except httpx.DecodingError:
        return
    assert int(half.headers["content-length"]) == len(whole) // 2
    with pytest.raises(json.JSONDecodeError):
        half.json()


def check_drip(probe: Probe) -> None:
    proper = probe.get(*BALANCE)
    probe.sandbox.put_fault("drip", account="vpsbg-main", times=1, interval_seconds=0.01)
    received = b""
    with httpx.stream("GET", proper.url, headers=proper.request.headers, trust_env=False) as response:
        for piece in response.iter_raw():
            received += piece
            if len(received) > 10:
                break
    assert received.strip() == b""


def check_money_is(probe: Probe) -> None:
    assert '"balance":90000.50' in probe.ask("money_is", value="90000.50").text


SPOILT = {
    "money_missing": None,
    "money_renamed": '"value":360',
    "money_null": '"balance":null',
    "money_not_available": '"balance":"n/a"',
    "money_nan": '"balance":NaN',
    "money_overflow": '"balance":1e999999',
    "money_forty_digits": '"balance":' + "1234567890" * 4,
    "money_ten_decimals": '"balance":12.3456789012',
    "money_dollars": '"balance":"$13.50"',
    "money_grouped": '"balance":"1,234.50"',
    "money_sentinel": '"balance":-1',
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_matches_its_description(probe: Probe, fault: str) -> None:
    proper = probe.get(*BALANCE).content
    if fault in SPOILT:
        text, expected = probe.ask(fault).text, SPOILT[fault]
        assert '"balance":360' not in text
        assert expected is None or expected in text
    else:
        globals()[f"check_{fault}"](probe)
    assert probe.get(*BALANCE).content == proper


def test_a_hang_lasts_until_the_client_gives_up(sandbox: Sandbox, headers_of: Callable[[str], dict[str, str]]) -> None:
    sandbox.put_fault("hang", vendor="deepvue")
    url = f"{sandbox.base_url('deepvue')}/v1/internal/wallet-balance"
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(url, headers=headers_of("deepvue-main"), timeout=0.2, trust_env=False)


@pytest.mark.parametrize(
    ("account", "path", "field"),
    [
        ("vpsbg-main", "/balance/transactions", "amount"),
        ("hyperstack-main", "/billing/user-credit/credit", "credit"),
        ("hyperstack-main", "/billing/billing/history", "incurred_bill"),
        ("voxpria-main", "/api/v1/credits", "balance"),
        ("voxpria-main", "/api/v1/credits/usage", "creditsUsed"),
        ("deepvue-main", "/v1/internal/wallet-balance", "current_balance"),
    ],
)
def test_money_goes_missing_from_every_object(probe: Probe, account: str, path: str, field: str) -> None:
    assert f'"{field}":' in probe.get(account, path).text
    assert f'"{field}":' not in probe.ask("money_missing", (account, path)).text
    assert f'"{field}":"$13.50"' in probe.ask("money_dollars", (account, path)).text


def test_a_fault_keeps_to_its_vendor_account_path_and_count(sandbox: Sandbox, get: Get) -> None:
    sandbox.put_fault("status", account="vpsbg-main", path="/balance", after=1, times=2, code=500)
    statuses = [get("vpsbg-main", path).status_code for path in ("/balance", "/balance/transactions", "/orders")]
    statuses += [get("vpsbg-agency", "/balance").status_code, get("vpsbg-main", "/balance").status_code]
    assert [*statuses, get("vpsbg-main", "/balance").status_code] == [200, 500, 200, 200, 500, 200]


def test_a_fault_without_a_count_lasts_until_cleared(sandbox: Sandbox, get: Get) -> None:
    sandbox.put_fault("html", vendor="voxpria")
    assert {get("voxpria-main", "/api/v1/credits").text[:9] for _ in range(5)} == {"<!doctype"}
    sandbox.clear_faults()
    assert get("voxpria-main", "/api/v1/credits").json()["success"] is True


def test_every_fault_is_described() -> None:
    lines = describe()
    assert [line.split("(")[0] for line in lines] == list(FAULTS)
    assert all(text.endswith((".", "body.")) and len(text) < 100 for text in lines.values())
    assert "rate_limited(retry_after='3')" in lines
