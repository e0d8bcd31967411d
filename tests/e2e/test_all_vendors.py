"""Four vendors and a file kept by hand in one run, three of them with different problems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import sandbox_faults as sandboxes
from tests.bench import Bench, FirstRun, only
from tests.e2e.conftest import NOW

MANUAL = """
[accounts.registrar]
vendor = "manual"
path = "registrar.csv"
"""


BY_HAND = "observed_at_utc,balance_amount,unit_code\n2026-09-01,120.50,EUR\n2026-10-05T08:00:00Z,99.999999999,EUR\n"


@pytest.fixture(scope="module")
def one_sandbox() -> Iterator[sandboxes.Sandbox]:
    with sandboxes.start(seed=5, days=60, now=NOW) as world:
        yield world


@pytest.fixture
def bench(tmp_path: Path, sandbox: sandboxes.Sandbox) -> Iterator[Bench]:
    made = _bench(tmp_path, sandbox)
    yield made
    assert made.leaks() == []


@pytest.fixture(scope="module")
def first_run(one_sandbox: sandboxes.Sandbox, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    return FirstRun(_bench(tmp_path_factory.mktemp("first"), one_sandbox), NOW)


def _bench(folder: Path, world: sandboxes.Sandbox) -> Bench:
    (folder / "registrar.csv").write_text(BY_HAND)
    accounts = only(world.accounts_toml(), "vpsbg-main", "hyperstack-main", "voxpria-main", "deepvue-main")
    return Bench(folder, accounts + MANUAL, world.keys)


def _status(bench: Bench) -> dict[str, tuple[Any, ...]]:
    rows = bench.rows(
        "SELECT account_id, balance_amount, reading_state, age_seconds, severity FROM marts.account_status"
    )
    return {row[0]: row[1:] for row in rows}


def test_five_accounts_are_forecast_exactly(bench: Bench, sandbox: sandboxes.Sandbox) -> None:
    outcome = bench.run(NOW)

    assert outcome.problems == []
    status = _status(bench)
    assert set(status) == {"vpsbg-main", "hyperstack-main", "voxpria-main", "deepvue-main", "registrar"}
    for account_id in ("vpsbg-main", "voxpria-main", "deepvue-main"):
        assert status[account_id][0] == sandbox.world.account(account_id).balance_at(NOW)
    # Hyperstack's credit is a float with more than nine decimals: rounded half to even, and only then.
    credit = sandbox.world.account("hyperstack-main").balance_at(NOW)
    assert status["hyperstack-main"][0] == credit.quantize(Decimal("1e-9"))
    assert status["registrar"][0] == Decimal("99.999999999")
    units = dict(bench.rows("SELECT account_id, unit_code FROM core.accounts"))
    assert units == {
        "vpsbg-main": "EUR", "hyperstack-main": "USD", "voxpria-main": "voxpria-credit", "deepvue-main": "INR",
        "registrar": "EUR",
    }  # fmt: skip


def test_three_vendors_in_trouble_are_three_lines_and_the_fourth_is_fresh(
    bench: Bench, first_run: FirstRun, sandbox: sandboxes.Sandbox
) -> None:
    first_run(bench)
    before = _status(bench)
    later = NOW + timedelta(hours=5)
    sandbox.move_clock(later)
    sandbox.put_fault("reset", vendor="deepvue")
    sandbox.put_fault("status", vendor="hyperstack", code=401)
    sandbox.put_fault("html", vendor="voxpria", path="/api/v1/credits")

    done = bench.command("run", "--as-of", later.isoformat())

    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("drawdown: ")]
    named = {account_id for line in lines for account_id in before if re.search(rf"\b{account_id}\b", line)}
    assert named == {"deepvue-main", "hyperstack-main", "voxpria-main"}
    after = _status(bench)
    assert after["vpsbg-main"][1:3] == ("fresh", 0)
    for account_id in named:
        assert after[account_id] == (before[account_id][0], "stale", 5 * 3600, before[account_id][3])


def test_an_unnamed_unit_is_unknown(bench: Bench) -> None:
    bench.accounts.write_text(bench.accounts.read_text().replace('unit = "INR"\n', ""))

    bench.run(NOW)

    assert bench.rows("SELECT unit_code FROM marts.account_status WHERE account_id = 'deepvue-main'") == [("unknown",)]


def test_history_from_before_drawdown_is_brought_in_by_a_file(bench: Bench) -> None:
    (bench.folder / "before.csv").write_text(
        "observed_at_utc,balance_amount,unit_code\n2026-08-01,9000,INR\n2026-08-02,8000,INR\n"
    )
    text = bench.accounts.read_text()
    bench.accounts.write_text(
        text.replace("[accounts.deepvue-main]\n", '[accounts.deepvue-main]\npath = "before.csv"\n')
    )

    assert bench.run(NOW).is_ok

    readings = bench.rows(
        "SELECT balance_amount FROM core.balance_snapshots WHERE account_id = 'deepvue-main' ORDER BY observed_at_utc"
    )
    assert readings[:2] == [(Decimal(9000),), (Decimal(8000),)]
    assert len(readings) == 3
    assert bench.rows(
        "SELECT spend_amount FROM core.spend_daily WHERE account_id = 'deepvue-main' AND spend_date = '2026-08-01'"
    ) == [(Decimal(1000),)]


UNREADABLE: dict[str, tuple[bytes | None, str]] = {
    "absent": (None, "no such file"),
    "not-text": (b"\xff\xfe\x00", "not UTF-8"),
    "empty": (b"", "name the columns"),
    "unclosed": (b'observed_at_utc,balance_amount\n"2026-01-01,5\n', "not CSV"),
}


def test_an_unreadable_file_is_one_line_and_its_last_reading_is_kept(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, "\n".join(MANUAL.replace("registrar", account_id) for account_id in ("registrar", *UNREADABLE))
    )
    for account_id in ("registrar", *UNREADABLE):
        (tmp_path / f"{account_id}.csv").write_text(BY_HAND)
    assert bench.run(NOW).problems == []
    for account_id, (file, _) in UNREADABLE.items():
        path = tmp_path / f"{account_id}.csv"
        path.unlink() if file is None else path.write_bytes(file)

    outcome = bench.run(NOW + timedelta(hours=1))

    assert len(outcome.problems) == len(UNREADABLE)
    status = _status(bench)
    for account_id, (_, problem) in UNREADABLE.items():
        (line,) = [line for line in outcome.problems if re.search(rf"\b{account_id}\b", line.partition(".csv")[0])]
        assert problem in line
        assert status[account_id][:2] == (Decimal("99.999999999"), "stale")
