"""Every vendor that Drawdown knows, in one run over the sandbox: units and signs are right, and no key is anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest

from pipeline.vendors import shipped
from tests import sandbox_faults as sandboxes
from tests.bench import Bench
from tests.canary import leaks
from tests.e2e.conftest import NOW
from tests.vendors.examples import PACKAGE
from tests.vendors.test_declared_vendors import BALANCES

pytestmark = pytest.mark.long

# The examples of quotas state resets of this month.
_NOW = datetime(2026, 3, 18, 12, tzinfo=NOW.tzinfo)
# The owner's unit, where the answers name none.
_OWN_UNITS = {"moonshot": "USD"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with (
        sandboxes.start(seed=7, days=30, now=_NOW, vendors=["all"]) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        made = Bench(tmp_path_factory.mktemp("all"), sandbox.accounts_toml(), sandbox.keys)
        for name, value in made.environment.items():
            patch.setenv(name, value)
        assert made.run(_NOW).problems == []
        yield made
    assert made.leaks() == []


def _expected() -> dict[str, tuple[Decimal, str]]:
    """Balance and unit of each declared vendor's account, from the table of its examples."""
    found = {}
    for example, (amount, unit) in BALANCES.items():
        name, _, body = example.partition(" ")
        case = body.partition(".")[2].replace("_", "-")
        account_id = name + (f"-{case}" if case else "")
        found[account_id] = (Decimal(amount), unit or _OWN_UNITS[name])
    return found


def test_every_account_has_its_balance_with_its_unit_and_sign(bench: Bench) -> None:
    rows = bench.rows("SELECT account_id, vendor, balance_amount, unit_code, reading_state FROM marts.account_status")
    assert {vendor for _, vendor, *_ in rows} == shipped().keys() - {"manual"}
    assert {state for *_, state in rows} == {"fresh"}
    found = {account_id: (amount, unit) for account_id, _, amount, unit, _ in rows}
    expected = _expected()
    assert {account_id: found[account_id] for account_id in expected} == expected
    assert sum(amount < 0 for amount, _ in expected.values()) >= 8


def test_status_shows_debts_as_negative_and_quotas_with_their_reset(bench: Bench) -> None:
    lines = {line.split()[0]: line for line in bench.command("status").stdout.splitlines() if line.strip()}
    assert "-22.25" in lines["vultr-debt"]
    assert "-3.90" in lines["xai-debt"]
    assert "elevenlabs-character" in lines["elevenlabs"]
    (reason,) = bench.rows("SELECT reason FROM marts.account_status WHERE account_id = 'elevenlabs'")
    assert "2026-04-01" in reason[0]


def test_keys_in_queries_and_bodies_are_landed_nowhere(bench: Bench) -> None:
    # The examples of two vendors echo a key.
    echoed = {key for name in ("serpapi", "vastai") for key in re.findall(rb'"api_key": "([^"]+)"', _examples(name))}
    assert len(echoed) >= 2
    said = {"explain": bench.command("explain", "serpapi").stdout}
    assert leaks([key.decode() for key in echoed], bench.home.path, said=said) == []


def _examples(vendor: str) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((PACKAGE / vendor / "examples").glob("*.json")))


def test_it_can_be_rebuilt_from_landing(bench: Bench) -> None:
    before = bench.checksums()
    done = bench.command("rebuild")
    assert done.returncode == 0, done.stderr
    assert bench.checksums() == before
