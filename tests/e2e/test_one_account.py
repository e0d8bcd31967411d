"""One account under two names, at the same time or in succession, in runs, `doctor` and `explain`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.landing.runs import newest_record
from tests import sandbox_faults as sandboxes
from tests.bench import Bench, FirstRun, only
from tests.canary import contents_of
from tests.e2e.conftest import NOW

pytestmark = pytest.mark.long

LATER = NOW + timedelta(hours=1)
NewBench = Callable[[str], Bench]


@pytest.fixture(scope="module")
def world() -> Iterator[sandboxes.Sandbox]:
    with sandboxes.start(seed=3, days=40, now=NOW, vendors=["vpsbg"]) as started:
        yield started


@pytest.fixture
def new_bench(tmp_path: Path, world: sandboxes.Sandbox) -> NewBench:
    """A separate state folder, over the sandbox with these accounts."""
    numbers = count(1)

    def new_bench(text: str) -> Bench:
        folder = tmp_path / f"bench-{next(numbers)}"
        folder.mkdir()
        return Bench(folder, text, world.keys)

    return new_bench


@pytest.fixture
def one(world: sandboxes.Sandbox) -> str:
    """An accounts.toml with vpsbg-main alone."""
    return only(world.accounts_toml(), "vpsbg-main")


@pytest.fixture(scope="module")
def first_run(world: sandboxes.Sandbox, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """`first_run(bench)` is `bench.run(NOW)`, for a bench with vpsbg-main alone."""
    made = Bench(tmp_path_factory.mktemp("first"), only(world.accounts_toml(), "vpsbg-main"), world.keys)
    return FirstRun(made, NOW)


def renamed(toml: str, old: str, new: str) -> str:
    return toml.replace(f"[accounts.{old}]", f"[accounts.{new}]")


def doctor(bench: Bench) -> list[tuple[str, str, str]]:
    found = json.loads(bench.command("doctor", "--json").stdout)
    return [(each["state"], each["about"], each["finding"]) for each in found]


def record(bench: Bench) -> dict[str, Any]:
    found = newest_record(bench.home.landing, LATER)
    assert found is not None
    return found


def test_one_account_under_two_names_counts_once_and_run_and_doctor_say_so(
    new_bench: NewBench, one: str, first_run: FirstRun
) -> None:
    alone = new_bench(one)
    first_run(alone)
    charged = "SELECT sum(BilledCost), sum(EffectiveCost), count(*) FROM marts.focus_cost_and_usage{}"
    totals = {
        query: alone.rows(query)
        for query in (
            "FROM marts.fleet_status",
            "FROM marts.spend_by_team_monthly ORDER BY ALL",
            charged.format(""),
            charged.format("_estimated"),
        )
    }
    assert all(rows[0][0] for rows in totals.values())

    twice = new_bench(one + "\n" + renamed(one.partition("\n\n")[2], "vpsbg-main", "a-copy"))
    dagster = twice.folder / "dagster"
    twice.command("init", "--dagster", DAGSTER_HOME=str(dagster))
    ran = twice.command("run", "--as-of", NOW.isoformat(), DAGSTER_HOME=str(dagster))

    assert ran.returncode == 0
    words = (
        "accounts vpsbg-main and a-copy are the same (vendor, address and key): only vpsbg-main counts in totals; remove "
        f"a-copy from {twice.accounts}"
    )
    assert [line for line in ran.stderr.splitlines() if line.startswith("drawdown: ")] == [f"drawdown: {words}"]
    assert any(words.encode() in events for place, events in contents_of(dagster) if place.endswith("event_logs"))
    assert ("warn", "vpsbg-main", words) in doctor(twice)
    for query, rows in totals.items():
        assert twice.rows(query) == rows, query
    # Each name still has its rows.
    same = "SELECT account_id, same_as_account_id FROM core.accounts ORDER BY 1"
    assert twice.rows(same) == [("a-copy", "vpsbg-main"), ("vpsbg-main", None)]
    [(balances, names)] = twice.rows("SELECT count(DISTINCT balance_amount), count(*) FROM marts.account_status")
    assert (balances, names) == (1, 2)
    assert {account: each["same_as"] for account, each in record(twice)["accounts"].items()} == {
        "vpsbg-main": None,
        "a-copy": "vpsbg-main",
    }
    checksums = twice.checksums()
    assert twice.command("rebuild").returncode == 0
    assert twice.checksums() == checksums
    assert twice.leaks() == []

    # Removed again, it stays out of the totals: its history belongs to the other.
    twice.accounts.write_text(one)
    ran = twice.command("run", "--as-of", LATER.isoformat())
    assert [line for line in ran.stderr.splitlines() if line.startswith("drawdown: ")] == []
    assert twice.rows(charged.format("")) == totals[charged.format("")]


def test_a_renamed_account_is_recognised_and_called_by_its_new_name(
    new_bench: NewBench, one: str, first_run: FirstRun
) -> None:
    bench = new_bench(one)
    first_run(bench)
    before = record(bench)["accounts"]["vpsbg-main"]["identity"]
    assert len(before) == 16

    bench.accounts.write_text(renamed(one, "vpsbg-main", "shop"))
    assert ("ok", "shop", "was called vpsbg-main until recently, and keeps its history") in doctor(bench)
    ran = bench.command("run", "--as-of", LATER.isoformat())

    assert ran.returncode == 0
    words = "drawdown: account shop was called vpsbg-main until now: its history is kept"
    assert [line for line in ran.stderr.splitlines() if line.startswith("drawdown: ")] == [words]
    assert record(bench)["accounts"]["shop"]["identity"] == before
    found = bench.command("explain", "vpsbg-main")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "drawdown: account vpsbg-main is now called shop, with all of its history: drawdown explain shop\n"
    )
    # Reported once.
    again = bench.command("run", "--as-of", LATER.isoformat())
    assert [line for line in again.stderr.splitlines() if line.startswith("drawdown: ")] == []
    assert bench.leaks() == []


def test_an_account_renamed_with_another_key_looks_like_the_earlier_one_until_formerly_names_it(
    new_bench: NewBench, one: str, first_run: FirstRun
) -> None:
    bench = new_bench(one)
    first_run(bench)

    # The key of another account, which the vendor accepts as well.
    other = renamed(one, "vpsbg-main", "shop").replace("SANDBOX_VPSBG_MAIN_KEY", "SANDBOX_VPSBG_AGENCY_KEY")
    bench.accounts.write_text(other)
    ran = bench.command("run", "--as-of", LATER.isoformat())

    words = (
        f"account shop looks like vpsbg-main, which {bench.accounts} no longer names: same vendor and address. If it is "
        'the same account, add formerly = ["vpsbg-main"] to [accounts.shop], so that its history is kept and '
        "its spend is not counted twice; if not, there is nothing to do"
    )
    assert ran.returncode == 0
    assert [line for line in ran.stderr.splitlines() if line.startswith("drawdown: ")] == [f"drawdown: {words}"]
    assert ("warn", "shop", words) in doctor(bench), "also after the run that said it"

    bench.accounts.write_text(f'{other}formerly = ["vpsbg-main"]\n')
    assert {state for state, about, _ in doctor(bench) if about == "shop"} == {"ok"}
    assert bench.command("run", "--as-of", LATER.isoformat()).returncode == 0
    assert record(bench)["accounts"]["shop"]["formerly"] == ["vpsbg-main"]
    assert "is now called shop" in bench.command("explain", "vpsbg-main").stderr

    bench.accounts.write_text(f'{other}formerly = ["vpsbg-mian"]\n')
    misspelt = (
        "warn",
        "shop",
        "formerly names vpsbg-mian, for which landing has no answer from VPSBG; correct the name, or remove it",
    )
    assert misspelt in doctor(bench)
    assert bench.leaks() == []


def test_an_account_that_was_renamed_and_then_removed_exists_once(new_bench: NewBench) -> None:
    stays = '[accounts.stays]\nvendor = "manual"\npath = "stays.csv"\n'
    moved = '[accounts.{name}]\nvendor = "manual"\npath = "{path}"\n'
    bench = new_bench(stays)
    lines = [f"{NOW - timedelta(days=back):%Y-%m-%d},{100 + back}.00,EUR" for back in range(20, 0, -1)]
    for name in ("stays", "first", "second"):
        (bench.folder / f"{name}.csv").write_text("\n".join(["observed_at_utc,balance_amount,unit_code", *lines]))

    # Renamed with the same file, then with another one and `formerly`, then removed.
    for hours, more in enumerate((
        moved.format(name="one", path="first.csv"),
        moved.format(name="two", path="first.csv"),
        moved.format(name="three", path="second.csv") + 'formerly = ["two"]\n',
        "",
    )):  # fmt: skip
        bench.accounts.write_text(stays + more)
        bench.run(NOW + timedelta(hours=hours))

    assert bench.rows("SELECT DISTINCT account_id FROM core.spend_daily ORDER BY 1") == [("stays",), ("three",)]
    assert bench.rows("SELECT account_id, is_configured FROM core.accounts ORDER BY 1") == [
        ("stays", True),
        ("three", False),
    ]
    stepwise = bench.checksums()
    assert bench.command("rebuild").returncode == 0
    assert bench.checksums() == stepwise
