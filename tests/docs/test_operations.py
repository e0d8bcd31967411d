"""docs/operations.md: backup and restore bring back every row; codes, paths and times match the code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import dagster as dg

from pipeline.cli.app import INTERRUPTED
from pipeline.orchestration.definitions import defs
from pipeline.published.snapshot import KEPT_VERSIONS
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from tests.bench import Bench
from tests.docs.pages import DOCS, blocks_under, section
from tests.docs.shell import all_well, type_in

PAGE = DOCS / "operations.md"


def test_a_backup_of_landing_restores_every_table(published: Bench, tmp_path: Path) -> None:
    bench = Bench(tmp_path, published.accounts_toml, {})
    shutil.copytree(published.home.path, bench.home.path, symlinks=True)
    backup, restore = blocks_under(PAGE, "Backup, restore, upgrade", "console")
    environment = {"DRAWDOWN_HOME": str(bench.home.path)}

    all_well(type_in(backup.commands(), tmp_path, environment))
    shutil.rmtree(bench.home.path)
    bench.accounts.unlink()
    # Without keys: nothing is requested.
    all_well(type_in(restore.commands(), tmp_path, environment))

    assert bench.checksums() == published.checksums()
    assert bench.accounts.read_text() == published.accounts_toml
    assert bench.home.path.stat().st_mode & 0o777 == 0o700


def test_the_old_warehouse_stays_when_a_rebuild_fails(state: Path) -> None:
    home = Home(state / "data")
    before = home.warehouse.read_bytes()
    damaged = next(home.landing.rglob("*.parquet"))
    damaged.write_bytes(b"PAR1 and no more")

    (ran,) = type_in(["drawdown rebuild"], state)

    assert ran.code == 1
    assert f"{damaged} is damaged" in ran.err
    assert home.warehouse.read_bytes() == before


def test_compaction_is_a_command_of_the_page(state: Path) -> None:
    (block,) = blocks_under(PAGE, "Compaction", "console")
    all_well(type_in(block.commands(), state))


def test_the_state_folder_is_as_described(published: Bench) -> None:
    home = published.home
    described = set(re.findall(r"`([\w./-]+)`", section(PAGE, "The state folder").split("Files are")[0]))
    roots = {each.split("/")[0] for each in described}

    assert {path.name for path in home.path.iterdir()} <= roots
    assert f"the last {KEPT_VERSIONS} builds" in section(PAGE, "The state folder")
    for path in home.path.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_the_schedules_are_those_of_the_code() -> None:
    times = {
        "5 * * * *": "at five past each hour",
        "45 3 * * *": "at 03:45",
        "35 4 * * *": "at 04:35",
        "50 * * * *": "at 50 minutes past each hour",
        "10 4 * * *": "at 04:10",
    }
    text = PAGE.read_text(encoding="utf-8")
    for schedule in defs.schedules or []:
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert f"`{schedule.name}` {times[str(schedule.cron_schedule)]}" in text


def test_the_exit_codes_are_those_of_the_code() -> None:
    codes = re.findall(r"^\| (\d+) \|", section(PAGE, "Exit codes"), re.MULTILINE)
    assert [int(code) for code in codes] == [0, DrawdownError.exit_code, UsageError.exit_code, INTERRUPTED]


def test_an_exit_code_distinguishes_failures(state: Path) -> None:
    ran = type_in(
        ["drawdown status", "drawdown status --fail-on critical", "drawdown run", "drawdown statsu"],
        state,
        {"DRAWDOWN_ACCOUNTS": str(state / "none.toml")},
    )
    assert [each.code for each in ran] == [0, 1, 2, 2]
    assert ran[2].err.startswith("drawdown: ")
