"""A run that is delayed or ended while it fetches: answers so far are kept, and no other account is delayed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pipeline.http import Patience
from pipeline.landing.fetching import FetchPolicy, Visit
from pipeline.landing.listing_walk import Resume
from pipeline.landing.store import files, iterate, read
from pipeline.support.home import Home
from tests.bench import HURRIED, Bench
from tests.faults.storm import wallet
from tests.http.conftest import CANARY
from tests.http.fault_server import FaultServer, Wire, drip, reply

_ROOT = Path(__file__).parents[2]
_FINE = reply(200, wallet("5"))
_DRIPS = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")


@dataclass
class Ledger:
    """A listing of three pages, whose second is not answered until it is released."""

    released: Event = field(default_factory=Event)
    hung: Event = field(default_factory=Event)

    def __call__(self, wire: Wire) -> bool | None:
        path, _, query = wire.request.target.partition("?")
        if path == "/balance":
            return reply(200, b'{"balance": 5, "currency": "EUR"}')(wire)
        page = int(query.split("page=")[1].split("&")[0])
        if page == 2 and not self.released.is_set():
            self.hung.set()
            self.released.wait(60)
        stamp = datetime.now(UTC) - timedelta(days=page)
        row = {"id": f"e{page}", "type": "usage", "amount": "-1.50", "created_at": f"{stamp:%Y-%m-%dT%H:%M:%S}.000000Z"}
        link = f"http://{wire.request.headers['Host']}{path}?page={page + 1}" if page < 3 else None
        body = {"data": [row], "links": {"next": link}, "meta": {}}
        return reply(200, json.dumps(body).encode())(wire)


@dataclass
class Fleet:
    """A wallet that is answered at once, and a ledger that hangs on its second page."""

    bench: Bench
    ledger: Ledger

    @property
    def home(self) -> Home:
        return self.bench.home

    @property
    def keys(self) -> dict[str, str]:
        return dict(self.bench.keys)

    def start(self, *command: str) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.bench.environment, "COLUMNS": "80"}
        return subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, endpoint: str) -> list[dict[str, Any]]:
        found = [row for path in iterate(self.home.landing) if endpoint in path.parts for row in read(path).to_pylist()]
        return sorted(found, key=lambda row: str(row["fetch_id"]))


@pytest.fixture
def fleet(template: Path, tmp_path: Path) -> Iterator[Fleet]:
    (tmp_path / "data").mkdir()
    shutil.copy(template, tmp_path / "data" / "warehouse.duckdb")
    ledger = Ledger()
    with FaultServer(ledger) as listing, FaultServer(_FINE) as fine:
        accounts = f"""
            allow_http_loopback = true
            [accounts.ledger]
            vendor = "vpsbg"
            api_key_env = "FLEET_KEY"
            base_url = "{listing.url}"
            [accounts.wallet]
            vendor = "deepvue"
            unit = "INR"
            client_id_env = "FLEET_KEY"
            api_key_env = "FLEET_KEY"
            base_url = "{fine.url}"
        """
        try:
            yield Fleet(Bench(tmp_path, accounts, {"FLEET_KEY": CANARY}), ledger)
        finally:
            ledger.released.set()


def _until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


_SELECTION = 'key:"landing/vpsbg_balance" or key:"landing/vpsbg_transactions" or key:"landing/deepvue_wallet"'


def _is_kept(fleet: Fleet) -> None:
    """Received answers are landed once, page one of the ledger included, and the next run continues."""
    assert [row["outcome"] for row in fleet.rows("wallet")] == ["ok"]
    [first] = [row for row in fleet.rows("transactions") if row["outcome"] == "ok"]
    assert (first["page_number"], first["is_complete"]) == (1, False)
    # No watermark advances past missing data.
    assert Resume.from_json(first["resume_json"]) == Resume()
    fleet.ledger.released.set()
    assert fleet.bench.run(selection=_SELECTION).problems == []
    pages = [(row["page_number"], row["is_complete"]) for row in fleet.rows("transactions") if row is not first]
    assert pages[-3:] == [(1, False), (2, False), (3, True)]
    ids = [row["fetch_id"] for endpoint in ("wallet", "transactions", "balance") for row in fleet.rows(endpoint)]
    assert len(ids) == len(set(ids))


@pytest.mark.faults(47)
def test_ctrl_c_lands_all_answers_so_far(fleet: Fleet) -> None:
    process = fleet.start("-c", "from pipeline.cli import main; main()", "run", "--select", _SELECTION)
    assert fleet.ledger.hung.wait(60)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (
        err.splitlines()[-1] == "drawdown: interrupted; what was landed is kept, and the next run continues from there"
    )
    assert list(fleet.home.landing.rglob("*.tmp")) == []
    _is_kept(fleet)


_KILLED = """
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.landing.fetching import Fetcher, FetchPolicy, calls_for
from pipeline.settings import load
settings = load()
wanted = {("vpsbg", "balance"), ("vpsbg", "transactions"), ("deepvue", "wallet")}
fetcher = Fetcher(home=Home.from_environment(), clock=Clock(), run_id="killed", allow_http_loopback=True)
fetcher.fetch(calls_for(settings.accounts.values(), wanted), b"{}")
"""


@pytest.mark.faults(47)
def test_a_kill_loses_nothing_that_was_answered_a_second_ago(fleet: Fleet) -> None:
    process = fleet.start("-c", _KILLED)
    assert fleet.ledger.hung.wait(60)
    # The ledger's account hangs throughout.
    _until(lambda: len(fleet.rows("wallet")) == len(fleet.rows("transactions")) == len(fleet.rows("balance")) == 1)
    assert [row["run_id"] for row in fleet.rows("runs")] == ["killed"]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    _is_kept(fleet)


@pytest.mark.faults(46)
def test_many_accounts_whose_vendor_drips_delay_no_other_vendors_account(fleet: Fleet) -> None:
    patience = Patience(deadline_seconds=1.5, read_timeout_seconds=1.5, attempts=1)
    visits: list[tuple[str, bool, bool]] = []

    def on_visit(visit: Visit) -> None:
        landed = any(row["outcome"] == "ok" for row in fleet.rows("wallet"))
        visits.append((visit.account_id, visit.is_ok, landed))

    with FaultServer(_DRIPS) as slow:
        lines = [fleet.bench.accounts_toml]
        lines += [
            f'[accounts.slow-{number}]\nvendor = "vpsbg"\napi_key_env = "FLEET_KEY"\nbase_url = "{slow.url}"'
            for number in range(70)
        ]
        fleet.bench.accounts_toml = "\n".join(lines)
        fleet.bench.accounts.write_text(fleet.bench.accounts_toml)
        policy = replace(HURRIED, patience=patience, on_visit=on_visit, land_every_seconds=0.1)
        selection = 'key:"landing/vpsbg_balance" or key:"landing/deepvue_wallet"'
        problems = fleet.bench.run(selection=selection, policy=policy).problems
    visited = [account_id for account_id, _, _ in visits]
    slow_ones = [each for each in visited if each.startswith("slow-")]
    # Neither another vendor nor another origin of the same vendor waits for those that never end.
    assert set(visited[:2]) == {"wallet", "ledger"}
    assert len(slow_ones) == 70
    assert len(problems) == 70
    assert all("did not end within 1.5 s (1 request sent)" in line for line in problems)
    # Answers are landed while others are still awaited.
    assert next(landed for account_id, _, landed in visits if account_id in slow_ones)


@pytest.mark.faults(46)
def test_thousands_of_answers_in_a_second_are_few_files(fleet: Fleet) -> None:
    with FaultServer(_FINE) as fine:
        lines = ["allow_http_loopback = true"]
        for number in range(300):
            lines += [
                f'[accounts.wallet-{number}]\nvendor = "deepvue"\nunit = "INR"\nclient_id_env = "FLEET_KEY"',
                f'api_key_env = "FLEET_KEY"\nbase_url = "{fine.url}"',
            ]
        fleet.bench.accounts.write_text("\n".join(lines))
        began = time.monotonic()
        policy = FetchPolicy(patience=HURRIED.patience, is_limited=False)
        assert fleet.bench.run(selection='key:"landing/deepvue_wallet"', policy=policy).problems == []
        seconds = time.monotonic() - began
    assert len(fleet.rows("wallet")) == 300
    [folder] = {path.parent for path in iterate(fleet.home.landing) if "wallet" in path.parts}
    assert len(files(folder)) <= seconds + 2
