"""Vendors that are declared in TOML, in real runs: an owner's own file, and keys in queries and bodies."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from tests.bench import Bench
from tests.docs.pages import DOCS, blocks_under
from tests.e2e.conftest import NOW

PAGE = DOCS / "declaring.md"
ACME = next(block.text for block in blocks_under(PAGE, "An example", "toml") if block.label == "vendors/acme.toml")
KEY = "canary/query-5e17+c0ffee=="
FOREIGN = "canary-foreign-77aa01"
"""A key of the vendor's own, which only the body has."""


# Vendors are discovered when the package is imported, so every command is a new process.
pytestmark = pytest.mark.long


class AcmeWorld:
    """An API that echoes the key in every way: in prose, in links, encoded, and another key beside it."""

    def __init__(self, server: HTTPServer) -> None:
        self.movements = [(1, NOW - timedelta(days=3), 10_000, "paid"), (2, NOW - timedelta(days=2), -2_550, "used")]
        self.requests: list[str] = []
        server.expect_request(re.compile("/v1/.*")).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.requests.append(request.full_path)
        query = parse_qs(urlsplit(request.full_path).query)
        if query.get("api_key") != [KEY]:
            return _json({"message": f"wrong key {query.get('api_key')}"}, 401)
        if request.path.endswith("/p-17/wallet"):
            paid = sum(cents for *_, cents, what in self.movements if what == "paid")
            used = -sum(cents for *_, cents, what in self.movements if what == "used")
            return _json(
                {
                    "paid_cents": paid, "used_cents": str(used), "as_of": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
                    "owner": {"token": FOREIGN}, "message": f"{KEY} belongs to {FOREIGN}",
                    "echo": [f"{request.url}", base64.b64encode(KEY.encode()).decode(), KEY.replace("/", "\\/")],
                }
            )  # fmt: skip
        if request.path.endswith("/p-17/movements"):
            place = int(query.get("after", ["0"])[0])
            rows = [
                {"id": f"m-{number}", "at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "cents": cents, "what": what}
                for number, at, cents, what in self.movements[place : place + 1]
            ]
            return _json({"items": rows, "next": place + 1 if place + 1 < len(self.movements) else None})
        return _json({"message": f"no such page: {request.url}"}, 404)


def _json(payload: object, status: int = 200) -> Response:
    return Response(json.dumps(payload), status, content_type="application/json")


@pytest.fixture
def world(httpserver: HTTPServer) -> AcmeWorld:
    return AcmeWorld(httpserver)


@pytest.fixture
def bench(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """One account of the owner's vendor; after any test no key is anywhere."""
    folder = tmp_path / "vendors"
    folder.mkdir()
    (folder / "acme.toml").write_text(ACME)
    account = (
        'allow_http_loopback = true\n\n[accounts.acme-main]\nvendor = "acme"\napi_key_env = "ACME_API_KEY"\n'
        f'project = "p-17"\nbase_url = "{httpserver.url_for("/v1")}"\n'
    )
    made = Bench(tmp_path, account, {"ACME_API_KEY": KEY})
    monkeypatch.setenv("DRAWDOWN_ACCOUNTS", str(made.accounts))
    yield made
    assert made.leaks() == []
    made.keys = {"ACME_API_KEY": KEY, "FOREIGN": FOREIGN}
    assert made.leaks() == []


def test_an_owners_declaration_of_a_file_is_a_vendor_like_any_other(bench: Bench, world: AcmeWorld) -> None:
    assert len(ACME.splitlines()) <= 25
    done = bench.new_process("run")
    assert done.returncode == 0, done.stderr
    assert bench.rows("SELECT account_id, vendor, balance_amount, unit_code FROM marts.account_status") == [
        ("acme-main", "acme", Decimal("74.50"), "USD")
    ]
    assert bench.rows(
        "SELECT entry_id, entry_kind, entry_amount FROM core.ledger_entries ORDER BY effective_at_utc"
    ) == [
        ("m-1", "top_up", Decimal(100)),
        ("m-2", "usage", Decimal("-25.5")),
    ]
    status = bench.new_process("status")
    assert re.search(r"^acme-main +74\.50 +USD", status.stdout, re.MULTILINE)
    # The cursor was followed, and the key went along with every request.
    assert sum("/movements" in each for each in world.requests) == 2
    assert all("api_key=" in each for each in world.requests)
    assert bench.new_process("vendors").stdout.count("acme") >= 2
    assert "acme.api_key_env" not in bench.new_process("doctor").stdout


def test_a_second_run_and_a_rebuild_read_the_same(bench: Bench, world: AcmeWorld) -> None:
    assert bench.new_process("run").returncode == 0
    world.movements.append((3, NOW - timedelta(days=1), -450, "used"))
    assert bench.new_process("run").returncode == 0
    before = bench.tables("marts.account_status", "core.ledger_entries", "core.spend_daily")
    assert bench.new_process("rebuild").returncode == 0
    assert bench.tables("marts.account_status", "core.ledger_entries", "core.spend_daily") == before
    assert bench.rows("SELECT balance_amount FROM marts.account_status") == [(Decimal(70),)]


@pytest.mark.parametrize("project", ["p-18", "p-17/../p-18"])
def test_a_wrong_address_or_key_is_one_line_without_the_key(bench: Bench, world: AcmeWorld, project: str) -> None:
    bench.accounts.write_text(bench.accounts_toml.replace("p-17", project))
    done = bench.new_process("run")
    assert done.returncode != 0
    expected = "not_found" if project == "p-18" else "project: must be a text of letters, digits, - and _"
    assert expected in done.stderr or "was answered 404" in done.stderr
    assert KEY not in done.stderr + done.stdout


def test_a_refused_key_in_the_query_is_named_by_its_variable(bench: Bench, world: AcmeWorld) -> None:
    bench.keys = {"ACME_API_KEY": "canary/another-5e17c0ffee"}
    done = bench.new_process("run")
    assert done.returncode == 1
    assert "check the value of ACME_API_KEY" in done.stderr
    assert bench.leaks() == []
    bench.keys = {"ACME_API_KEY": KEY}


def test_a_removed_declaration_is_an_error_that_names_the_account(bench: Bench, world: AcmeWorld) -> None:
    (bench.folder / "vendors" / "acme.toml").unlink()
    done = bench.new_process("run")
    assert done.returncode == 2
    assert "account acme-main: vendor: unknown vendor" in done.stderr


def test_a_wrong_declaration_stops_a_run_before_any_request(bench: Bench, world: AcmeWorld) -> None:
    path = bench.folder / "vendors" / "acme.toml"
    path.write_text(ACME.replace('"as_of"', '"as_of..x"'))
    done = bench.new_process("run")
    assert done.returncode == 2
    assert f"{path}:13: endpoints.wallet.fields.effective_at_utc.path: expects a key at character 7" in done.stderr
    assert world.requests == []


def test_the_page_shows_what_the_check_prints(bench: Bench) -> None:
    (body,) = blocks_under(PAGE, "An example", "json")
    (bench.folder / "wallet.json").write_text(body.text)
    steps = [step for block in blocks_under(PAGE, "An example", "console") for step in block.transcript()]
    assert len(steps) == 2
    for command, shown in steps:
        done = bench.new_process(*command.removeprefix("drawdown ").split())
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == shown
