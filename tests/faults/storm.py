"""One refresh of many accounts whose vendors each misbehave in another way, over real sockets."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import trustme

from pipeline.cli.starters import DAGSTER_YAML
from pipeline.http import Patience
from pipeline.landing.fetching import FetchPolicy
from pipeline.support.home import Home
from tests.bench import Bench
from tests.faults.aftermath import listening
from tests.http.conftest import CANARY
from tests.http.fault_server import FaultServer, Script, Wire, reply

NOW = datetime(2026, 3, 18, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
BEFORE, AFTER = 100, 200
"""The balance that every vendor states in the calm run, and the one that it would state in the storm."""

POLICY = FetchPolicy(
    patience=Patience(
        # The storm shares this computer with other processes: faults that do not concern time must not time out.
        deadline_seconds=15,
        connect_timeout_seconds=5,
        read_timeout_seconds=4,
        attempts=4,
        backoff_seconds=0.02,
        backoff_cap_seconds=0.1,
        body_cap_bytes=1024 * 1024,
    ),
    is_limited=False,
)


def wallet(text: str) -> bytes:
    """Deepvue's answer with a given number."""
    return b'{"current_balance": %s, "success": true}' % text.encode()


CALM = reply(200, wallet(str(BEFORE)))
FINE = reply(200, wallet(str(AFTER)))


@dataclass(frozen=True, kw_only=True)
class Wallet:
    """An account with one balance: in the storm, its requests are answered by these scripts in order."""

    scripts: tuple[Script, ...]
    tls: str = ""
    """The fault of its certificate; none if `good`, plain HTTP if empty."""


@dataclass
class Redirect:
    """Redirects every request to another host."""

    to: str = ""

    def __call__(self, wire: Wire) -> bool | None:
        return reply(302, headers={"Location": f"{self.to}/steal"})(wire)


@dataclass
class Ledger:
    """An account with a paged ledger: calm and storm differ in a page's contents and links."""

    pages: dict[str, tuple[list[dict[str, Any]], str]]
    """By page number in the storm: rows, and the `next` link, in which `{own}` is the server's own address."""
    resets: int = 0
    """Number of requests for page 2 that are reset, on the connection of page 1."""
    is_on: bool = False

    def __call__(self, wire: Wire) -> bool:
        path, _, query = wire.request.target.partition("?")
        own = f"http://{ {name.lower(): value for name, value in wire.request.headers.items()}['host'] }"
        if path == "/balance":
            return bool(reply(200, _json({"balance": AFTER if self.is_on else BEFORE, "currency": "EUR"}))(wire))
        if path != "/balance/transactions":
            return bool(reply(404)(wire))
        page = query.split("page=")[1].split("&")[0]
        if self.is_on and page == "2" and self.resets:
            self.resets -= 1
            wire.reset()
            return False
        rows, link = self.pages[page] if self.is_on else ([entry(1), entry(2)], "")
        body = {"data": rows, "links": {"next": link.format(own=own) or None}, "meta": {}}
        return bool(reply(200, _json(body), keep=True)(wire))


def entry(number: int) -> dict[str, Any]:
    """A ledger's row; higher numbers are older."""
    at = NOW - timedelta(days=number)
    return {"id": f"e{number}", "type": "usage", "amount": "-1.50", "created_at": f"{at:%Y-%m-%dT%H:%M:%S}.000000Z"}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@dataclass
class Storm:
    """Results of two runs: one calm, one in the storm."""

    bench: Bench
    servers: dict[str, FaultServer]
    elsewhere: FaultServer
    problems: list[str] = field(default_factory=list)
    printed: str = ""
    fetches: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """By account and endpoint: its last answer in the storm."""
    status: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """By account: its balance and reading state."""

    @property
    def home(self) -> Home:
        return self.bench.home

    @property
    def keys(self) -> dict[str, str]:
        return dict(self.bench.keys)


@contextmanager
def raised(folder: Path, wallets: dict[str, Wallet], ledgers: dict[str, Ledger]) -> Iterator[Storm]:
    """Run all accounts once in the calm and once in the storm, and keep the servers running."""
    keys = {"STORM_KEY": CANARY, "STORM_ID": 'client-5d1e/Kp+2<&"w8r'}
    authority = trustme.CA()
    (folder / "authority.pem").write_bytes(authority.cert_pem.bytes())
    with ExitStack() as stack:
        elsewhere = stack.enter_context(FaultServer(FINE))
        servers = {}
        lines = ['reporting_currency = "EUR"\nallow_http_loopback = true\n']
        for name, one in wallets.items():
            servers[name] = FaultServer(CALM, *one.scripts, tls=_certified(authority, one.tls) if one.tls else None)
            lines.append(f'vendor = "deepvue"\nclient_id_env = "STORM_ID"\nunit = "INR"\n# {name}\n')
        for name, ledger in ledgers.items():
            servers[name] = FaultServer(ledger)
            lines.append(f'vendor = "vpsbg"\n# {name}\n')
        for place, (name, server) in enumerate(servers.items(), 1):
            stack.enter_context(server)
            lines[place] = f'[accounts.{name}]\napi_key_env = "STORM_KEY"\nbase_url = "{server.url}"\n{lines[place]}'
        storm = Storm(Bench(folder, "\n".join(lines), keys), servers, elsewhere)
        # Another name of this computer counts as another host.
        foreign = f"http://localhost:{elsewhere.port}"
        for script in (each for one in wallets.values() for each in one.scripts):
            if isinstance(script, Redirect):
                script.to = foreign
        for one in ledgers.values():
            one.pages = {page: (rows, link.replace("{elsewhere}", foreign)) for page, (rows, link) in one.pages.items()}
        stack.callback(os.environ.update, dict(os.environ))
        stack.callback(os.environ.clear)
        os.environ["SSL_CERT_FILE"] = str(folder / "authority.pem")
        storm.bench.run(NOW, policy=POLICY)
        for one in ledgers.values():
            one.is_on = True
        # In the storm Dagster keeps its records on disk: they must not contain a key either.
        storm.home.dagster.mkdir()
        (storm.home.dagster / "dagster.yaml").write_text(DAGSTER_YAML, encoding="utf-8")
        os.environ["DAGSTER_HOME"] = str(storm.home.dagster)
        with listening() as heard:
            storm.problems = storm.bench.run(LATER, policy=POLICY).problems
        storm.printed = heard.getvalue() + "\n".join(storm.problems)
        _read(storm)
        yield storm


def _certified(authority: trustme.CA, flaw: str) -> ssl.SSLContext:
    host = "other.example" if flaw == "wrong host" else "127.0.0.1"
    expired = datetime(2020, 1, 1, tzinfo=UTC) if flaw == "expired" else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, not_after=expired).configure_cert(context)
    return context


def _read(storm: Storm) -> None:
    with duckdb.connect(storm.home.warehouse, read_only=True) as connection:
        fetched = connection.execute(
            "SELECT account_id, endpoint, outcome, status_code, reason, attempt_count AS attempts, elapsed_seconds, "
            "fetch_id FROM staging.fetches WHERE fetched_at_utc = ? ORDER BY fetch_id",
            [LATER],
        )
        names = [column[0] for column in fetched.description]
        for row in fetched.fetchall():
            storm.fetches[row[0], row[1]] = dict(zip(names, row, strict=True))
    storm.status = {
        account_id: (balance, state)
        for account_id, balance, state in storm.bench.rows(
            "SELECT account_id, balance_amount, reading_state FROM marts.account_status"
        )
    }
