"""The same over complete runs: `drawdown run` polls a vendor on loopback that answers by its accounts' states.

`DRAWDOWN_TEST_RUNS` sets the number of runs, each of some accounts; the soak makes more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.landing.store import Fetch
from pipeline.vendors import discover
from tests.bench import Bench
from tests.lattice.combinations import Combination, draw
from tests.lattice.simulation import simulate
from tests.lattice.truth import NOW, SimulatedAccount

pytestmark = pytest.mark.long

RUNS = int(os.environ.get("DRAWDOWN_TEST_RUNS", "1"))
SEED = 20_260_311
ACCOUNTS = 14
"""Unusual accounts of one run."""
_STATUS = {"ok": 200, "forbidden": 403, "timeout": 503, "not_found": 404}


class _Scripted:
    """Each account's newest answer, by a path that begins with its name."""

    def __init__(self, simulated: list[SimulatedAccount]) -> None:
        self.answers: dict[tuple[str, str], Fetch] = {}
        self.days: dict[tuple[str, str], Fetch] = {}
        for each in simulated:
            for fetch in each.fetches:
                self.answers[each.account_id, fetch.endpoint] = fetch
                if fetch.window_from_date == fetch.window_to_date and fetch.window_from_date is not None:
                    self.days[each.account_id, str(fetch.window_from_date)] = fetch
        self.paths = {
            (vendor.name, endpoint.listing.path): endpoint.name
            for vendor in discover().values()
            for endpoint in vendor.endpoints
        }
        self.vendors = {each.account_id: each.combination.vendor for each in simulated}

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, bytes]:
        account_id, _, rest = path.lstrip("/").partition("/")
        vendor = self.vendors.get(account_id, "")
        endpoint = self.paths.get((vendor, f"/{rest}"), "")
        fetch = self.answers.get((account_id, endpoint))
        if endpoint == "history" and fetch is not None and fetch.outcome == "ok":
            day = query.get("start_date", [""])[0][:10]
            nothing = b'{"status": true, "message": "", "billing_history": {"billing_history": []}}'
            return 200, self.days[account_id, day].body if (account_id, day) in self.days else nothing
        if fetch is None:
            return (404, b'{"message": "Not Found"}')
        return _STATUS[fetch.outcome], fetch.body or b'{"message": "no"}'


@contextmanager
def _serving(simulated: list[SimulatedAccount]) -> Iterator[str]:
    script = _Scripted(simulated)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            status, body = script.answer(url.path, parse_qs(url.query))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_LIMITS = {
    "alerts": 'alert_below_days = 10\nalert_below_amount = "50"\n',
    "topup": 'topup_lead_days = 5\ntopup_minimum_amount = "20"\ntax_rate = "0.2"\n',
}


def _table(simulated: SimulatedAccount, address: str, folder: Path) -> str:
    state = simulated.combination
    lines = [f"[accounts.{simulated.account_id}]", f'vendor = "{state.vendor}"']
    files = [each for each in simulated.fetches if each.endpoint == "readings" and each.body]
    if files:
        path = folder / f"{simulated.account_id}.csv"
        path.write_bytes(files[-1].body)
        lines.append(f'path = "{path}"')
    elif state.vendor == "manual":
        lines.append(f'path = "{folder / "absent.csv"}"')
    if state.vendor != "manual":
        lines += [f'api_key_env = "KEY_{simulated.number}"', f'base_url = "{address}/{simulated.account_id}"']
    if state.vendor == "deepvue":
        lines += ['client_id_env = "CLIENT"'] + (['unit = "INR"'] if state["unit"] != "absent" else [])
    if state["price"] != "none":
        lines += ['credit_price_amount = "0.1"', 'credit_price_currency = "USD"']
    return "\n".join(lines) + "\n" + _LIMITS.get(state["limits"], "")


def _accounts(number: int) -> list[SimulatedAccount]:
    # A run's answers are current: absences and renames take several runs.
    drawn = draw((number + 1) * ACCOUNTS, SEED)[number * ACCOUNTS :]
    states = [Combination(each.vendor, each.values).with_value("life", "stays") for each in drawn]
    return [simulate(f"unusual-{place:05d}", place, state) for place, state in enumerate(states)]


@pytest.mark.parametrize("number", range(RUNS))
def test_a_run_over_accounts_in_unusual_states_publishes_all_of_them(tmp_path: Path, number: int) -> None:
    simulated = _accounts(number)
    keys = {f"KEY_{each.number}": f"key-{each.number}" for each in simulated} | {"CLIENT": "client-1"}
    with _serving(simulated) as address:
        toml = "allow_http_loopback = true\n" + "\n".join(_table(each, address, tmp_path) for each in simulated)
        bench = Bench(tmp_path, toml, keys)
        problems = [bench.run(as_of=NOW).problems, bench.run(as_of=NOW.replace(hour=13)).problems]
    status = bench.rows("SELECT account_id, reason, severity, reading_state, observed_at_utc FROM marts.account_status")
    assert sorted(row[0] for row in status) == [each.account_id for each in simulated], problems
    assert all(reason and severity for _, reason, severity, _, _ in status)
    assert all(at is None or at <= datetime.now(NOW.tzinfo) for *_, at in status)
    assert bench.leaks() == []
    print(f"soak: 2 runs of {len(simulated)} accounts, 0 violations")
