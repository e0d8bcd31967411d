import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import pipeline.sandbox
from tests.sandbox_faults import Sandbox, start

NOW = datetime(2026, 3, 18, 13, 37, tzinfo=UTC)

Get = Callable[..., httpx.Response]


def test_the_state_has_clock_and_accounts(sandbox: Sandbox, client: httpx.Client) -> None:
    state = client.get(f"{sandbox.url}/_sandbox/state").json()
    assert datetime.fromisoformat(state["now"]) == datetime.fromisoformat(state["initial_now"]) == NOW
    assert [account["id"] for account in state["accounts"]] == list(sandbox.world.accounts)


def test_the_clock_moves_over_http(sandbox: Sandbox, client: httpx.Client, get: Get) -> None:
    before = get("deepvue-main", "/v1/internal/wallet-balance").json()
    moved = client.post(f"{sandbox.url}/_sandbox/clock", json={"now": "2026-03-20T12:00:00+02:00"})
    assert moved.json() == {"now": "2026-03-20T10:00:00+00:00"}
    assert sandbox.now == datetime(2026, 3, 20, 10, tzinfo=UTC)
    assert get("deepvue-main", "/v1/internal/wallet-balance").json() != before


@pytest.mark.parametrize(
    "body", [{}, {"now": 5}, {"now": "soon"}, {"now": "2026-03-20T12:00:00"}, {"now": "1999-01-01T00:00Z"}]
)
def test_an_invalid_clock_is_refused(sandbox: Sandbox, client: httpx.Client, body: Any) -> None:
    assert client.post(f"{sandbox.url}/_sandbox/clock", json=body).status_code == 422
    assert sandbox.now == NOW


def test_a_fault_happens_the_given_number_of_times_or_until_it_is_cleared(sandbox: Sandbox, get: Get) -> None:
    sandbox.put_fault("status", vendor="vpsbg", path="/orders", times=1, code=503)
    assert [get("vpsbg-main", "/orders").status_code for _ in range(2)] == [503, 200]
    sandbox.put_fault("html")
    sandbox.clear_faults()
    assert get("vpsbg-main", "/orders").headers["content-type"] == "application/json"


@pytest.mark.parametrize(("name", "params"), [("earthquake", {}), ("hang", {"minutes": 1})])
def test_an_unknown_fault_is_refused(sandbox: Sandbox, name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{name} takes|unknown fault"):
        sandbox.put_fault(name, **params)


def test_requests_are_listed_without_keys(sandbox: Sandbox, client: httpx.Client, get: Get) -> None:
    key = sandbox.keys["SANDBOX_VPSBG_MAIN_KEY"]
    sandbox.put_fault("status", account="vpsbg-main", path="/orders", times=1, code=500)
    get("vpsbg-main", "/orders", page=2, token=key)
    listed = client.get(f"{sandbox.url}/_sandbox/requests")
    last = listed.json()["requests"][-1]
    expected = {
        "vendor": "vpsbg",
        "account": "vpsbg-main",
        "method": "GET",
        "path": "/orders",
        "query": "page=2&token=[key]",
        "fault": "status",
        "status": 500,
    }
    assert {name: last[name] for name in expected} == expected
    assert not [secret for secret in sandbox.keys.values() if secret in listed.text]
    assert sandbox.requests()[-1].number == last["number"]


def test_an_unknown_path_is_not_found(sandbox: Sandbox, client: httpx.Client) -> None:
    assert client.get(f"{sandbox.url}/vpsbg/v2/balance").status_code == 404


def test_closing_cuts_a_hanging_answer_off() -> None:
    with start(now=NOW, days=2, vendors=["deepvue"]) as small, ThreadPoolExecutor() as pool:
        small.put_fault("hang")
        waiting = pool.submit(httpx.get, small.base_url("deepvue"), timeout=20, trust_env=False)
        while not small.requests():
            time.sleep(0.01)
        began = time.monotonic()
        small.close()
        assert isinstance(waiting.exception(timeout=5), httpx.TransportError)
        assert time.monotonic() - began < 5


def test_a_port_in_use_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(OSError, match="in use"):
        start(port=sandbox.port, now=NOW, days=1, vendors=["deepvue"])


def test_serving_for_ever_prints_shell_exports_and_stops_at_an_interrupt() -> None:
    code = "import sys; from pipeline.sandbox import serve_forever; serve_forever(0, 3, 2)"
    command = [sys.executable, "-c", code]
    root = Path(pipeline.sandbox.__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while not lines[-1].startswith("export SANDBOX_DEEPVUE_NEW_CLIENT_ID="):
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    assert "allow_http_loopback = true\n" in lines
